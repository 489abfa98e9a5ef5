"""The row rate-limit-counter: where Envoy Gateway's rate limit counts, a Valkey in memory.

No chart of Envoy Gateway brings one. It is one pod, and what it has counted is gone with it:
callers then begin a new minute. While it is away Envoy lets requests pass (`failClosed` of the rate
limit is false by default: api/v1alpha1/envoygateway_types.go of envoyproxy/gateway@v1.9.1).
"""

from __future__ import annotations

from typing import Any, Final

from regions.addons import ADDONS

Object = dict[str, Any]

NAME: Final = "rate-limit-counter"
_ROW: Final = ADDONS[NAME]
_PORT: Final = 6379
URL: Final = f"{NAME}.{_ROW.namespace}.svc.cluster.local:{_PORT}"
"""Where the rate limit service finds it."""
IMAGE: Final = f"docker.io/valkey/valkey:{_ROW.version}-alpine"
VALUES: Final[Object] = {"image": IMAGE, "nodeSelector": {}, "tolerations": []}
"""What a profile's addon_values may say otherwise: of the pod, fields of Kubernetes."""
_LABELS: Final = {"app.kubernetes.io/name": NAME}
_LIMITER: Final = {"app.kubernetes.io/name": "envoy-ratelimit"}
"""Pods of the rate limit service (internal/infrastructure/kubernetes/ratelimit/resource.go)."""
_MEMORY_MIB: Final = 128
_COUNTED_MIB: Final = 96
_USER: Final = 999
"""Of the image's `valkey` user (valkey-io/valkey-container, Dockerfile)."""


def objects(values: Object) -> list[Object]:
    """The Deployment, its Service, and the policy by which the rate limit service alone asks it.

    `values` are those of `VALUES`.
    """
    return [_deployment(values), _service(), _policy()]


def _head(api_version: str, kind: str) -> Object:
    metadata = {"name": NAME, "namespace": _ROW.namespace, "labels": _LABELS}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _deployment(values: Object) -> Object:
    words = ["--save", "", "--appendonly", "no", "--maxmemory", f"{_COUNTED_MIB}mb"]
    # Without a password it would answer its own pod alone; the policy below says who may ask.
    words += ["--protected-mode", "no"]
    memory = {"memory": f"{_MEMORY_MIB}Mi"}
    container = {
        "name": NAME,
        "image": values["image"],
        # Counters end by themselves: those that end next make room for new ones.
        "args": [*words, "--maxmemory-policy", "volatile-ttl"],
        "ports": [{"name": "redis", "containerPort": _PORT}],
        "readinessProbe": {"tcpSocket": {"port": "redis"}, "periodSeconds": 2},
        "resources": {"requests": memory, "limits": memory},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod = {
        "automountServiceAccountToken": False,
        "containers": [container],
        "enableServiceLinks": False,
        "nodeSelector": values["nodeSelector"],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": values["tolerations"],
    }
    return _head("apps/v1", "Deployment") | {
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        }
    }


def _service() -> Object:
    port = {"name": "redis", "port": _PORT, "targetPort": "redis"}
    return _head("v1", "Service") | {"spec": {"selector": _LABELS, "ports": [port]}}


def _policy() -> Object:
    peer = {"podSelector": {"matchLabels": _LIMITER}}
    return _head("networking.k8s.io/v1", "NetworkPolicy") | {
        "spec": {
            "podSelector": {"matchLabels": _LABELS},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [peer], "ports": [{"port": _PORT, "protocol": "TCP"}]}],
        }
    }
