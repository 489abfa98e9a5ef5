"""Whether a pool holds old and new pods at once, where it holds either plan's.

`up` adds before it removes: a candidate that is called off, or on-demand replicas that spot ones
stand in for, are there until the others are ready, and a rollout has a replica more. The most is
asked for when all that grows has grown and nothing has shrunk or gone; no row of components.order
forbids that moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from components.model_server import deployment
from regions.model_plan import JobPlan, ServerPlan, TrackPlan
from regions.plan import RegionPlan
from regions.pools import capacity_of, demand
from stacks.reviewing.sides import Sides
from stacks.reviewing.transitions import CROWDED, Finding

Pool = tuple[str, str]
"""Machine type and capacity."""


def _pool(track: TrackPlan) -> Pool:
    return track.placement.machine_type, capacity_of(track)


def most_asked(old: ServerPlan | None, new: ServerPlan | None) -> dict[str, Counter[Pool]]:
    """The most pods of each Deployment that are asked for at one moment between two plans of a
    model, at its least replicas."""
    olds, news = ({t.name: t for t in side.tracks} if side else {} for side in (old, new))
    found: dict[str, Counter[Pool]] = {}
    for name in sorted({*olds, *news}):
        was, gets = olds.get(name), news.get(name)
        before = Counter({_pool(was): was.scaler.min}) if was else Counter[Pool]()
        after = Counter({_pool(gets): gets.scaler.min}) if gets else Counter[Pool]()
        if was and gets and old and new:
            before_pods, after_pods = deployment(old, was), deployment(new, gets)
            if before_pods["spec"]["template"] != after_pods["spec"]["template"]:
                after[_pool(gets)] += gets.surge
        found[name] = before | after
    return found


def crowded(region: str, old: RegionPlan, new: RegionPlan) -> Iterator[Finding]:
    """The models that ask for more on the way than a pool holds, though it holds both plans."""
    before, after = (demand(plan.servers, plan.jobs) for plan in (old, new))
    olds, news = ({s.workload.id: s for s in plan.servers} for plan in (old, new))
    changed = [m for m in sorted({*olds, *news}) if olds.get(m) != news.get(m)]
    asked = {model: most_asked(olds.get(model), news.get(model)) for model in changed}
    same = [server for server in old.servers if server.workload.id not in asked]
    peak = _jobs(old.jobs) | _jobs(new.jobs)
    peak.update({pool: least for pool, (least, _, _) in demand(same, ()).items()})
    for counts in asked.values():
        for count in counts.values():
            peak.update(count)
    for pool, room in _rooms(old, new).items():
        ends = [side[pool][0] if pool in side else 0 for side in (before, after)]
        if max(ends) > room or peak[pool] <= room:
            continue
        machine, capacity = pool
        for model, counts in asked.items():
            if not any(count[pool] for count in counts.values()):
                continue
            yield Finding(
                model=model,
                region=region,
                name=CROWDED,
                reason=f"{peak[pool]} {capacity} replicas of {machine} are asked for at one "
                f"moment, and the pool holds {room}, so that `up` may wait for pods that no node "
                f"takes",
                order=tuple(
                    f"Deployment {model.partition('/')[0]}/{name} has all its pods"
                    for name, count in counts.items()
                    if count[pool]
                ),
                cure=f"raise the most replicas of the pool by {peak[pool] - room}, or change one "
                f"thing at a time: first what removes, then what adds",
            )


def _jobs(jobs: tuple[JobPlan, ...]) -> Counter[Pool]:
    found: Counter[Pool] = Counter()
    for job in jobs:
        found[job.placement.machine_type, job.capacity] += job.parallelism
    return found


def _rooms(old: RegionPlan, new: RegionPlan) -> dict[Pool, int]:
    """How many replicas each pool holds at the most, before and after."""
    found: dict[Pool, int] = {}
    for plan in (old, new):
        for pool in plan.pools:
            for group in pool.groups:
                key, room = (pool.machine_type, group.capacity), group.max * pool.replicas_per_node
                found[key] = min(room, found.get(key, room))
    return found


def side_by_side(sides: Sides) -> list[Finding]:
    """What does not fit on the way, in every region that both sides plan."""
    found: list[Finding] = []
    for region in sides.compared:
        old, new = sides.base.plans.get(region), sides.work.plans.get(region)
        if old is not None and new is not None and old != new:
            found += crowded(region, old, new)
    return found
