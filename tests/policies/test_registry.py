"""The bucket of models stays, is closed, encrypted and copied, or is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from policies.registry import KEPT, RULES
from policies.rule import Rule
from tests.examples import REGIONS
from tests.policies.amiss import (
    BUCKET,
    amiss,
    assert_fails_closed,
    assert_refused,
    of_bucket,
    put,
    unprotected,
)
from tests.policies.cases import GONE, Case, failing
from tests.policies.estate import facts, good, named, said

(PROTECTED, VERSIONED, PRESENT, SETTINGS, WALLS, OWNER, ENCRYPTED, POLICY, LIFECYCLE,
 REPLICATED) = RULES  # fmt: skip

POLICY_OF: Final = of_bucket("BucketPolicy")
ENCRYPTION: Final = of_bucket("BucketServerSideEncryptionConfiguration")
TIDY: Final = of_bucket("BucketLifecycleConfiguration")
WALL: Final = of_bucket("BucketPublicAccessBlock")
VERSIONS: Final = of_bucket("BucketVersioning")
COPIES: Final = of_bucket("BucketReplicationConfig")
OWNERSHIP: Final = of_bucket("BucketOwnershipControls")
BY: Final = "rules 0 applyServerSideEncryptionByDefault"
EVERYONE: Final = {"Action": "s3:GetObject", "Effect": "Allow", "Principal": "*", "Resource": "*"}
OTHERS: Final = {**EVERYONE, "Principal": {"AWS": ["arn:aws:iam::999999999999:root"]}}
LOCK: Final = {**EVERYONE, "Action": "s3:*", "Effect": "Deny"}

CASES: Final = (
    amiss(VERSIONED, VERSIONS, "versioningConfiguration status", "Suspended", "'Suspended'"),
    amiss(VERSIONED, VERSIONS, "versioningConfiguration", GONE, "keeps no old versions"),
    amiss(PRESENT, BUCKET, "bucket", "another", "is bucket 'another'"),
    amiss(SETTINGS, POLICY_OF, "bucket", "another", "is for bucket 'another'"),
    amiss(WALLS, WALL, "blockPublicAcls", False, "leaves blockPublicAcls off"),
    amiss(WALLS, WALL, "blockPublicPolicy", GONE, "leaves blockPublicPolicy off"),
    amiss(WALLS, WALL, "ignorePublicAcls", "false", "leaves ignorePublicAcls off"),
    amiss(WALLS, WALL, "restrictPublicBuckets", None, "leaves restrictPublicBuckets off"),
    amiss(OWNER, OWNERSHIP, "rule objectOwnership", "ObjectWriter", "lets access lists count"),
    amiss(OWNER, OWNERSHIP, "rule", GONE, "lets access lists count"),
    amiss(OWNER, BUCKET, "acl", "public-read", "access list 'public-read'"),
    amiss(OWNER, BUCKET, "grants", [{"permissions": ["READ"]}], "sets grants"),
    amiss(OWNER, BUCKET, "policy", "{}", "sets policy"),
    amiss(OWNER, BUCKET, "website", {"indexDocument": "a"}, "sets website"),
    amiss(OWNER, BUCKET, "forceDestroy", True, "deleted with all it holds"),
    amiss(ENCRYPTED, ENCRYPTION, f"{BY} sseAlgorithm", "AES256", "encrypts by 'AES256'"),
    amiss(ENCRYPTED, ENCRYPTION, f"{BY} kmsMasterKeyId", GONE, "names no key"),
    amiss(ENCRYPTED, ENCRYPTION, BY, GONE, "encrypts by None"),
    amiss(ENCRYPTED, ENCRYPTION, "rules", [], "has no rule"),
    amiss(POLICY, POLICY_OF, "policy! Statement 0 Condition", GONE, "locks everyone out"),
    amiss(POLICY, POLICY_OF, "policy! Statement 0 Effect", "Allow", "takes requests in the clear"),
    amiss(
        POLICY,
        POLICY_OF,
        "policy! Statement 0 Action",
        "s3:PutObject",
        "takes requests in the clear",
    ),
    amiss(POLICY, POLICY_OF, "policy! Statement 0 Resource 1", "x", "takes requests in the clear"),
    amiss(
        POLICY,
        POLICY_OF,
        "policy! Statement 0 Principal",
        {"AWS": "x"},
        "takes requests in the clear",
    ),
    amiss(POLICY, POLICY_OF, "policy! Statement 0", EVERYONE, "lets in '*'"),
    amiss(POLICY, POLICY_OF, "policy! Statement 0", OTHERS, "lets in 'arn:aws:iam::9999"),
    amiss(POLICY, POLICY_OF, "policy! Statement 0", LOCK, "locks everyone out"),
    amiss(POLICY, POLICY_OF, "policy! Statement 0 NotPrincipal", "x", "NotPrincipal"),
    amiss(POLICY, POLICY_OF, "policy", GONE, "without a statement"),
    amiss(LIFECYCLE, TIDY, "rules 0 abortIncompleteMultipartUpload", GONE, "parts of uploads"),
    amiss(
        LIFECYCLE,
        TIDY,
        "rules 0 abortIncompleteMultipartUpload daysAfterInitiation",
        30,
        "parts of uploads",
    ),
    amiss(LIFECYCLE, TIDY, "rules 0 noncurrentVersionExpiration", GONE, "old versions for ever"),
    amiss(LIFECYCLE, TIDY, "rules 0 filter prefix", "search/", "old versions for ever"),
    amiss(LIFECYCLE, TIDY, "rules 0 status", "Disabled", "parts of uploads"),
    amiss(LIFECYCLE, TIDY, "rules 0 expiration", {"days": 30}, "takes models away by expiration"),
    amiss(LIFECYCLE, TIDY, "rules 0 transitions", [{"days": 1}], "takes models away by trans"),
    amiss(REPLICATED, COPIES, "rules 0 status", "Disabled", "does not copy everything"),
    amiss(REPLICATED, COPIES, "rules 0 filter prefix", "search/", "does not copy everything"),
    amiss(REPLICATED, COPIES, "rules 0 deleteMarkerReplication", GONE, "copies deletions too"),
    amiss(REPLICATED, COPIES, "rules 0 sourceSelectionCriteria", GONE, "leaves out what a key"),
    amiss(
        REPLICATED,
        COPIES,
        "rules 0 destination encryptionConfiguration",
        GONE,
        "encrypts the copy by None",
    ),
    amiss(
        REPLICATED,
        COPIES,
        "rules 0 destination bucket",
        "arn:aws:s3:::far",
        "copies to 'arn:aws:s3:::far'",
    ),
    amiss(REPLICATED, COPIES, "rules", [], "is missing"),
)
FAILING: Final = failing(CASES) | {
    PROTECTED.name: lambda: said(PROTECTED, unprotected(BUCKET)),
}
LATER: Final = (
    amiss(VERSIONED, VERSIONS, "versioningConfiguration status", None, ""),
    amiss(PRESENT, BUCKET, "bucket", None, ""),
    amiss(SETTINGS, WALL, "bucket", None, ""),
    amiss(OWNER, OWNERSHIP, "rule objectOwnership", None, ""),
    amiss(ENCRYPTED, ENCRYPTION, f"{BY} sseAlgorithm", None, ""),
    amiss(POLICY, POLICY_OF, "policy", None, ""),
    amiss(LIFECYCLE, TIDY, "rules", None, ""),
    amiss(REPLICATED, COPIES, "rules 0 status", None, ""),
)
"""Fields that might be unknown before the first `up`."""


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_registry_of_every_region_passes(rule: Rule, region: str) -> None:
    assert said(rule, region=region) == []


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_has_something_to_judge(region: str) -> None:
    kinds = {resource.kind for resource in good(region)}
    assert named(BUCKET, region).values["bucket"] == facts(region).profile.registry.bucket
    assert len(kinds & {*KEPT}) >= 5, "a store without walls and keys has bucket and four settings"


@pytest.mark.parametrize("kind", KEPT)
def test_what_holds_models_cannot_be_unprotected(kind: str) -> None:
    (finding,) = said(PROTECTED, unprotected(f"{kind} models"))
    assert "can be deleted by `up`" in finding.place.message


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_field_makes_the_difference(case: Case) -> None:
    assert_refused(case)


@pytest.mark.parametrize("case", LATER, ids=str)
def test_a_setting_that_is_not_known_yet_passes_nothing(case: Case) -> None:
    assert_fails_closed(case)


def test_the_key_of_a_copy_points_at_its_own_line() -> None:
    wrong = "arn:aws:kms:us-east-1:123456789012:key/other"
    path = "rules 0 destination encryptionConfiguration replicaKmsKeyId"
    (finding,) = said(REPLICATED, put(COPIES, path, wrong))
    assert finding.place.path == "registry.replicate_to[0]", "one of several copies is wrong"


@pytest.mark.parametrize("kind", [kind for kind in KEPT if kind.startswith("aws:s3/")][1:])
def test_a_setting_that_is_missing_is_a_fault_of_the_bucket(kind: str) -> None:
    (finding,) = said(SETTINGS, without=f"{kind} models")
    assert finding.resource == BUCKET
    assert f"one {kind.rpartition(':')[2]}, got 0" in finding.place.message


def test_the_bucket_cannot_be_left_out_or_doubled() -> None:
    (finding,) = said(PRESENT, without=BUCKET)
    assert "got 0" in finding.place.message, "what is missing is deleted by the next `up`"
    (finding,) = said(PRESENT, replace(named(BUCKET), name="second"))
    assert "got 2" in finding.place.message, "no rule reads another bucket's settings"


def test_a_store_without_keys_encrypts_by_itself() -> None:
    bare = put(ENCRYPTION, f"{BY} sseAlgorithm", "", "seoul-dc1")
    (finding,) = said(ENCRYPTED, bare, region="seoul-dc1")
    assert "encrypt by AES256" in finding.place.message, "seoul-dc1 has no keys of ours"
