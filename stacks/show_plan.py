"""Shows what each region would run: the plan as JSON, or its servers as a table."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Final

from model_specs.moment import written
from regions.model_plan import ServerPlan, TrackPlan
from regions.plan import CachePlan, RegionPlan
from regions.pools import PRIORITIES
from stacks.outcome import OK, Outcome, count, table
from stacks.tree import moment_of, tree_of

_HEAD = (
    "MODEL", "TRACK", "POOL", "MACHINE", "REPLICAS", "SCALED BY", "SURGE", "FILES",
    "STARTUP/PROGRESS/GATE", "ENDPOINT",
)  # fmt: skip

_SIGNALS: Final = {
    "fixed": "-",
    "hpa_cpu": "CPU",
    "hpa_queue": "{} requests in a server",
    "scaled_object": "{} requests in a server",
}
"""What sets the replicas of a track, by the kind of its scaler."""


def _pool(plan: RegionPlan, machine: str) -> str:
    return next((pool.name for pool in plan.pools if pool.machine_type == machine), "-")


def _replicas(track: TrackPlan) -> str:
    """`2..4`, and how many are certain where that is another number than the least."""
    span = f"{track.scaler.min}..{track.scaler.max}"
    return f"{span} ({track.interruption}: {track.guaranteed} sure)" if track.interruption else span


def _rows(plan: RegionPlan) -> Iterator[tuple[str, ...]]:
    for server in plan.servers:
        for track in server.tracks:
            clocks = track.startup
            yield (
                server.workload.id,
                track.track,
                _pool(plan, track.placement.machine_type),
                track.placement.machine_type,
                _replicas(track),
                _SIGNALS[track.scaler.kind].format(track.scaler.threshold),
                str(track.surge),
                track.weights.mode,
                f"{clocks.budget_seconds}/{clocks.progress_deadline_seconds}"
                f"/{clocks.gate_timeout_seconds} s",
                server.access.endpoint,
            )
    for job in plan.jobs:
        yield (
            job.workload.id,
            "job",
            _pool(plan, job.placement.machine_type),
            job.placement.machine_type,
            str(job.parallelism),
            "-",
            "-",
            job.weights.mode,
            f"{job.deadline_seconds} s",
            job.schedule or "once",
        )


def _gb(number: int) -> str:
    return f"{number / 1e9:.1f} GB"


def _held(cache: CachePlan) -> str:
    """What a node of a machine type holds, at least and at most."""
    models = count(len(cache.models), "cached version")
    if cache.is_whole:
        return f"every node holds all {_gb(cache.total_bytes)} of {models}"
    return (
        f"a node holds {_gb(cache.pinned_bytes)} of pinned versions, those of its own pods, and "
        f"others up to {_gb(cache.most_bytes)}, of {models} with {_gb(cache.total_bytes)}"
    )


def _fallbacks(plan: RegionPlan) -> Iterator[str]:
    """The wait of every workload that falls back to on-demand nodes, and what it rests on."""
    places = [(s.workload.id, t.placement) for s in plan.servers for t in s.tracks]
    places += [(job.workload.id, job.placement) for job in plan.jobs]
    falling = [(name, place.fallback_seconds) for name, place in places if place.fallback_seconds]
    for name, seconds in falling:
        yield (
            f"{name}  its spot pods take free on-demand nodes at once, and new ones where no spot "
            f"node has come after {seconds} s; they stay there until they are rolled or replaced\n"
        )
    if falling:
        yield (
            "the cluster autoscaler must run with --expander=priority "
            f"--max-node-provision-time={falling[0][1]}s and have, in its namespace, the ConfigMap "
            f"cluster-autoscaler-priority-expander with data.priorities: {PRIORITIES}\n"
        )


def _differing(plan: RegionPlan) -> Iterator[str]:
    for work in plan.works:
        if work.differs:
            yield f"{work.id}  the spec says for this region: {', '.join(work.differs)}\n"


def _at_the_gateway(server: ServerPlan) -> Iterator[str]:
    """Who may call a routed model, from where, and how long an answer may take."""
    access = server.access
    if not access.gateway:
        return
    told = [f"the gateway lets in {access.callers}"]
    if access.cors_origins:
        told.append(f"and scripts of {', '.join(access.cors_origins)}")
    told.append(f"waits {access.timeout_seconds} s for an answer")
    if access.stream_idle_seconds:
        told.append(f"{access.stream_idle_seconds} s for its next part")
    grace = max(track.drain.grace_seconds for track in server.tracks)
    told.append(f"a pod that must go has {grace} s")
    yield f"{server.workload.id}  {', '.join(told)}\n"


def _text(plans: list[RegionPlan], at: datetime) -> Iterator[str]:
    yield f"planned for {written(at)}\n\n"
    for plan in plans:
        yield f"{plan.region}  ({plan.provider})\n"
        yield from table(_HEAD, list(_rows(plan)))
        for server in plan.servers:
            yield from _at_the_gateway(server)
            if server.probe.right_answers:
                yield (
                    f"{server.workload.id}  its candidate is asked by itself and gets users after "
                    f"{server.probe.right_answers} right answers in a row\n"
                )
            if not server.probe.written:
                yield f"{server.workload.id}  not probed for correctness: write probe.request\n"
        yield from _differing(plan)
        for cache in plan.caches:
            yield f"{cache.machine_type}  {_held(cache)}\n"
        yield from _fallbacks(plan)
        for row in plan.expired:
            yield f"{row.model}  planned no more: its ttl passed on {row.ttl}\n"
        yield "\n"


def run(args: Namespace) -> Outcome:
    """Resolve and show."""
    at = moment_of(args)
    plans = tree_of(args, at).plans()
    data = {plan.region: asdict(plan) | {"at": written(at)} for plan in plans if args.json}
    return Outcome(data=data, text=_text(plans, at), code=OK)
