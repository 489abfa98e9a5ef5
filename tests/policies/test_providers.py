"""Everything goes to the profile's account and cluster, or is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from policies.judge import Finding
from policies.providers import RULES
from policies.resources import Resource
from policies.rule import Rule
from tests.examples import REGIONS
from tests.policies.amiss import (
    ACCOUNT,
    BUCKET,
    CLUSTER,
    amiss,
    assert_fails_closed,
    assert_refused,
    put,
)
from tests.policies.cases import GONE, Case, failing
from tests.policies.estate import changed, named, said

OWN, ALLOWED, TALKS, PINNED, NO_FORCE, JUDGED = RULES

CASES: Final = (
    amiss(OWN, ACCOUNT, "region", "eu-west-1", "has region 'eu-west-1'"),
    amiss(OWN, ACCOUNT, "region", GONE, "has region None"),
    amiss(OWN, ACCOUNT, "profile", "admin", "has profile 'admin'"),
    amiss(OWN, ACCOUNT, "secretKey", "hunter2", "has secretKey of its own"),
    amiss(ALLOWED, ACCOUNT, "allowedAccountIds", GONE, "may touch accounts []"),
    amiss(ALLOWED, ACCOUNT, "allowedAccountIds", '["1"]', "may touch accounts ['1']"),
    amiss(ALLOWED, ACCOUNT, "skipRequestingAccountId", "true", "has skipRequestingAccountId"),
    amiss(TALKS, CLUSTER, "context", "prod", "has context 'prod'"),
    amiss(TALKS, CLUSTER, "context", GONE, "has context None"),
    amiss(TALKS, CLUSTER, "kubeconfig", "/elsewhere/kubeconfig", "reads '/elsewhere/kubeconfig'"),
    amiss(TALKS, CLUSTER, "kubeconfig", GONE, "reads None"),
    amiss(TALKS, CLUSTER, "clusterIdentifier", "other", "is known as 'other'"),
    amiss(TALKS, CLUSTER, "deleteUnreachable", "true", "has deleteUnreachable"),
    amiss(TALKS, CLUSTER, "skipUpdateUnreachable", True, "has skipUpdateUnreachable"),
    amiss(PINNED, BUCKET, "region", "eu-west-1", "is in 'eu-west-1'"),
)
LATER: Final = (
    amiss(OWN, ACCOUNT, "region", None, ""),
    amiss(ALLOWED, ACCOUNT, "allowedAccountIds", None, ""),
    amiss(TALKS, CLUSTER, "context", None, ""),
    amiss(TALKS, CLUSTER, "kubeconfig", None, ""),
    amiss(PINNED, BUCKET, "region", None, ""),
)
"""Fields that might be unknown before the first `up`."""


def forced() -> list[Finding]:
    """What is said of an object that takes fields by force."""

    def force(values: Any) -> None:
        values["metadata"].setdefault("annotations", {})["pulumi.com/patchForce"] = "true"

    return said(NO_FORCE, changed(named("Deployment search/embedder"), force))


def unread(token: str) -> list[Finding]:
    """What is said of a resource of another type."""
    return said(JUDGED, Resource(token, "new", {}, protected=True, provider="account"))


FAILING: Final = failing(CASES) | {
    NO_FORCE.name: forced,
    JUDGED.name: lambda: unread("aws:iam/user:User"),
}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_providers_of_every_region_pass(rule: Rule, region: str) -> None:
    assert said(rule, region=region) == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_field_makes_the_difference(case: Case) -> None:
    assert_refused(case)


@pytest.mark.parametrize("case", LATER, ids=str)
def test_a_place_that_is_not_known_yet_passes_nothing(case: Case) -> None:
    assert_fails_closed(case)


@pytest.mark.parametrize("label", [BUCKET, "Deployment search/embedder"])
@pytest.mark.parametrize("provider", ["", "default_7_51_1"])
def test_nothing_goes_through_a_default_provider(label: str, provider: str) -> None:
    (finding,) = said(PINNED, replace(named(label), provider=provider))
    assert f"goes through provider {provider!r}" in finding.place.message


@pytest.mark.parametrize("label", [ACCOUNT, CLUSTER])
def test_a_region_has_one_provider_of_each_kind(label: str) -> None:
    lost = said(PINNED, without=label)
    assert any("should be one provider" in f.place.message for f in lost)
    second = said(PINNED, replace(named(label), name="default"))
    assert any("got ['" in f.place.message for f in second), "a default one is made in silence"


def test_an_s3_compatible_store_has_no_account_to_ask() -> None:
    bare = put(ACCOUNT, "skipRequestingAccountId", "true", "sandbox-onprem")
    assert said(ALLOWED, bare, region="sandbox-onprem") == []


def test_no_object_takes_fields_by_force() -> None:
    (finding,) = forced()
    assert "carries pulumi.com/patchForce" in finding.place.message
    assert finding.place.file == "model_specs/search/embedder.yaml"


@pytest.mark.parametrize("token", ["aws:iam/user:User", "aws:s3/bucketV2:BucketV2"])
def test_a_type_that_no_rule_reads_cannot_slip_in(token: str) -> None:
    (finding,) = unread(token)
    assert "of a type that no rule reads" in finding.place.message
