"""PlatformSpace: the namespaces and priorities that the region's own parts live in."""

from __future__ import annotations

from typing import Final

from components.kube import Object, head
from model_specs.names import CACHE_NAMESPACE
from regions.plan import RegionPlan

# The cache agent writes to node disk (hostPath), which `restricted` forbids; nothing else may.
_POD_SECURITY: Final = {CACHE_NAMESPACE: "privileged"}


def namespace(name: str, labels: dict[str, str], level: str) -> Object:
    """A namespace whose pods the API server holds to Pod Security `level`."""
    return head(
        "v1",
        "Namespace",
        name,
        "",
        {
            **labels,
            "pod-security.kubernetes.io/audit": "restricted",
            "pod-security.kubernetes.io/enforce": level,
            "pod-security.kubernetes.io/enforce-version": "latest",
            "pod-security.kubernetes.io/warn": level,
        },
        {},
    )


def objects(plan: RegionPlan) -> list[Object]:
    """Namespaces and priority classes; none where the region gives namespace rights only."""
    spaces = [
        namespace(name, {"isoserve.dev/platform": "true"}, _POD_SECURITY.get(name, "restricted"))
        for name in plan.system_namespaces
    ]
    priorities = [
        head("scheduling.k8s.io/v1", "PriorityClass", name, "", {}, {})
        | {
            "value": value,
            "preemptionPolicy": "PreemptLowerPriority",
            "description": "isoserve: a higher value takes the GPUs of a lower one.",
        }
        for name, value in plan.priority_classes
    ]
    return [*spaces, *priorities]
