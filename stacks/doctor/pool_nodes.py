"""The pools of a profile, and the nodes that the cluster has of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from components.gpu_node_pool import node_labels
from components.kube import Object
from model_specs.names import LABEL_MACHINE
from regions.abilities import FEATURES, Abilities
from regions.machines import MACHINES, MachineType
from regions.offers import Offer
from regions.plan import PoolPlan
from regions.pools import pools
from stacks.doctor.findings import Site, condition, inside
from stacks.doctor.scheduling import Place, Taint, lasting_taints

_NODES: Final = "/api/v1/nodes"
_CAPACITIES: Final = ("on_demand", "spot")
_INSTANCE_TYPE: Final = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
"""Set by the cloud provider, in both spellings. Source: kubernetes.io, "Well-Known Labels,
Annotations and Taints"."""
_OPERATOR: Final = ("nvidia.com/gpu.present", "nvidia.com/gpu.deploy.device-plugin")
"""NVIDIA's GPU operator puts the second label on nodes with the first, and its device plugin on
nodes with the second. Source: NVIDIA/gpu-operator, controllers/nodelabeling_controller_test.go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The nodes of one machine type: as they are planned, and as the cluster has them (`nodes`)."""

    plan: PoolPlan
    offer: Offer
    row: MachineType
    nodes: tuple[Object, ...]

    @property
    def machine(self) -> str:
        """The machine type's name."""
        return self.row.name

    def advertised(self, node: Object) -> int:
        """How many GPUs a node offers to pods; 0 where its device plugin does not run."""
        return int(inside(node, "status", "allocatable", self.row.kind.resource) or 0)


def name_of(node: Object) -> str:
    """A node's name."""
    return str(inside(node, "metadata", "name"))


def is_ready(node: Object) -> bool:
    """Whether the kubelet says that the node takes pods."""
    return bool(condition(node, "Ready").get("status") == "True")


def pools_of(site: Site) -> tuple[Pool, ...]:
    """A pool for each machine type of the profile whose nodes are real.

    Nodes are found by the label of their machine type, and listed ones by their names, since they
    carry the label only after the first `up`.
    """
    profile = site.profile
    # Labels and taints are the same where others put them on the nodes.
    present = frozenset({*site.capabilities, FEATURES["node labels"].capability})
    wanted = {(name, of): (0, 0, 0) for name in profile.machines for of in _CAPACITIES}
    nodes = site.listed(_NODES) or []
    return tuple(
        Pool(plan=plan, offer=offer, row=MACHINES[plan.machine_type], nodes=_own(nodes, plan))
        for plan in pools(profile, Abilities(site.region, present), wanted)
        if not (offer := profile.machines[plan.machine_type]).simulated
    )


def _own(nodes: list[Object], plan: PoolPlan) -> tuple[Object, ...]:
    return tuple(
        node
        for node in nodes
        if inside(node, "metadata", "labels", LABEL_MACHINE) == plan.machine_type
        or name_of(node) in plan.node_names
    )


def places(pool: Pool) -> Iterator[Place]:
    """The nodes that a device plugin must reach: those to come, and those that are there.

    A node that offers its GPUs is left out: whatever brings them runs there.
    """
    planned = list(_planned(pool))
    if not pool.plan.node_names:
        yield from planned
    at_work = {name_of(node) for node in pool.nodes if pool.advertised(node)}
    known = {name_of(node): node for node in pool.nodes}
    for name in pool.plan.node_names or sorted(known):
        if name not in at_work:
            yield _live(name, known.get(name, {}), planned[0] if pool.plan.node_names else None)


def _live(name: str, node: Object, after_up: Place | None) -> Place:
    """A node of the cluster, with what `up` will put on a listed one."""
    labels = inside(node, "metadata", "labels") or {}
    taints = lasting_taints(node)
    if after_up is None:
        return Place(name=name, labels=labels, taints=taints)
    more = tuple(one for one in after_up.taints if one not in taints)
    return Place(name=name, labels={**after_up.labels, **labels}, taints=(*taints, *more))


def _planned(pool: Pool) -> Iterator[Place]:
    """A node of each group and instance type, as it is made."""
    others = tuple(
        Taint(key=one.key, value=one.value, effect="NoSchedule") for one in pool.offer.taints
    )
    for group in pool.plan.groups:
        own = tuple(Taint(key=t.key, value=t.value, effect="NoSchedule") for t in group.taints)
        labels = {
            **node_labels(pool.plan, group.capacity),
            "kubernetes.io/arch": pool.row.architecture,
            "kubernetes.io/os": "linux",
        }
        if labels.get(_OPERATOR[0]) == "true":
            labels[_OPERATOR[1]] = "true"
        for instance in pool.plan.instance_types or ("",):
            kind = dict.fromkeys(_INSTANCE_TYPE, instance) if instance else {}
            yield Place(name="", labels={**labels, **kind}, taints=(*own, *others))
