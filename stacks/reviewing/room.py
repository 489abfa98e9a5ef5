"""How much of each pool and of each project's GPU quota is taken, before and after."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from regions.machines import MACHINES
from regions.plan import RegionPlan
from regions.pools import demand, nodes_of
from stacks.reviewing.sides import Side, Sides
from stacks.reviewing.sizes import Use


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Replicas at least and at most, of so many that there is room for."""

    least: int
    most: int
    room: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A pool's nodes of one capacity (`unit` is slots), or a project's quota (`unit` is GPUs)."""

    region: str
    unit: str
    owner: str
    machine: str
    capacity: str
    before: Taken | None
    after: Taken | None

    @property
    def is_changed(self) -> bool:
        """Whether the review need show it openly."""
        return self.before != self.after


def _slots(side: Side, region: str) -> dict[tuple[str, str], Taken]:
    plan = side.plans.get(region)
    if plan is None or side.tree is None:
        return {}
    machines = side.tree.profiles[region].machines
    found = {}
    for (machine, capacity), (least, most, _) in demand(plan.servers, plan.jobs).items():
        offer = machines[machine]
        room = nodes_of(offer, capacity).max * offer.replicas_per_node
        found[machine, capacity] = Taken(least=least, most=most, room=room)
    return found


def _quotas(side: Side, region: str, uses: list[Use]) -> dict[tuple[str, str], Taken]:
    """By project and machine type; the plan refuses what is over it at most replicas."""
    if side.tree is None or region not in side.plans:
        return {}
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for use in uses:
        gpus = MACHINES[use.machine].gpus
        if gpus:
            row = sums[use.project, use.machine]
            row[0] += gpus * int(use.replicas[0])
            row[1] += gpus * int(use.replicas[-1])
    projects = side.tree.specs.projects
    return {
        (project, machine): Taken(
            least=least, most=most, room=projects[project].spec.gpu_quota.get(machine, 0)
        )
        for (project, machine), (least, most) in sums.items()
    }


def rows(sides: Sides, before: dict[str, list[Use]], after: dict[str, list[Use]]) -> list[Row]:
    """Every pool and quota that either side uses, by region."""
    found: list[Row] = []
    for region in sides.compared:
        old, new = _slots(sides.base, region), _slots(sides.work, region)
        found += [
            Row(
                region=region,
                unit="slots",
                owner="",
                machine=key[0],
                capacity=key[1],
                before=old.get(key),
                after=new.get(key),
            )
            for key in sorted({*old, *new})
        ]
        old = _quotas(sides.base, region, before.get(region, []))
        new = _quotas(sides.work, region, after.get(region, []))
        found += [
            Row(
                region=region,
                unit="GPUs",
                owner=key[0],
                machine=key[1],
                capacity="",
                before=old.get(key),
                after=new.get(key),
            )
            for key in sorted({*old, *new})
        ]
    return found


def surges(plan: RegionPlan | None) -> dict[str, dict[str, int]]:
    """The surge of each Deployment, by model and name."""
    servers = plan.servers if plan else ()
    return {s.workload.id: {track.name: track.surge for track in s.tracks} for s in servers}
