"""A role is for whom it is named after and may do what its work needs, or is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from policies.judge import Finding
from policies.roles import RULES
from policies.rule import Rule
from tests.examples import REGIONS
from tests.policies.amiss import amiss, assert_fails_closed, assert_refused, put
from tests.policies.cases import GONE, Case, failing
from tests.policies.estate import changed, facts, named, said

TRUST, LEAST, NODES, BOUNDS, ACCOUNTS = RULES

ROLE: Final = "aws:iam/role:Role reader-search"
AGENTS: Final = "aws:iam/role:Role reader-isoserve-cache"
NODE: Final = "aws:iam/role:Role nodes"
COPIER: Final = "aws:iam/role:Role replication"
JOB: Final = "aws:iam/role:Role job-search--scores"
MAY: Final = "aws:iam/rolePolicy:RolePolicy reader-search"
JOB_MAY: Final = "aws:iam/rolePolicy:RolePolicy job-search--scores"
COPIES: Final = "aws:iam/rolePolicy:RolePolicy replication"
ATTACHED: Final = (
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment nodes-AmazonEKSWorkerNodePolicy"
)
USER: Final = "ServiceAccount search/embedder"
ACCOUNT_ROLE: Final = "eks.amazonaws.com/role-arn"
ISSUER: Final = facts().profile.cluster.oidc_issuer
S3: Final = "arn:aws:s3:::isoserve-models-sandbox-aws"

WHO: Final = "assumeRolePolicy! Statement 0"
IF: Final = f"{WHO} Condition"
READ, LIST, DECRYPT = (f"policy! Statement {number}" for number in range(3))
WRITE: Final = {"Action": "s3:PutObject", "Effect": "Allow", "Resource": f"{S3}/search/*"}
ELSE: Final = "is open to others than named ServiceAccounts"
SUB: Final = {f"{ISSUER}:sub": "system:serviceaccount:*:*"}
CHAT: Final = {f"{ISSUER}:sub": "system:serviceaccount:chat:*"}
NOBODY: Final = {f"{ISSUER}:sub": "system:serviceaccount:kube-system:*"}
SERVER: Final = {f"{ISSUER}:sub": "system:serviceaccount:search:ranker"}
OTHERS_DATA: Final = f"{S3}/_datasets/chat/*"
PUT: Final = "policy! Statement 2"
AGENT: Final = {f"{ISSUER}:sub": "system:serviceaccount:isoserve-cache:*"}

CASES: Final = (
    amiss(TRUST, ROLE, f"{IF} StringLike", SUB, ELSE),
    amiss(TRUST, ROLE, f"{IF} StringLike", CHAT, "is for namespace 'chat'"),
    amiss(TRUST, ROLE, f"{IF} StringLike", NOBODY, "which is no project's"),
    amiss(TRUST, AGENTS, f"{IF} StringLike", AGENT, "of the cache, not its agents'"),
    amiss(TRUST, JOB, f"{IF} StringLike", SERVER, "which is no job with data"),
    amiss(TRUST, JOB, "name", "isoserve.sandbox-aws.chat.scores.1602af87", "a job of 'search'"),
    amiss(TRUST, ROLE, f"{IF} StringLike", GONE, ELSE),
    amiss(TRUST, ROLE, f"{IF} StringEquals", GONE, ELSE),
    amiss(TRUST, ROLE, f"{IF} StringEquals", {f"{ISSUER}:aud": "other"}, ELSE),
    amiss(TRUST, ROLE, IF, GONE, ELSE),
    amiss(TRUST, ROLE, f"{WHO} Principal", "*", ELSE),
    amiss(TRUST, ROLE, f"{WHO} Principal", {"AWS": "arn:aws:iam::123456789012:root"}, ELSE),
    amiss(TRUST, ROLE, f"{WHO} Principal Federated", "arn:aws:iam::1:oidc-provider/x", ELSE),
    amiss(TRUST, ROLE, f"{WHO} Principal", {"Service": "lambda.amazonaws.com"}, ELSE),
    amiss(TRUST, ROLE, f"{WHO} Action", "sts:*", ELSE),
    amiss(TRUST, ROLE, f"{WHO} NotAction", "sts:TagSession", ELSE),
    amiss(TRUST, NODE, f"{WHO} Action", "sts:*", "lets a service do 'sts:*'"),
    amiss(TRUST, ROLE, "assumeRolePolicy! Statement", [], "has 0 statements of trust"),
    amiss(TRUST, ROLE, "assumeRolePolicy", GONE, "has 0 statements of trust"),
    amiss(TRUST, ROLE, "name", "admin", "is named 'admin'"),
    amiss(TRUST, ROLE, "inlinePolicies", [{"policy": "{}"}], "carries inlinePolicies"),
    amiss(TRUST, ROLE, "managedPolicyArns", ["arn:aws:iam::aws:policy/A"], "carries managed"),
    amiss(LEAST, MAY, f"{READ} Action", "*", "allows '*'"),
    amiss(LEAST, MAY, f"{READ} Action", ["s3:Get*"], "allows 's3:Get*'"),
    amiss(LEAST, MAY, f"{READ} Action", GONE, "without saying what on what"),
    amiss(LEAST, MAY, f"{READ} Resource", "*", "allows it on '*'"),
    amiss(LEAST, MAY, f"{READ} Resource", "arn:aws:s3:::*", "allows it on 'arn:aws:s3:::*'"),
    amiss(LEAST, MAY, f"{READ} Resource", GONE, "without saying what on what"),
    amiss(LEAST, MAY, f"{READ} NotAction", "s3:PutObject", "NotAction"),
    amiss(LEAST, MAY, f"{READ} NotResource", "x", "NotResource"),
    amiss(LEAST, MAY, f"{READ} NotPrincipal", "x", "NotPrincipal"),
    amiss(LEAST, MAY, f"{READ} Effect", "Maybe", "whose effect is 'Maybe'"),
    amiss(LEAST, MAY, f"{DECRYPT} Condition", GONE, "allows it on every key"),
    amiss(LEAST, MAY, f"{DECRYPT} Condition StringEquals", GONE, "use of a key beside S3"),
    amiss(LEAST, MAY, "policy", GONE, "without a statement"),
    amiss(NODES, ATTACHED, "policyArn", "arn:aws:iam::aws:policy/AdministratorAccess", "attaches"),
    amiss(NODES, ATTACHED, "policyArn", GONE, "attaches None"),
)
FAR: Final = "arn:aws:kms:us-east-1:123456789012:key/far"
BEYOND: Final = tuple(
    replace(case, on=role)
    for role, case in (
        (ROLE, amiss(BOUNDS, MAY, f"{READ} Resource", f"{S3}/*", "and not search/ alone")),
        (ROLE, amiss(BOUNDS, MAY, f"{READ} Resource", f"{S3}/search*", "and not search/ alone")),
        (ROLE, amiss(BOUNDS, MAY, f"{LIST} Condition", GONE, "lists more than search/")),
        (ROLE, amiss(BOUNDS, MAY, f"{LIST} Condition StringLike s3:prefix", "*", "lists more")),
        (ROLE, amiss(BOUNDS, MAY, "policy! Statement 3", WRITE, "may ['s3:PutObject']")),
        (ROLE, amiss(BOUNDS, MAY, f"{DECRYPT} Resource", FAR, "decrypts more")),
        (ROLE, amiss(BOUNDS, MAY, "policy! Statement", [], "may do nothing")),
        (JOB, amiss(BOUNDS, JOB_MAY, f"{READ} Resource", OTHERS_DATA, "reads [")),
        (JOB, amiss(BOUNDS, JOB_MAY, f"{LIST} Condition", GONE, "lists more than search/ and")),
        (JOB, amiss(BOUNDS, JOB_MAY, f"{PUT} Resource", OTHERS_DATA, "writes [")),
        (JOB, amiss(BOUNDS, JOB_MAY, f"{PUT} Resource", f"{S3}/search/*", "scores/ alone")),
        (JOB, amiss(BOUNDS, JOB_MAY, f"{PUT} Action", ["s3:DeleteObject"], "may ['s3:Delete")),
        (COPIER, amiss(BOUNDS, COPIES, f"{LIST} Resource", ["arn:aws:s3:::far/*"], "on ['arn")),
        (COPIER, amiss(BOUNDS, COPIES, "policy! Statement 3 Resource", FAR, "key/far")),
        (COPIER, amiss(BOUNDS, COPIES, f"{LIST} Action", ["s3:PutObject"], "no copy needs")),
    )
)
"""What a role may do is said of the role, whichever policy gives it."""
LATER: Final = (
    amiss(TRUST, ROLE, "assumeRolePolicy", None, ""),
    amiss(TRUST, ROLE, "name", None, ""),
    amiss(LEAST, MAY, "policy", None, ""),
    amiss(NODES, ATTACHED, "policyArn", None, ""),
    amiss(BOUNDS, MAY, "policy", None, ""),
    amiss(BOUNDS, MAY, "role", None, ""),
)
"""Fields that might be unknown before the first `up`."""


def taken(arn: str) -> list[Finding]:
    """What is said of a ServiceAccount that takes another role."""

    def take(values: Any) -> None:
        values["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] = arn

    return said(ACCOUNTS, changed(named(USER), take))


def test_a_job_takes_the_role_that_is_for_it_alone() -> None:
    def take(values: Any) -> None:
        arn = "arn:aws:iam::123456789012:role/isoserve.sandbox-aws.search.nightly-index.3447bfc5"
        values["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] = arn

    (finding,) = said(ACCOUNTS, changed(named("ServiceAccount search/scores"), take))
    assert "let it take isoserve.sandbox-aws.search.scores." in str(finding), (
        "another job's role writes elsewhere"
    )


def stolen() -> list[Finding]:
    """What is said of a ServiceAccount that takes the role of another project."""
    return taken("arn:aws:iam::123456789012:role/isoserve.sandbox-aws.chat")


FAILING: Final = failing((*CASES, *BEYOND)) | {ACCOUNTS.name: stolen}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_roles_of_every_region_pass(rule: Rule, region: str) -> None:
    assert said(rule, region=region) == []


@pytest.mark.parametrize("case", [*CASES, *BEYOND], ids=str)
def test_one_field_makes_the_difference(case: Case) -> None:
    assert_refused(case)


@pytest.mark.parametrize("case", LATER, ids=str)
def test_a_right_that_is_not_known_yet_passes_nothing(case: Case) -> None:
    assert_fails_closed(case)


def test_a_policy_of_a_role_that_nobody_makes_is_refused() -> None:
    for label in (MAY, ATTACHED):
        (finding,) = said(BOUNDS, put(label, "role", "admin"), without=ROLE)[:1]
        assert "is of role" in finding.place.message, "a rule judges it by its role"


def test_no_pod_gets_a_node_policy_and_no_node_a_policy_of_its_own() -> None:
    search = named(ROLE).values["name"]
    (finding,) = said(BOUNDS, put(ATTACHED, "role", search))
    assert f"is attached to {search!r}, no node's" in finding.place.message
    own = put(MAY, "role", named(NODE).values["name"])
    told = [f for f in said(BOUNDS, own) if f.resource == NODE]
    assert "by them every pod" in told[0].place.message, "pods reach their node's credentials"


def test_a_role_without_a_policy_is_a_fault() -> None:
    (finding,) = said(BOUNDS, without=MAY)
    assert (finding.resource, "may do nothing" in finding.place.message) == (ROLE, True)


def test_a_service_account_takes_its_own_namespaces_role() -> None:
    (finding,) = stolen()
    assert "let it take isoserve.sandbox-aws.search" in finding.place.message
    assert finding.place.file.startswith("model_specs/search/"), "it is of that project"
    lost = said(ACCOUNTS, without=ROLE)
    assert USER in {one.resource for one in lost}, "its pods could read nothing"


def test_a_model_that_reads_no_registry_takes_no_role() -> None:
    def take(values: Any) -> None:
        notes = named(USER).metadata["annotations"]
        values["metadata"]["annotations"][ACCOUNT_ROLE] = notes[ACCOUNT_ROLE]

    (finding,) = said(ACCOUNTS, changed(named("ServiceAccount search/ranker"), take))
    assert "takes a role, and nothing of it reads the registry" in finding.place.message


def test_a_model_that_is_downloaded_takes_its_projects() -> None:
    roleless = changed(named(USER), lambda v: v["metadata"]["annotations"].pop(ACCOUNT_ROLE))
    (finding,) = said(ACCOUNTS, roleless)
    assert "takes no role to read the registry" in finding.place.message
