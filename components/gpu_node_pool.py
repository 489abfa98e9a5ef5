"""GpuNodePool: the nodes of one machine type on our own metal, marked for it.

On AWS the same plan becomes a launch template and node groups (components/aws.py).
"""

from __future__ import annotations

from components.kube import Object, head
from model_specs.names import LABEL_CAPACITY
from regions.plan import PoolPlan


def node_labels(plan: PoolPlan, capacity: str) -> dict[str, str]:
    """What a node of the pool carries, whoever puts it there."""
    return {**plan.labels, LABEL_CAPACITY: capacity}


def objects(plan: PoolPlan) -> list[Object]:
    """Labels and taints of each listed node (`on_demand` all), applied as a NodePatch.

    Every other field of a Node has another owner (kubelet, device plugin), so a patch and never
    the whole object.
    """
    found = []
    for group in plan.groups:
        taints = [{"effect": "NoSchedule", "key": t.key, "value": t.value} for t in group.taints]
        spec: Object = {"spec": {"taints": taints}} if taints else {}
        found += [
            head("v1", "Node", name, "", node_labels(plan, group.capacity), {}) | spec
            for name in plan.node_names
        ]
    return found
