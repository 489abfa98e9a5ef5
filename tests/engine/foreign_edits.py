"""What a person might add to a live object beside our fields, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tests.engine.hand_edits import HARMLESS, Edit
from tests.examples import Identity


@dataclass(frozen=True, kw_only=True)
class Added:
    """One edit that admission lets through, and the field that is named; empty where it stays."""

    edit: Edit
    field: str

    def __str__(self) -> str:
        return str(self.edit).removeprefix(": ")


def _added(kind: str, namespace: str, name: str, *rows: tuple[str, dict[str, Any]]) -> list[Added]:
    of = Identity(kind, namespace, name)
    return [Added(edit=Edit("", of, tuple(row.items()), ""), field=field) for field, row in rows]


_TEMPLATE: Final = "/spec/template"
_POD: Final = f"{_TEMPLATE}/spec"
_MAIN: Final = f"{_POD}/containers/0"
_IN_POD: Final = "spec.template.spec"
_IN_MAIN: Final = f"{_IN_POD}.containers[name=model-server]"
_RESTART: Final = "kubectl.kubernetes.io/restartedAt"
_AT: Final = "2026-11-29T00:00:00Z"
_VOLUME: Final = {"emptyDir": {}, "name": "more"}
_SIDECAR: Final = {
    "image": f"registry.example.com/own/proxy@sha256:{'a' * 64}",
    "name": "proxy",
    "resources": {
        "limits": {"cpu": "100m", "ephemeral-storage": "1Gi", "memory": "64Mi"},
        "requests": {"cpu": "100m", "ephemeral-storage": "1Gi", "memory": "64Mi"},
    },
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    },
}
"""It meets every rule of security, and would sit beside the model in its network."""
_ALIAS: Final = {"hostnames": ["store.example.com"], "ip": "203.0.113.7"}
_EVERYTHING: Final = {
    "apiGroups": ["*"],
    "apiVersions": ["*"],
    "operations": ["*"],
    "resources": ["*"],
}
_NOBODY: Final = {"objectSelector": {"matchLabels": {"a": "b"}}}
_SET: Final = {"requestHeaderModifier": {"set": [{"name": "x", "value": "y"}]}}

_PODS: Final = (
    *_added(
        "Deployment",
        "search",
        "sentiment",
        (f"{_IN_MAIN}.env[name=DEBUG]", {f"{_MAIN}/env/-": {"name": "DEBUG", "value": "1"}}),
        (f"{_IN_POD}.containers[name=proxy]", {f"{_POD}/containers/-": _SIDECAR}),
        (f"{_IN_POD}.volumes[name=more]", {f"{_POD}/volumes/-": _VOLUME}),
        (
            f"{_IN_MAIN}.volumeMounts[mountPath=/more]",
            {
                f"{_POD}/volumes/-": _VOLUME,
                f"{_MAIN}/volumeMounts/-": {"mountPath": "/more", "name": "more"},
            },
        ),
        (f"{_IN_POD}.hostAliases", {f"{_POD}/hostAliases": [_ALIAS]}),
        (f"{_IN_POD}.nodeSelector", {f"{_POD}/nodeSelector/kubernetes.io~1os": "linux"}),
        (f"{_IN_POD}.tolerations", {f"{_POD}/tolerations/-": {"key": "x", "operator": "Exists"}}),
        (f"{_IN_POD}.schedulerName", {f"{_POD}/schedulerName": "other"}),
        (f"{_IN_POD}.priorityClassName", {f"{_POD}/priorityClassName": "system-node-critical"}),
        (
            f"{_IN_POD}.dnsConfig",
            {f"{_POD}/dnsPolicy": "None", f"{_POD}/dnsConfig": {"nameservers": ["203.0.113.7"]}},
        ),
        (f"{_IN_POD}.imagePullSecrets", {f"{_POD}/imagePullSecrets": [{"name": "x"}]}),
        (f"{_IN_POD}.shareProcessNamespace", {f"{_POD}/shareProcessNamespace": True}),
        (
            f"{_IN_MAIN}.lifecycle.postStart",
            {f"{_MAIN}/lifecycle/postStart": {"exec": {"command": ["true"]}}},
        ),
        (f"{_IN_MAIN}.stdin", {f"{_MAIN}/stdin": True}),
        (
            f"{_IN_MAIN}.ports[containerPort=9999,protocol=TCP]",
            {f"{_MAIN}/ports/-": {"containerPort": 9999, "protocol": "TCP"}},
        ),
        (
            f"{_IN_MAIN}.resources.limits.ephemeral-storage",
            {f"{_MAIN}/resources/limits/ephemeral-storage": "9Gi"},
        ),
        (
            "spec.template.metadata.labels.example.com/team",
            {f"{_TEMPLATE}/metadata/labels/example.com~1team": "blue"},
        ),
        ("metadata.labels.example.com/team", {"/metadata/labels/example.com~1team": "blue"}),
        ("metadata.finalizers[example.com/stay]", {"/metadata/finalizers": ["example.com/stay"]}),
        ("spec.paused", {"/spec/paused": True}),
        ("spec.minReadySeconds", {"/spec/minReadySeconds": 1}),
        ("", {"/spec/replicas": 2}),
        ("", {f"{_TEMPLATE}/metadata/annotations": {_RESTART: _AT}}),
    ),
    *_added(
        "DaemonSet",
        "isoserve-cache",
        "cache-gpu-l4-1",
        (
            f"{_IN_POD}.containers[name=agent].env[name=DEBUG]",
            {f"{_MAIN}/env/-": {"name": "DEBUG", "value": "1"}},
        ),
        (f"{_IN_POD}.nodeSelector", {f"{_POD}/nodeSelector/kubernetes.io~1hostname": "node-1"}),
    ),
    *_added(
        "CronJob",
        "search",
        "nightly-index",
        ("spec.suspend", {"/spec/suspend": True}),
        ("spec.jobTemplate.metadata", {"/spec/jobTemplate/metadata": {"labels": {"a": "b"}}}),
    ),
)
_AROUND: Final = (
    *_added(
        "Service",
        "search",
        "sentiment",
        ("spec.ports[port=81,protocol=TCP]", {"/spec/ports/-": {"name": "more", "port": 81}}),
        ("spec.selector", {"/spec/selector/example.com~1x": "y"}),
        ("spec.publishNotReadyAddresses", {"/spec/publishNotReadyAddresses": True}),
    ),
    *_added(
        "NetworkPolicy",
        "search",
        "sentiment--8000",
        ("spec.podSelector", {"/spec/podSelector/matchLabels/example.com~1x": "y"}),
    ),
    *_added(
        "ServiceAccount",
        "search",
        "sentiment",
        ("imagePullSecrets", {"/imagePullSecrets": [{"name": "x"}]}),
        (
            "metadata.annotations.eks.amazonaws.com/role-arn",
            {"/metadata/annotations/eks.amazonaws.com~1role-arn": "arn:aws:iam::1:role/x"},
        ),
    ),
    *_added(
        "ScaledObject",
        "search",
        "sentiment",
        (
            "metadata.annotations.autoscaling.keda.sh/paused",
            {"/metadata/annotations/autoscaling.keda.sh~1paused": "true"},
        ),
        ("spec.triggers", {"/spec/triggers/0/authenticationRef": {"name": "x"}}),
    ),
    *_added(
        "HTTPRoute",
        "chat",
        "helper",
        (
            "spec.rules",
            {
                "/spec/rules/1/backendRefs/0/filters": [
                    {"type": "RequestHeaderModifier", **_SET},
                ]
            },
        ),
    ),
    *_added("ConfigMap", "search", "prober", ("data.more", {"/data/more": "x"})),
    *_added("ResourceQuota", "search", "project", ("spec.hard.pods", {"/spec/hard/pods": "1"})),
)
_GUARD: Final = (
    *_added(
        "ValidatingAdmissionPolicy",
        "",
        "isoserve-rbac-least",
        (
            "spec.matchConditions",
            {"/spec/matchConditions": [{"expression": "false", "name": "never"}]},
        ),
        (
            "spec.matchConstraints",
            {"/spec/matchConstraints/excludeResourceRules": [_EVERYTHING]},
        ),
        ("spec.failurePolicy", {"/spec/failurePolicy": "Ignore"}),
        ("spec.validations", {"/spec/validations/0/expression": "true"}),
    ),
    *_added(
        "ValidatingAdmissionPolicyBinding",
        "",
        "isoserve-rbac-least",
        ("spec.matchResources", {"/spec/matchResources": _NOBODY}),
        ("spec.validationActions", {"/spec/validationActions": ["Audit"]}),
    ),
)
_FIELDS: Final = (
    "metadata.annotations.example.com/note",
    "",  # the prober's replicas: whoever scales by hand
    f"{_IN_MAIN}.args",
    "metadata.labels.example.com/cost-centre",
    f"{_IN_MAIN}.volumeMounts[mountPath=/tmp/look]",
    "spec.sessionAffinity",
    "spec.maxUnavailable",
    "spec.maxReplicaCount",
    "spec.ingress",
    "spec.egress",
    "spec.rules",
)

ADDED: Final = (
    *(Added(edit=e, field=f) for e, f in zip(HARMLESS, _FIELDS, strict=True)),
    *_PODS,
    *_AROUND,
    *_GUARD,
)
"""None is refused by admission: an incident needs free hands, and nothing judges the guard's own
objects (kubernetes, test/integration/apiserver/cel, Test_PolicyExemption)."""
