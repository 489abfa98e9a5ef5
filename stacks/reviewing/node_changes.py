"""Which nodes a change renews or replaces, in what order, and what stands on them.

A profile's instance types, subnets, disks and security groups are of whole pools: no model's own
objects change, and every pod moves all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from regions.model_plan import JobPlan, ServerPlan, TrackPlan
from regions.plan import NodeGroupPlan, PoolPlan, RegionPlan
from regions.pools import capacity_of
from stacks.reviewing.sides import Sides
from stacks.reviewing.steps import REPLACE, UPDATE, Step

RENEWED, REPLACED = "renewed", "replaced"
_ORDER: Final = {
    # docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html; our node groups
    # have maxUnavailable 1 (components/aws.py).
    RENEWED: (
        "up to two new nodes a zone start first, then one old node after the other is drained and "
        "its pods start on another"
    ),
    # components/aws.py: the name has a digest of what is fixed, and delete_before_replace is off.
    REPLACED: (
        "a new group is made first, then all old nodes are drained and go: for a while it needs "
        "capacity and quota for both, and without it the old one stays"
    ),
}
"""How the nodes go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """Nodes of one capacity type that a step renews or replaces, for the fields `because`.

    Pods, nodes and bytes are at least and at most; bytes are those of all new nodes and pods.
    """

    region: str
    machine_type: str
    capacity: str
    how: str
    because: tuple[str, ...]
    nodes: tuple[int, int]
    pods: tuple[int, int]
    models: tuple[str, ...]
    fetched_bytes: tuple[int, int]
    holds_all: bool
    """Whether each of the nodes has room for all models of its machine type."""

    @property
    def order(self) -> str:
        """What goes before what."""
        return _ORDER[self.how]


def standing(plan: RegionPlan, machine: str, capacity: str) -> Iterator[tuple[str, TrackPlan]]:
    """Ids and tracks of the servers whose pods stand on these nodes."""
    for server in plan.servers:
        for track in server.tracks:
            if (track.placement.machine_type, capacity_of(track)) == (machine, capacity):
                yield server.workload.id, track


def running(plan: RegionPlan, machine: str, capacity: str) -> Iterator[JobPlan]:
    """The jobs whose pods stand on these nodes while they run."""
    if capacity == "on_demand":
        yield from (job for job in plan.jobs if job.placement.machine_type == machine)


def _fetched(plan: RegionPlan, machine: str, nodes: int, pods: list[tuple[TrackPlan, int]]) -> int:
    """Bytes that new nodes fetch to fill their caches, and moved pods for themselves."""
    kept = sum(cache.most_bytes for cache in plan.caches if cache.machine_type == machine)
    own = sum(t.weights.bytes * count for t, count in pods if t.weights.mode == "download")
    return nodes * kept + own


def _change(
    plan: RegionPlan, pool: PoolPlan, group: NodeGroupPlan, how: str, because: tuple[str, ...]
) -> NodeChange:
    machine = pool.machine_type
    tracks = list(standing(plan, machine, group.capacity))
    jobs = list(running(plan, machine, group.capacity))
    least = [(track, track.scaler.min) for _, track in tracks]
    most = [(track, track.scaler.max) for _, track in tracks]
    nodes = (group.desired, group.max)
    return NodeChange(
        region=plan.region,
        machine_type=machine,
        capacity=group.capacity,
        how=how,
        because=because,
        nodes=nodes,
        pods=(sum(n for _, n in least), sum(n for _, n in most) + sum(j.parallelism for j in jobs)),
        models=tuple(sorted({*(name for name, _ in tracks), *(j.workload.id for j in jobs)})),
        fetched_bytes=(
            _fetched(plan, machine, nodes[0], least),
            _fetched(plan, machine, nodes[1], most),
        ),
        holds_all=all(one.is_whole for one in plan.caches if one.machine_type == machine),
    )


def _paths(step: Step | None) -> tuple[str, ...]:
    return tuple(change.path for change in step.changes) if step else ()


def _of_pool(
    plan: RegionPlan, pool: PoolPlan, steps: dict[tuple[str, str], Step]
) -> Iterator[NodeChange]:
    template = steps.get(("LaunchTemplate", pool.name))
    for group in pool.groups:
        name = f"{pool.name}-{group.capacity.replace('_', '-')}"
        own = steps.get(("NodeGroup", name))
        if own and own.operation == REPLACE:
            yield _change(plan, pool, group, REPLACED, own.because)
        elif template and template.operation == UPDATE and not (own and own.operation != UPDATE):
            yield _change(plan, pool, group, RENEWED, _paths(template))


def node_changes(sides: Sides, steps: Iterable[Step]) -> list[NodeChange]:
    """All nodes that go, by region, machine type and capacity. A pool that is new or goes as a
    whole is not among them, since its models say so themselves."""
    of_nodes = [step for step in steps if step.key.kind in ("LaunchTemplate", "NodeGroup")]
    found: list[NodeChange] = []
    for region in sides.compared:
        plan = sides.work.plans.get(region)
        mine = {(s.key.kind, s.key.name): s for s in of_nodes if region in s.regions}
        for pool in plan.pools if plan and mine else ():
            found += _of_pool(plan, pool, mine) if plan else ()
    return found


def moved_pods(
    model: ServerPlan | JobPlan | None, changes: Iterable[NodeChange]
) -> Iterator[tuple[NodeChange, TrackPlan]]:
    """The tracks of a model whose nodes go, each with the change."""
    for change in changes:
        for track in model.tracks if isinstance(model, ServerPlan) else ():
            where = (track.placement.machine_type, capacity_of(track))
            if where == (change.machine_type, change.capacity):
                yield change, track
