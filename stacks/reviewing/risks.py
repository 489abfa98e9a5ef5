"""The risk flags: what a person must look at before a change may reach a region, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from regions.model_plan import AccessPlan, ServerPlan
from regions.plan import RegionPlan
from stacks.outcome import count
from stacks.reviewing import costs, entrusted, ttls
from stacks.reviewing.effects import RESTART, size, span
from stacks.reviewing.node_changes import moved_pods
from stacks.reviewing.room import surges
from stacks.reviewing.seen import Seen
from stacks.reviewing.steps import DELETE, PROTECTED, REPLACE, SERVING, STATEFUL, Step
from stacks.reviewing.transitions import ACCEPTABLE, CROWDED, Finding
from stacks.reviewing.waves import WORKFLOW
from stacks.reviewing.wishes import ADDED, CHANGED, REMOVED, RENAME_CODE, RENAMED

NOTE, APPROVAL, BLOCKED = "note", "needs approval", "blocked"
LEVELS: Final = (BLOCKED, APPROVAL, NOTE)
_WIDTH: Final = {"private": 0, "permissive": 1, "public": 2}

Raised = tuple[str, str, str]
"""Subject, reason and region; the region is empty where the flag is about all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """One row of the table: a predicate that yields what it finds, and how grave that is."""

    name: str
    level: str
    find: Callable[[Seen], Iterable[Raised]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One risk of one subject, in all regions that share the reason."""

    name: str
    level: str
    subject: str
    reason: str
    regions: tuple[str, ...]


def _pairs(seen: Seen) -> Iterator[tuple[str, RegionPlan | None, RegionPlan]]:
    """Region, old and new plan, where something differs."""
    for region, new in seen.sides.work.plans.items():
        old = seen.sides.base.plans.get(region)
        if old != new:
            yield region, old, new


def _servers(plan: RegionPlan | None) -> dict[str, ServerPlan]:
    return {server.workload.id: server for server in plan.servers} if plan else {}


def _served(plan: RegionPlan) -> frozenset[str]:
    servers = frozenset(server.workload.id for server in plan.servers)
    return servers | {job.workload.id for job in plan.jobs}


def _live(seen: Seen, step: Step) -> Iterator[str]:
    """The regions whose next `up` would do it: a removed one has no next `up`."""
    return (region for region in step.regions if region not in seen.sides.removed)


# -- what is lost ----------------------------------------------------------------------------


def _protected(seen: Seen) -> Iterator[Raised]:
    for step in seen.steps:
        if step.operation in (DELETE, REPLACE) and step.key.kind in PROTECTED:
            reason = (
                f"{step.operation}: {STATEFUL[step.key.kind]}; the engine refuses, and to undo its "
                f"protection is a human's act"
            )
            yield from ((step.key.label, reason, region) for region in _live(seen, step))


def _stateful(seen: Seen) -> Iterator[Raised]:
    for step in seen.steps:
        kind = step.key.kind
        if step.operation in (DELETE, REPLACE) and kind in STATEFUL and kind not in PROTECTED:
            because = f" because {', '.join(step.because)} cannot change" if step.because else ""
            reason = f"{step.operation}{because}: {STATEFUL[kind]}"
            yield from ((step.key.label, reason, region) for region in _live(seen, step))


def _outage(seen: Seen) -> Iterator[Raised]:
    for step in seen.steps:
        if step.operation == REPLACE and step.key.kind in SERVING:
            why = f"replaced because {', '.join(step.because)} cannot change"
            reason = f"{why}: its name is fixed, so it is deleted first, an outage"
            yield from ((step.key.label, reason, region) for region in step.regions)


def _refused(seen: Seen) -> Iterator[Raised]:
    for step in seen.steps:
        if step.refused:
            reason = (
                f"the API server refuses this change of {', '.join(step.refused)}, and `pulumi up` "
                f"stops there: keep the old value, or give the object another name"
            )
            yield from ((step.key.label, reason, region) for region in _live(seen, step))


def _unsafe(seen: Seen) -> Iterator[Raised]:
    others = {CROWDED, *ACCEPTABLE}
    yield from _on_the_way(one for one in seen.transitions if one.name not in others)


def _fewer(seen: Seen) -> Iterator[Raised]:
    yield from _on_the_way(one for one in seen.transitions if one.name in ACCEPTABLE)


def _no_room(seen: Seen) -> Iterator[Raised]:
    yield from _on_the_way(one for one in seen.transitions if one.name == CROWDED)


def _on_the_way(findings: Iterable[Finding]) -> Iterator[Raised]:
    for finding in findings:
        way = f". The way there: {', then '.join(finding.order)}" if finding.order else ""
        reason = f"{finding.name}: {finding.reason}{way}. Instead: {finding.cure}"
        yield finding.model, reason, finding.region


def _models_removed(seen: Seen) -> Iterator[Raised]:
    renamed = {wish.was for wish in seen.models if wish.what == RENAMED}
    for region, old, new in _pairs(seen):
        lacking = {gap.model for gap in new.gaps}
        gone = _served(old) - _served(new) - renamed - lacking if old else frozenset()
        for model in sorted(gone):
            yield model, "it is served no longer, with its route, alerts and dashboard", region


def _renamed(seen: Seen) -> Iterator[Raised]:
    for wish in seen.models:
        if wish.what == RENAMED:
            reason = (
                f"{RENAME_CODE}: {wish.was} is deleted and {wish.id} is created; callers of the "
                f"old address are refused, and metrics and alerts begin anew"
            )
            yield wish.id, reason, ""


def _projects_removed(seen: Seen) -> Iterator[Raised]:
    for wish in seen.projects:
        if wish.what == REMOVED:
            yield wish.id, "its namespace goes, and what people keep in it, e.g. Secrets", ""


def _regions_removed(seen: Seen) -> Iterator[Raised]:
    for region in seen.sides.removed:
        reason = (
            f"{RENAME_CODE}: the profile is gone, its stack stays and serves what it last had "
            f"until someone runs: pulumi destroy -s {region}"
        )
        yield region, reason, region


def _pools_removed(seen: Seen) -> Iterator[Raised]:
    for region, old, new in _pairs(seen):
        kept = {pool.machine_type for pool in new.pools}
        for pool in old.pools if old else ():
            if pool.machine_type not in kept:
                yield f"pool {pool.machine_type}", "no workload wants it, its nodes go", region


def _to_zero(seen: Seen) -> Iterator[Raised]:
    for region, old, new in _pairs(seen):
        before = _servers(old)
        for name, server in _servers(new).items():
            was = sum(t.scaler.min for t in before[name].tracks) if name in before else 0
            if was and not sum(t.scaler.min for t in server.tracks):
                reason = f"at least {was} replicas before, none now: the first request waits"
                yield name, reason, region


def _nodes_go(seen: Seen) -> Iterator[Raised]:
    """Nodes of a whole pool, whose models' own objects may be as they were."""
    for change in seen.nodes:
        pods = f"{span(*change.pods)} pods of {count(len(change.models), 'model')} move"
        fetched = f"up to {size(change.fetched_bytes[1])} are fetched again"
        reason = (
            f"{span(*change.nodes)} nodes are {change.how} because {', '.join(change.because)} "
            f"changes, {pods}, {fetched}: {change.order}"
        )
        yield f"{change.machine_type} {change.capacity}", reason, change.region


def _lone_move(seen: Seen) -> Iterator[Raised]:
    """A drain evicts: it knows no surge, so a pod that is alone is down until the next is ready."""
    for change in seen.nodes:
        for server in seen.sides.work.plans[change.region].servers:
            tracks = [track for track in server.tracks if track.role == "stable"]
            moved = any(True for _ in moved_pods(server, [change]))
            if moved and sum(track.scaler.min for track in tracks) == 1:
                reason = "its only replica is evicted with its node: an outage until it starts anew"
                yield server.workload.id, reason, change.region


# -- room ------------------------------------------------------------------------------------


def _over_room(seen: Seen) -> Iterator[Raised]:
    for row in seen.room:
        after = row.after
        if row.unit != "slots" or after is None or not row.is_changed or after.most <= after.room:
            continue
        reason = (
            f"all models together may want {after.most} replicas and there is room for "
            f"{after.room}: whoever scales up last waits"
        )
        yield f"{row.machine} {row.capacity}", reason, row.region


def _surge_lost(seen: Seen) -> Iterator[Raised]:
    for region, old, new in _pairs(seen):
        before = surges(old)
        for model, tracks in surges(new).items():
            for name, surge in tracks.items():
                if not surge and before.get(model, {}).get(name):
                    yield model, f"the pool has no room for {name}'s surge any more", region


def _lone_restart(seen: Seen) -> Iterator[Raised]:
    servers = {region: _servers(plan) for region, plan in seen.sides.work.plans.items()}
    for row in seen.effects:
        restarts = any(effect.kind == RESTART for effect in row.effects)
        for region in row.regions if restarts else ():
            server = servers[region].get(row.model)
            stable = [t for t in server.tracks if t.role == "stable"] if server else []
            if sum(t.scaler.min for t in stable) == 1 and not any(t.surge for t in stable):
                yield row.model, "its only replica restarts without surge: an outage", region


def _serving(seen: Seen) -> dict[str, frozenset[str]]:
    """By model, the regions that serve it."""
    served = {region: _served(plan) for region, plan in seen.sides.work.plans.items()}
    models = sorted({model for found in served.values() for model in found})
    return {
        model: frozenset(region for region, found in served.items() if model in found)
        for model in models
    }


def _everywhere(seen: Seen) -> Iterator[Raised]:
    """Restarts in every region, where no wave waits for another, before or after the change."""
    restarting: dict[str, set[str]] = defaultdict(set)
    for row in seen.effects:
        if any(effect.kind == RESTART for effect in row.effects):
            restarting[row.model].update(row.regions)
    for model, serving in _serving(seen).items():
        waits = seen.waves.base.staggers(serving) and seen.waves.work.staggers(serving)
        if len(serving) > 1 and restarting[model] == serving and not waits:
            reason = (
                "its pods restart in every region that serves it: bring it out region by region "
                f"(one pulumi up -s REGION after the other, or waves in {WORKFLOW}), or as a "
                "rollout.candidate"
            )
            yield model, reason, ""


def _unstaggered(seen: Seen) -> Iterator[Raised]:
    """The waves themselves go, so that the next change reaches every region at once."""
    base, work = seen.waves.base, seen.waves.work
    lost = [
        model
        for model, serving in _serving(seen).items()
        if base.staggers(serving) and not work.staggers(serving)
    ]
    if lost:
        reason = (
            f"no region waits for another any more, of those that serve {len(lost)} models: keep "
            f"`needs` between the jobs of the regions"
        )
        yield WORKFLOW, reason, ""


# -- what a region lacks, who gets in --------------------------------------------------------


def _gaps(seen: Seen) -> Iterator[Raised]:
    for region, old, new in _pairs(seen):
        before = {(gap.model, gap.code) for gap in old.gaps} if old else set()
        for gap in new.gaps:
            if (gap.model, gap.code) not in before:
                yield gap.model, f"not served there: {gap.reason} ({gap.code})", region


def _downgrades(seen: Seen, served_before: bool) -> Iterator[Raised]:
    """What a region newly does instead, for what it had before or for what is new to it."""
    for region, old, new in _pairs(seen):
        before = set(old.downgrades) if old else set()
        had = _served(old) | {""} if old else frozenset()
        for row in new.downgrades:
            if row not in before and (row.model in had) == served_before:
                reason = f"{row.feature} needs {row.capability}: {row.outcome}"
                yield row.model or "the region", reason, region


def _downgraded(seen: Seen) -> Iterator[Raised]:
    return _downgrades(seen, True)


def _lesser(seen: Seen) -> Iterator[Raised]:
    return _downgrades(seen, False)


def _let_in(before: AccessPlan, after: AccessPlan) -> Iterator[str]:
    """Who reaches a model, or may call it by the gateway, that did not before."""
    projects = sorted({*after.caller_namespaces} - {*before.caller_namespaces})
    if projects:
        yield f"projects that reach it newly: {', '.join(projects)}"
    origins = sorted({*after.cors_origins} - {*before.cors_origins})
    if origins:
        yield f"web pages whose scripts may call it newly: {', '.join(origins)}"
    keys = sorted({*after.keys} - {*before.keys})
    if keys:
        yield f"callers whose keys let them in newly: {', '.join(keys)}"
    bounded = before.groups or before.keys
    if before.mode == after.mode and bounded and not after.keys:
        groups = sorted({*after.groups} - {*before.groups})
        if not after.groups:
            only = "groups" if before.groups else "callers with keys"
            yield f"everybody who signs in may call it, and not only {only}"
        elif groups:
            yield f"groups that may call it newly: {', '.join(groups)}"
        elif before.groups_claim != after.groups_claim:
            yield f"groups are read from the claim {after.groups_claim}"


def _wider(seen: Seen) -> Iterator[Raised]:
    for region, old, new in _pairs(seen):
        before = _servers(old)
        for name, server in _servers(new).items():
            mode = server.access.mode
            was = before[name].access if name in before else None
            if was is None and _WIDTH[mode]:
                yield name, f"new, and {mode} from the start", region
            elif was is not None and _WIDTH[mode] > _WIDTH[was.mode]:
                yield name, f"it was {was.mode} and is {mode}", region
            if was is not None:
                yield from ((name, said, region) for said in _let_in(was, server.access))


def _data(seen: Seen) -> Iterator[Raised]:
    """Where jobs read or write that they did not before."""
    for region, old, new in _pairs(seen):
        before = {job.workload.id: job.data for job in old.jobs} if old else {}
        for job in new.jobs:
            was, now = before.get(job.workload.id), job.data
            reads, writes = (was.input_prefix, was.output_prefix) if was else ("", "")
            if now.input_prefix not in ("", reads):
                yield job.workload.id, f"its pods read {now.input_prefix} of the bucket", region
            if now.output_prefix not in ("", writes):
                yield job.workload.id, f"its pods write {now.output_prefix} of the bucket", region


def _calls(seen: Seen) -> Iterator[Raised]:
    """Where models' own code gets out to that it did not before."""
    for region, old, new in _pairs(seen):
        before = {work.id: {*work.calls} for work in old.works} if old else {}
        for work in new.works:
            for call in work.calls:
                if call not in before.get(work.id, ()):
                    yield work.id, f"its code gets out to {call.name} on {call.port}/TCP", region


def _secrets(seen: Seen) -> Iterator[Raised]:
    for wish in seen.models:
        changed = any(field.path.startswith("secrets") for field in wish.fields)
        if changed and wish.what in (ADDED, CHANGED):
            yield wish.id, "it is given other Secrets", ""


def _names_gone(seen: Seen) -> Iterator[Raised]:
    """Models that their callers ask for by names which the server is told no more."""
    before, now = seen.sides.base.models, seen.sides.work.models
    for name in sorted(before.keys() & now.keys()):
        spec = now[name].spec
        gone = {*before[name].served_names} - {*now[name].served_names}
        if gone and not spec.batch and spec.contract_of(spec.image).most_names:
            yield name, f"callers who ask for {', '.join(sorted(gone))} are refused", ""


RISKS: Final[tuple[Risk, ...]] = (
    Risk(name="protected thing goes", level=BLOCKED, find=_protected),
    Risk(name="change refused", level=BLOCKED, find=_refused),
    Risk(name="unsafe on the way", level=BLOCKED, find=_unsafe),
    Risk(name="fewer serve on the way", level=APPROVAL, find=_fewer),
    Risk(name="no room on the way", level=APPROVAL, find=_no_room),
    Risk(name="stateful thing goes", level=APPROVAL, find=_stateful),
    Risk(name="replacement while serving", level=APPROVAL, find=_outage),
    Risk(name="model removed", level=APPROVAL, find=_models_removed),
    Risk(name="model renamed", level=APPROVAL, find=_renamed),
    Risk(name="project removed", level=APPROVAL, find=_projects_removed),
    Risk(name="region removed", level=APPROVAL, find=_regions_removed),
    Risk(name="pool removed", level=APPROVAL, find=_pools_removed),
    Risk(name="last replica goes", level=APPROVAL, find=_to_zero),
    Risk(name="nodes go", level=APPROVAL, find=_nodes_go),
    Risk(name="lone replica moves", level=APPROVAL, find=_lone_move),
    Risk(name="over capacity", level=APPROVAL, find=_over_room),
    Risk(name="no room to surge", level=APPROVAL, find=_surge_lost),
    Risk(name="lone replica restarts", level=APPROVAL, find=_lone_restart),
    Risk(name="all regions in one wave", level=APPROVAL, find=_everywhere),
    Risk(name="waves removed", level=APPROVAL, find=_unstaggered),
    Risk(name="not served", level=APPROVAL, find=_gaps),
    Risk(name="capability lost", level=APPROVAL, find=_downgraded),
    Risk(name="access widened", level=APPROVAL, find=_wider),
    Risk(name="changed program refused", level=BLOCKED, find=entrusted.refused),
    Risk(name="program changes", level=APPROVAL, find=entrusted.files),
    Risk(name="program not known", level=APPROVAL, find=entrusted.not_run),
    Risk(name="program upgrade", level=APPROVAL, find=entrusted.upgrades),
    Risk(name="exceptions change", level=APPROVAL, find=entrusted.waivers),
    Risk(name="region entrusted", level=APPROVAL, find=entrusted.regions),
    Risk(name="project entrusted", level=APPROVAL, find=entrusted.projects),
    Risk(name="data access widened", level=APPROVAL, find=_data),
    Risk(name="way out opened", level=APPROVAL, find=_calls),
    Risk(name="callers' quota raised", level=APPROVAL, find=entrusted.calls),
    Risk(name="served name goes", level=APPROVAL, find=_names_gone),
    Risk(name="secrets change", level=APPROVAL, find=_secrets),
    Risk(name="cost", level=APPROVAL, find=costs.dearer),
    Risk(name="cost not known", level=APPROVAL, find=costs.unpriced),
    Risk(name="ttl passed", level=APPROVAL, find=ttls.expired_now),
    Risk(name="ttl passed earlier", level=NOTE, find=ttls.expired_before),
    Risk(name="ttl passes soon", level=NOTE, find=ttls.expiring),
    Risk(name="lesser form", level=NOTE, find=_lesser),
)
"""Every risk there is; the most grave first is the reader's order, not this one."""


def flags(seen: Seen) -> list[Flag]:
    """All that is raised, the gravest first; regions that share a reason share a row."""
    found: dict[tuple[int, int, str, str], list[str]] = {}
    for number, risk in enumerate(RISKS):
        for subject, reason, region in risk.find(seen):
            key = (LEVELS.index(risk.level), number, subject, reason)
            regions = found.setdefault(key, [])
            if region and region not in regions:
                regions.append(region)
    return [
        Flag(
            name=RISKS[number].name,
            level=LEVELS[level],
            subject=subject,
            reason=reason,
            regions=tuple(sorted(regions)),
        )
        for (level, number, subject, reason), regions in sorted(found.items())
    ]
