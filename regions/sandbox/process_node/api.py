"""The kubelet's writes, for which the sandbox's small client has no words."""

from __future__ import annotations

from typing import Final

from regions.sandbox.kube import Cluster, Object, Refused

_MERGE: Final = "application/strategic-merge-patch+json"
_GONE_OR_ANOTHER: Final = (404, 409)


def create(cluster: Cluster, path: str, body: Object) -> Object:
    """POST an object to its collection. Raises SandboxError, Refused when the server said no."""
    return cluster.send("POST", path, body, "application/json")


def patch(cluster: Cluster, path: str, changes: Object) -> Object:
    """Merge changes in: conditions by their type, so that those of others stay."""
    return cluster.send("PATCH", path, changes, _MERGE)


def delete_now(cluster: Cluster, path: str, uid: str) -> None:
    """Delete exactly this pod without further grace; one that is gone or another is fine."""
    body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
    try:
        cluster.send("DELETE", path, body, "application/json")
    except Refused as refused:
        if refused.status not in _GONE_OR_ANOTHER:
            raise
