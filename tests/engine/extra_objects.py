"""Objects that a hand might make in a namespace of ours; admission lets each of them through."""

from __future__ import annotations

from typing import Any, Final

from components.kube import Object

_IMAGE: Final = f"registry.example.com/own/tool@sha256:{'a' * 64}"
_CONTAINER: Final[Object] = {
    "image": _IMAGE,
    "name": "tool",
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
_POD: Final[Object] = {
    "automountServiceAccountToken": False,
    "containers": [_CONTAINER],
    "restartPolicy": "Never",
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000,
                        "seccompProfile": {"type": "RuntimeDefault"}},
}  # fmt: skip
_LABELS: Final = {"app": "by-hand"}
_TEMPLATE: Final[Object] = {
    "metadata": {"labels": _LABELS},
    "spec": {key: value for key, value in _POD.items() if key != "restartPolicy"},
}
_WORKLOAD: Final[Object] = {
    "replicas": 0,
    "selector": {"matchLabels": _LABELS},
    "template": _TEMPLATE,
}
_NOTHING: Final[Object] = {"podSelector": {"matchLabels": _LABELS}, "policyTypes": ["Ingress"]}
_RBAC: Final = "rbac.authorization.k8s.io"
_TARGET: Final = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}


def _made(version: str, kind: str, namespace: str = "chat", **fields: Any) -> Object:
    metadata = {"name": "by-hand", "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


EXTRA: Final[tuple[Object, ...]] = (
    _made("v1", "ConfigMap", data={"a": "b"}),
    _made("v1", "ConfigMap", "isoserve-cache", data={"a": "b"}),
    _made("v1", "Secret", stringData={"a": "b"}),
    _made("v1", "Secret", "isoserve-gateway", stringData={"a": "b"}),
    _made("v1", "Service", spec={"ports": [{"port": 80}], "selector": _LABELS}),
    _made("v1", "ServiceAccount", automountServiceAccountToken=False),
    _made("v1", "Pod", spec=_POD),
    _made("v1", "LimitRange", spec={"limits": [{"max": {"cpu": "8"}, "type": "Container"}]}),
    _made("v1", "ResourceQuota", spec={"hard": {"pods": "50"}}),
    _made(
        "v1",
        "PersistentVolumeClaim",
        spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    ),
    _made("apps/v1", "Deployment", spec=_WORKLOAD),
    _made("apps/v1", "ReplicaSet", spec=_WORKLOAD),
    _made("apps/v1", "StatefulSet", spec={**_WORKLOAD, "serviceName": "by-hand"}),
    _made("batch/v1", "Job", spec={"suspend": True, "template": {"spec": _POD}}),
    _made(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        spec={
            "maxReplicas": 3,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "by-hand"},
        },
    ),
    _made(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        addressType="IPv4",
        endpoints=[{"addresses": ["203.0.113.7"]}],
        ports=[{"port": 80}],
    ),
    _made("networking.k8s.io/v1", "NetworkPolicy", spec=_NOTHING),
    _made("policy/v1", "PodDisruptionBudget", spec={
        "maxUnavailable": 1, "selector": {"matchLabels": _LABELS},
        "unhealthyPodEvictionPolicy": "AlwaysAllow"}),
    _made(
        f"{_RBAC}/v1",
        "Role",
        rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    ),
    _made(
        "gateway.envoyproxy.io/v1alpha1",
        "ClientTrafficPolicy",
        "isoserve-gateway",
        spec={"targetRefs": [_TARGET]},
    ),
    _made(
        "gateway.envoyproxy.io/v1alpha1",
        "Backend",
        spec={"endpoints": [{"ip": {"address": "203.0.113.7", "port": 80}}]},
    ),
    _made("keda.sh/v1alpha1", "TriggerAuthentication", spec={"env": []}),
    _made("monitoring.coreos.com/v1", "PodMonitor", spec={
        "podMetricsEndpoints": [{"port": "x"}], "selector": {"matchLabels": _LABELS}}),
    _made(
        "monitoring.coreos.com/v1",
        "PrometheusRule",
        spec={"groups": [{"name": "g", "rules": [{"expr": "1", "record": "a:b"}]}]},
    ),
)  # fmt: skip
"""A row for most of KINDS; what the guard refuses by hand is in hand_edits."""
