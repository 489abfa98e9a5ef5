"""What a change does to a model that runs: which pods restart, what is fetched again, who sees it.

Times are upper bounds from the plan's own clocks and the machine's rates; they are never measured.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from regions.model_plan import AccessPlan, JobPlan, ServerPlan, TrackPlan, WeightsPlan
from regions.plan import CachePlan, RegionPlan
from stacks.outcome import count
from stacks.reviewing.node_changes import NodeChange, moved_pods
from stacks.reviewing.sides import Sides
from stacks.reviewing.steps import CREATE, DELETE, REPLACE, UPDATE, Step

RESTART, MOVE, FETCH, TRAFFIC, SCALE = "restart", "move", "fetch", "traffic", "scale"
ACCESS, WATCH, RUN, GONE, OTHER = "access", "watch", "run", "gone", "other"
START: Final = "start"
_WATCHED: Final = frozenset({"SyntheticProbe", "ServiceDashboard"})
_MIB: Final = 1024 * 1024
_GB: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class Effect:
    """One consequence. `pods` restart at most; nothing but `restart` and `move` has any."""

    kind: str
    text: str
    pods: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What one model's change does, in regions where it does just that."""

    model: str
    effects: tuple[Effect, ...]
    regions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """One model in one region on both sides, and the steps of its objects there."""

    old: ServerPlan | JobPlan | None
    new: ServerPlan | JobPlan | None
    old_plan: RegionPlan | None
    new_plan: RegionPlan | None
    steps: list[Step]
    nodes: list[NodeChange]
    """Of its region."""


def size(number: int) -> str:
    """`141.1 GB`, `0.6 GB`, `12 MB`."""
    return f"{number / _GB:.1f} GB" if number >= _GB / 10 else f"{math.ceil(number / 1_000_000)} MB"


def duration(seconds: float) -> str:
    """`45 s`, `10 min`, `2.5 h`, rounded up."""
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def span(low: float, high: float) -> str:
    """`2`, or `1 to 2`."""
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _tracks(plan: ServerPlan | JobPlan | None) -> dict[str, TrackPlan]:
    return {t.name: t for t in plan.tracks} if isinstance(plan, ServerPlan) else {}


def _restarting(model: _Model) -> Iterator[tuple[TrackPlan, Step]]:
    tracks = _tracks(model.new)
    for step in model.steps:
        if step.key.kind != "Deployment" or step.key.name not in tracks:
            continue
        template = any(change.path.startswith("spec.template") for change in step.changes)
        if step.operation == REPLACE or (step.operation == UPDATE and template):
            yield tracks[step.key.name], step


def _restart(model: _Model) -> Iterator[Effect]:
    for track, step in _restarting(model):
        least, most = track.scaler.min, track.scaler.max
        each = track.startup.budget_seconds + track.drain.grace_seconds
        whole = f"{duration(each)} each, {duration(each * most)} for all at most"
        if step.operation == REPLACE:
            how = "all at once: the Deployment is deleted first, an outage"
        elif track.surge:
            how = f"one at a time beside the old one, up to {whole}"
        else:
            how = f"one at a time without surge, so one fewer serves, up to {whole}"
        noun, verb = ("pod", "restarts") if most == 1 else ("pods", "restart")
        said = f"{span(least, most)} {noun} of {track.name} {verb}, {how}"
        yield Effect(RESTART, said, most)


def _move(model: _Model) -> Iterator[Effect]:
    """Pods that go with their nodes, and what is fetched where they start again."""
    restarting = {track.name for track, _ in _restarting(model)}
    old = _tracks(model.old)
    for change, track in moved_pods(model.new, model.nodes):
        if track.name not in old or _pool(old[track.name]) != _pool(track):
            continue  # it was not there
        least, most = track.scaler.min, track.scaler.max
        noun, verb = ("pod", "moves") if most == 1 else ("pods", "move")
        each = duration(track.startup.budget_seconds)
        said = f"{span(least, most)} {noun} of {track.name} {verb}, up to {each} each"
        yield Effect(MOVE, f"{said}: {_going(change)}", most)
        if not (track.weights.mode == "download" and track.name in restarting):
            yield Effect(FETCH, _again(change, track), 0)
    for change in model.nodes:
        job = model.new
        if isinstance(job, JobPlan) and job.workload.id in change.models:
            said = f"a run that is under way loses {count(job.parallelism, 'pod')} and starts anew"
            yield Effect(MOVE, f"{said}: {_going(change)}", job.parallelism)


def _going(change: NodeChange) -> str:
    spot = " spot" if change.capacity == "spot" else ""
    return f"its nodes are {change.how} ({span(*change.nodes)} of {change.machine_type}{spot})"


def _again(change: NodeChange, track: TrackPlan) -> str:
    seconds = track.weights.bytes / _MIB / track.weights.fetch_mib_per_second
    where = "each pod that moves"
    if track.weights.mode == "cache":
        where = f"each of {span(*change.nodes)} new nodes"
        where += "" if change.holds_all or track.weights.pinned else " that one of its pods is on"
    return (
        f"{size(track.weights.bytes)} fetched again by {where}, about {duration(seconds)} on each"
    )


def _nodes(plan: RegionPlan | None, machine: str) -> str:
    """How many nodes hold the files."""
    pools = [pool for pool in plan.pools if pool.machine_type == machine] if plan else []
    least = sum(g.desired for pool in pools for g in pool.groups)
    most = sum(g.max for pool in pools for g in pool.groups)
    return f"{span(least, most)} nodes of {machine}" if pools else f"every node of {machine}"


def _fetched(model: _Model, weights: WeightsPlan, machine: str, pods: str) -> str:
    seconds = weights.bytes / _MIB / weights.fetch_mib_per_second
    rate = f"about {duration(seconds)} at {weights.fetch_mib_per_second} MiB/s"
    if weights.mode == "download":
        return f"{size(weights.bytes)} fetched by {pods}, {rate}"
    old, new = _cache(model.old_plan, machine), _cache(model.new_plan, machine)
    if old and old.is_whole and weights.digest in {one.digest for one in old.models}:
        return f"{size(weights.bytes)} are on the nodes of {machine} already, nothing is fetched"
    where = _nodes(model.new_plan, machine)
    if new and not new.is_whole and not weights.pinned:
        where = f"those of {where} that one of its pods is on, and others while there is room"
    return f"{size(weights.bytes)} fetched to {where}, {rate} on each"


def _cache(plan: RegionPlan | None, machine: str) -> CachePlan | None:
    caches = plan.caches if plan else ()
    return next((one for one in caches if one.machine_type == machine), None)


def _fetch(model: _Model) -> Iterator[Effect]:
    old = _tracks(model.old)
    restarting = {track.name for track, _ in _restarting(model)}
    for name, track in _tracks(model.new).items():
        before = old.get(name)
        new_files = before is None or before.weights.digest != track.weights.digest
        moved = before is not None and (
            before.placement.machine_type != track.placement.machine_type
            or before.weights.mode != track.weights.mode
        )
        again = track.weights.mode == "download" and name in restarting
        if new_files or moved or again:
            machine = track.placement.machine_type
            said = _fetched(model, track.weights, machine, f"each new pod of {name}")
            yield Effect(FETCH, said, 0)
    if isinstance(model.new, JobPlan) and model.steps:
        job = model.new
        if not isinstance(model.old, JobPlan) or model.old.weights != job.weights:
            said = _fetched(model, job.weights, job.placement.machine_type, "each pod of a run")
            yield Effect(FETCH, said, 0)


def _start(model: _Model) -> Iterator[Effect]:
    """New Deployments, those of a new model among them."""
    old = _tracks(model.old)
    for name, track in _tracks(model.new).items():
        if name not in old:
            yield Effect(START, f"{name} starts with {_pods(track)} on {_pool(track)}", 0)
        elif _pool(old[name]) != _pool(track):
            yield Effect(START, f"{name} moves from {_pool(old[name])} to {_pool(track)}", 0)


def _pods(track: TrackPlan) -> str:
    pods = span(track.scaler.min, track.scaler.max)
    return f"{pods} pod" if pods == "1" else f"{pods} pods"


def _pool(track: TrackPlan) -> str:
    spot = " spot" if track.track == "spot" else ""
    return f"{track.placement.machine_type}{spot}"


def _gone(model: _Model) -> Iterator[Effect]:
    if model.new_plan is None:
        yield Effect(
            GONE, "its region's profile goes; it serves on until the stack is destroyed", 0
        )
        return
    if model.new is None:
        yield Effect(GONE, "it is served no longer, all its pods go", 0)
        return
    new = _tracks(model.new)
    for name, track in _tracks(model.old).items():
        if name not in new:
            yield Effect(GONE, f"{name} with {_pods(track)} goes", 0)


def _shares(plan: ServerPlan) -> str:
    backends = ", ".join(f"{b.weight} % {b.role}" for b in plan.access.backends)
    mirror = f", {plan.access.mirror_percent} % mirrored" if plan.access.mirror_service else ""
    return f"{backends}{mirror}" if plan.access.hostname else f"100 % {plan.live_role}"


def _traffic(model: _Model) -> Iterator[Effect]:
    if isinstance(model.old, ServerPlan) and isinstance(model.new, ServerPlan):
        before, after = _shares(model.old), _shares(model.new)
        if before != after:
            yield Effect(TRAFFIC, f"requests go {after}; they went {before}", 0)


def _scale(model: _Model) -> Iterator[Effect]:
    old = _tracks(model.old)
    for name, track in _tracks(model.new).items():
        before, after = old[name].scaler if name in old else None, track.scaler
        if before is None or before == after:
            continue
        if (before.min, before.max) != (after.min, after.max):
            said = f"{before.min} to {before.max}, now {after.min} to {after.max} pods"
            yield Effect(SCALE, f"{name} had {said}", 0)
        else:
            yield Effect(SCALE, f"{name} scales by other signals or windows", 0)


def _access(model: _Model) -> Iterator[Effect]:
    old, new = model.old, model.new
    if not isinstance(old, ServerPlan) or not isinstance(new, ServerPlan):
        return
    before, after = old.access, new.access
    if before.mode != after.mode:
        yield Effect(ACCESS, f"it was {before.mode} and is {after.mode}", 0)
    if before.endpoint != after.endpoint:
        yield Effect(ACCESS, "callers must use another address", 0)
    more = sorted({*after.caller_namespaces} - {*before.caller_namespaces})
    fewer = sorted({*before.caller_namespaces} - {*after.caller_namespaces})
    if more:
        yield Effect(ACCESS, f"projects that reach it newly: {', '.join(more)}", 0)
    if fewer:
        yield Effect(ACCESS, f"projects that reach it no longer: {', '.join(fewer)}", 0)
    yield from _limits(before, after)


def _limits(before: AccessPlan, after: AccessPlan) -> Iterator[Effect]:
    """How often callers may come by the gateway, and how long they wait there."""
    silent = after.stream_idle_seconds
    limit = f"{silent} s" if silent else "as long as the gateway lets it"
    if (before.groups, before.keys) != (after.groups, after.keys) and after.hostname:
        yield Effect(ACCESS, f"it is answered to {after.callers}", 0)
    told = {
        "requests_per_minute": f"{after.requests_per_minute} requests a minute are let in",
        "timeout_seconds": f"an answer may take {after.timeout_seconds} s",
        "stream_idle_seconds": f"nothing may come of an answer for {limit}",
    }
    for name, what in told.items():
        if getattr(before, name) != getattr(after, name) and after.hostname:
            yield Effect(ACCESS, what, 0)


def _run(model: _Model) -> Iterator[Effect]:
    for step in model.steps:
        if step.key.kind == "Job" and step.operation == CREATE:
            yield Effect(RUN, "a run starts at once; what the last one left goes", 0)
        elif step.key.kind == "CronJob" and step.operation != DELETE:
            yield Effect(RUN, "it holds from the next run on", 0)


def _watch(model: _Model) -> Iterator[Effect]:
    """What only looks on, said where nothing else happens."""
    kinds = {step.key.noun for step in model.steps}
    if kinds and kinds <= _WATCHED:
        yield Effect(WATCH, "only probe, alerts or dashboard change, no pod restarts", 0)


_ALL: Final[tuple[Callable[[_Model], Iterator[Effect]], ...]] = (
    _gone,
    _start,
    _restart,
    _move,
    _fetch,
    _traffic,
    _access,
    _scale,
    _run,
    _watch,
)
"""In the order in which a reader wants them."""


def _effects(model: _Model) -> tuple[Effect, ...]:
    found = tuple(effect for rule in _ALL for effect in rule(model))
    restarts = any(effect.kind in (RESTART, MOVE, GONE, START, WATCH, RUN) for effect in found)
    if restarts or not model.steps:
        return found
    what = "" if found else f"{count(len(model.steps), 'object')} updated in place, "
    return (*found, Effect(OTHER, f"{what}no pod restarts", 0))


def _plans(plan: RegionPlan | None) -> dict[str, ServerPlan | JobPlan]:
    found: dict[str, ServerPlan | JobPlan] = {}
    if plan is not None:
        found |= {server.workload.id: server for server in plan.servers}
        found |= {job.workload.id: job for job in plan.jobs}
    return found


def _models(
    sides: Sides, steps: Iterable[Step], nodes: list[NodeChange], region: str
) -> Iterator[tuple[str, _Model]]:
    base, work = sides.base.plans.get(region), sides.work.plans.get(region)
    old, new = _plans(base), _plans(work)
    mine: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        if step.key.model and region in step.regions:
            mine[step.key.model].append(step)
    here = [change for change in nodes if change.region == region]
    for name in sorted({*mine, *(model for change in here for model in change.models)}):
        yield (
            name,
            _Model(
                old=old.get(name),
                new=new.get(name),
                old_plan=base,
                new_plan=work,
                steps=mine[name],
                nodes=here,
            ),
        )


def effects(sides: Sides, steps: list[Step], nodes: list[NodeChange]) -> list[Effects]:
    """What happens to every model with a step, or on nodes that go; regions where the same happens
    share a row."""
    found: dict[tuple[str, tuple[Effect, ...]], list[str]] = {}
    for region in sides.compared:
        for name, model in _models(sides, steps, nodes, region):
            found.setdefault((name, _effects(model)), []).append(region)
    return sorted(
        (
            Effects(model=name, effects=said, regions=tuple(regions))
            for (name, said), regions in found.items()
        ),
        key=lambda row: (row.model, row.regions),
    )
