"""What nobody asked for is refused: attacks on every kind of thing, each by a field or a value."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import pytest

from policies.catalogue import RULES
from policies.legal.guard import AGREED
from policies.legal.rules import SHAPES, deviations
from policies.legal.shapes import rules_named
from policies.resources import Resource
from policies.rule import Rule
from tests.policies.amiss import BUCKET, KEY
from tests.policies.cases import GONE, Case, Failing
from tests.policies.estate import facts, good, said
from tests.policies.guard_digests import digests

AS_ASKED: Final = next(rule for rule in RULES if rule.name == "as-asked")
NOTHING_MISSING: Final = next(rule for rule in RULES if rule.name == "nothing-missing")
KNOWN_KINDS: Final = next(rule for rule in RULES if rule.name == "known-kinds")

_STRANGE_IMAGE: Final = "registry.example.com/evil/server@sha256:" + "e" * 64
_SERVER: Final = "Deployment search/embedder"
_POD: Final = "spec template spec"
_MAIN: Final = f"{_POD} containers 0"
_AGENT: Final = "DaemonSet isoserve-cache/cache-gpu-l4-1"
_PROBER: Final = "Deployment chat/prober"
_ROUTE: Final = "HTTPRoute chat/assistant"
_SIGN_IN: Final = "SecurityPolicy chat/assistant"
_SCALER: Final = "ScaledObject search/embedder"
_GROUP: Final = "aws:eks/nodeGroup:NodeGroup gpu-l4-1-on-demand"
_TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate gpu-l4-1"
_ACCOUNT: Final = "pulumi:providers:aws account"
_CLUSTER: Final = "pulumi:providers:kubernetes cluster"
_GUARD: Final = "ValidatingAdmissionPolicy isoserve-image-digest"
_RULE: Final = "PrometheusRule search/embedder"

Attack = tuple[str, str, Any]
"""A good thing, the field that is set, and to what."""
ATTACKS: Final[dict[str, Attack]] = {
    # A pod that is not what its spec says.
    "another pinned image serves": (_SERVER, f"{_MAIN} image", _STRANGE_IMAGE),
    "another image fetches the model": (_SERVER, f"{_POD} initContainers 0 image", _STRANGE_IMAGE),
    "nothing verifies the model": (_SERVER, f"{_POD} initContainers 0 command", ["/bin/true"]),
    "another command": (_SERVER, f"{_MAIN} command", ["/bin/sh"]),
    "one more argument": (_SERVER, f"{_MAIN} args 0", "/models/other"),
    "one more variable": (_SERVER, f"{_MAIN} env 0 name", "LD_PRELOAD"),
    "a variable from a Secret": (
        _SERVER, f"{_MAIN} env 0", {"name": "A", "valueFrom": {"secretKeyRef": {"name": "x"}}},
    ),
    "another working directory": (_SERVER, f"{_MAIN} workingDir", "/models"),
    "one more container": (_SERVER, f"{_POD} containers 1", {"name": "x", "image": "y"}),
    "one more init container": (_SERVER, f"{_POD} initContainers 1", {"name": "x"}),
    "no init container": (_SERVER, f"{_POD} initContainers", GONE),
    "a debug container": (_SERVER, f"{_POD} ephemeralContainers", [{"name": "x"}]),
    "a Secret that nobody asked for": (
        _SERVER, f"{_POD} volumes 3", {"name": "s", "secret": {"secretName": "other"}},
    ),
    "an inline CSI driver": (_SERVER, f"{_POD} volumes 3", {"csi": {"driver": "x"}, "name": "s"}),
    "weights that can be written": (_SERVER, f"{_MAIN} volumeMounts 0 readOnly", False),
    "weights without their bound": (_SERVER, f"{_MAIN} volumeMounts 0 readOnly", GONE),
    "a chosen node": (_SERVER, f"{_POD} nodeName", "node-1"),
    "a system's priority": (_SERVER, f"{_POD} priorityClassName", "system-node-critical"),
    "another scheduler": (_SERVER, f"{_POD} schedulerName", "own"),
    "another resolver": (_SERVER, f"{_POD} dnsConfig", {"nameservers": ["10.0.0.1"]}),
    "names of its own": (_SERVER, f"{_POD} hostAliases", [{"ip": "10.0.0.1"}]),
    "another runtime class": (_SERVER, f"{_POD} runtimeClassName", "kata"),
    "one more group": (_SERVER, f"{_POD} securityContext supplementalGroups", [0]),
    "another network": (
        _SERVER, "spec template metadata annotations k8s.v1.cni.cncf.io/networks", "host",
    ),
    "a cloud role by annotation": (
        _SERVER, "spec template metadata annotations iam.amazonaws.com/role", "admin",
    ),
    "a paused rollout": (_SERVER, "spec paused", True),
    "readiness of another path": (_SERVER, f"{_MAIN} readinessProbe httpGet path", "/"),
    "readiness by a command": (_SERVER, f"{_MAIN} readinessProbe exec", {"command": ["true"]}),
    "another agent, root on every node": (_AGENT, f"{_MAIN} image", _STRANGE_IMAGE),
    "an agent of another configuration": (_AGENT, f"{_MAIN} args 2", "/tmp/models.json"),
    "another prober, whose token gateways take": (_PROBER, f"{_MAIN} image", _STRANGE_IMAGE),
    "a prober's token for another audience": (
        _PROBER,
        f"{_POD} volumes 1 projected sources 0 serviceAccountToken audience",
        "sts.amazonaws.com",
    ),
    "a job at another time": ("CronJob search/nightly-index", "spec schedule", "* * * * *"),
    "a job that is stopped": ("CronJob search/nightly-index", "spec suspend", True),
    # Ways to a model.
    "keys from a Service of the project": (
        _SIGN_IN, "spec jwt providers 0 remoteJWKS backendRefs", [{"name": "own"}],
    ),
    "a token that may be missing": (_SIGN_IN, "spec jwt optional", True),
    "routes of every namespace": (
        "Gateway isoserve-gateway/public",
        "spec listeners 0 allowedRoutes namespaces selector",
        {},
    ),
    "a redirect": (_ROUTE, "spec rules 1 filters", [{"type": "RequestRedirect"}]),
    "a caller's header": (_ROUTE, "spec rules 1 filters", [{"type": "RequestHeaderModifier"}]),
    "another backend": (_ROUTE, "spec rules 1 backendRefs 0 name", "helper"),
    "all requests to the next version": (
        "HTTPRoute vision/tagger", "spec rules 1 backendRefs 1 weight", 100,
    ),
    "faults on purpose": (
        "BackendTrafficPolicy chat/helper", "spec faultInjection", {"abort": {"httpStatus": 500}},
    ),
    "answers replaced": ("BackendTrafficPolicy chat/helper", "spec responseOverride", [{}]),
    "a Service with an address": (
        "Service search/embedder", "spec loadBalancerSourceRanges", ["0.0.0.0/0"],
    ),
    # Rights, bounds and guards.
    "viewers as admins": ("RoleBinding search/project-admin", "subjects 0 name", "search-oncall"),
    "an account as admin": (
        "RoleBinding search/project-admin",
        "subjects 0",
        {"kind": "ServiceAccount", "name": "embedder", "namespace": "search"},
    ),
    "a priority for everybody": ("PriorityClass isoserve-standard", "globalDefault", True),
    "an old Pod Security": (
        "Namespace search", "metadata labels pod-security.kubernetes.io/enforce-version", "v1.0",
    ),
    "no quota of cores": ("ResourceQuota search/project", "spec hard limits.cpu", GONE),
    "a guard that only warns": (
        "ValidatingAdmissionPolicyBinding isoserve-image-digest",
        "spec validationActions",
        ["Audit"],
    ),
    "a guard that may fail": (_GUARD, "spec failurePolicy", "Ignore"),
    "a guard that says yes": (_GUARD, "spec validations 0 expression", "true"),
    "a guard that looks nowhere": (
        _GUARD, "spec matchConstraints objectSelector", {"matchLabels": {"a": "b"}},
    ),
    "a guard of a few": (
        "ValidatingAdmissionPolicyBinding isoserve-image-digest",
        "spec matchResources",
        {"namespaceSelector": {"matchLabels": {"a": "b"}}},
    ),
    # Scaling.
    "an autoscaler that is paused": (
        _SCALER, "metadata annotations autoscaling.keda.sh/paused-replicas", "0",
    ),
    "a threshold that is never met": (
        _SCALER, "spec triggers 0 metadata threshold", "1000000",
    ),
    "a query that is always 0": (_SCALER, "spec triggers 0 metadata query", "vector(0)"),
    "a Prometheus of somebody": (
        _SCALER, "spec triggers 0 metadata serverAddress", "http://prometheus.evil.svc",
    ),
    "none when idle": (_SCALER, "spec idleReplicaCount", 0),
    "a formula": (_SCALER, "spec advanced scalingModifiers", {"formula": "0"}),
    # AWS.
    "a node's own script": (_TEMPLATE, "userData", "IyEvYmluL3No"),
    "a node's own image": (_TEMPLATE, "imageId", "ami-0123456789abcdef0"),
    "a node's own role": (_TEMPLATE, "iamInstanceProfile", {"name": "admin"}),
    "a node's own network": (_TEMPLATE, "networkInterfaces", [{"securityGroups": ["sg-1"]}]),
    "nodes of another role": (_GROUP, "nodeRoleArn", "arn:aws:iam::123456789012:role/admin"),
    "nodes that are updated by force": (_GROUP, "forceUpdateVersion", True),
    "all nodes at once": (_GROUP, "updateConfig", {"maxUnavailablePercentage": 100}),
    "copies to a stranger": (BUCKET, "replicationConfiguration", {"role": "x"}),
    "objects that end": (BUCKET, "lifecycleRules", [{"enabled": True}]),
    "versions off": (BUCKET, "versioning", {"enabled": False}),
    "a key of many regions": (KEY, "multiRegion", True),
    "an API of somebody": (_ACCOUNT, "endpoints", '[{"s3": "https://evil.example.com"}]'),
    "no certificates": (_ACCOUNT, "insecure", "true"),
    "another role": (_ACCOUNT, "assumeRoleWithWebIdentity", "{}"),
    "other credentials": (_ACCOUNT, "sharedCredentialsFiles", '["/tmp/credentials"]'),
    "another cluster": (_CLUSTER, "cluster", "other"),
    "nothing is sent": (_CLUSTER, "renderYamlToDirectory", "/tmp/out"),
}  # fmt: skip


def _case(attack: Attack) -> Case:
    of, path, value = attack
    return Case(rule=AS_ASKED, of=of, path=path, value=value, says="")


@pytest.mark.parametrize("name", ATTACKS)
def test_what_nobody_asked_for_is_refused(name: str) -> None:
    case = _case(ATTACKS[name])
    found = case.found()
    assert found, f"{name} passes"
    assert {finding.resource for finding in found} == {case.of}, "of nothing else"
    assert not any("cannot be judged" in str(finding) for finding in found), "a person needs it"


STRANGERS: Final = (
    Resource("command:local:Command", "run", {"create": "id"}, protected=False, provider=""),
    Resource("gcp:storage/bucket:Bucket", "b", {}, protected=False, provider=""),
    Resource("aws:iam/user:User", "u", {}, protected=False, provider="account"),
    Resource(
        "kubernetes:batch/v1:ReplicationController",
        "x",
        {"kind": "ReplicationController", "metadata": {"name": "x"}},
        protected=False,
        provider="cluster",
    ),
)


def _of_strangers(rule: Rule = KNOWN_KINDS) -> Any:
    return said(rule, *STRANGERS)


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda one: one.kind)
def test_a_kind_that_isoserve_never_makes_is_refused(stranger: Resource) -> None:
    assert {finding.resource for finding in said(KNOWN_KINDS, stranger)} == {str(stranger)}


@pytest.mark.parametrize(
    "lost",
    [
        _GUARD,
        "ValidatingAdmissionPolicyBinding isoserve-image-digest",
        "LimitRange search/project",
        "RoleBinding search/project-admin",
        "PriorityClass isoserve-standard",
        "Service vision/tagger-candidate",
        "CronJob search/nightly-index",
        _GROUP,
    ],
)
def test_what_belongs_beside_the_rest_is_missed(lost: str) -> None:
    assert said(NOTHING_MISSING, without=lost), f"{lost} is gone and nobody says so"


def test_a_thing_of_no_spec_or_of_no_part_is_refused() -> None:
    (server,) = [one for one in good("sandbox-aws") if str(one) == _SERVER]
    labels = {**server.labels, "isoserve.dev/role": "miner"}
    values = {**server.values, "metadata": {**server.metadata, "labels": labels}}
    strange = dataclasses.replace(server, values=values)
    assert "never makes" in str(deviations(strange, facts())[0])


@pytest.mark.parametrize("region", ["sandbox-aws", "sandbox-onprem", "us-east-1"])
def test_the_guard_is_the_agreed_one_in_every_region(region: str) -> None:
    assert digests(region) == AGREED, (
        "whoever changes the guard writes its digest: python -m tests.policies.guard_digests"
    )


def test_what_is_left_to_a_rule_is_left_to_one_that_there_is() -> None:
    names = {name for shape in SHAPES.values() for name in rules_named(shape)}
    assert names <= {rule.name for rule in RULES}


FAILING: Final[Failing] = {
    "as-asked": _case(ATTACKS["another pinned image serves"]).found,
    "known-kinds": _of_strangers,
    "nothing-missing": lambda: said(NOTHING_MISSING, without=_GUARD),
}
