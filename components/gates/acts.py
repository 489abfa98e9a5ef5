"""What `up` does between its objects: it waits for pods, takes replicas over from autoscalers,
leads users away from a candidate, and lets what it deletes drain.

Only what a gate is asked and when it asks again is decided here; `resources` beside it hands it
to the engine. A gate compares what it is asked with what it was asked at the last `up`: that is how
a change is told from a state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from components.gates.drains import Pods
from components.gates.traffic_shift import Shift
from components.model_job import run_name
from components.model_network import server_ports, wall_name
from components.readiness import Target
from components.synthetic_probe.answers import Candidate, candidates, version
from regions.model_plan import JobPlan, ServerPlan, TrackPlan
from regions.plan import RegionPlan

HANDOVER: Final = "ReplicaHandover"
POD_DRAIN: Final = "PodDrain"
ROUTE_DRAIN: Final = "RouteDrain"
SHIFT: Final = "TrafficShift"
SPOT: Final = "SpotGate"
TRAFFIC: Final = "TrafficGate"
ACTS: Final = (HANDOVER, POD_DRAIN, ROUTE_DRAIN, SHIFT, SPOT, TRAFFIC)
_JOB_GRACE_SECONDS: Final = 30
"""What a pod gets that asks for nothing (Kubernetes API reference, PodSpec v1,
terminationGracePeriodSeconds)."""
Asked = Mapping[str, Any]
"""What a gate is asked: JSON values only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One act of `up`; `name` is unique among those of its kind, and holds no region."""

    kind: str
    name: str
    model: str
    asked: dict[str, Any]


def _target(server: ServerPlan, track: TrackPlan) -> dict[str, Any]:
    wanted = Target(
        kind="Deployment",
        namespace=server.workload.namespace,
        name=track.name,
        least=track.scaler.min,
        timeout_seconds=track.startup.gate_timeout_seconds,
        project=server.workload.project,
        may_lack="",  # nobody is led to pods that are away, whatever for
        fallback_seconds=0,
    )
    return asdict(wanted)


def _side(server: ServerPlan, role: str) -> dict[str, Any]:
    tracks = [track for track in server.tracks if track.role == role]
    return {
        "targets": [_target(server, track) for track in tracks],
        "version": version(tracks[0]) if tracks else "",
    }


def share(server: ServerPlan) -> int:
    """The percentage of users' requests that is led to the candidate."""
    return sum(b.weight for b in server.access.backends if b.role == "candidate")


def _traffic(server: ServerPlan) -> Gate:
    return Gate(
        kind=TRAFFIC,
        name=server.workload.id,
        model=server.workload.id,
        asked={
            "answers": [asdict(one) for one in candidates([server]) if one.right_answers],
            "candidate": _side(server, "candidate"),
            "share": share(server),
            "stable": _side(server, "stable"),
        },
    )


def _shift(server: ServerPlan) -> Iterator[Gate]:
    for track in server.tracks:
        if track.role == "candidate":
            what = Shift(
                namespace=server.workload.namespace,
                model=server.workload.model,
                candidate=track.name,
                share=share(server),
                settle_seconds=track.drain.pre_stop_seconds,
            )
            yield Gate(
                kind=SHIFT,
                name=server.workload.id,
                model=server.workload.id,
                asked={**asdict(what), "stable": _side(server, "stable")},
            )


def _spot(server: ServerPlan) -> Iterator[Gate]:
    spot = [track for track in server.tracks if track.track == "spot"]
    if spot and len([t for t in server.tracks if t.role == "stable"]) > 1:
        yield Gate(
            kind=SPOT,
            name=server.workload.id,
            model=server.workload.id,
            asked={"targets": [_target(server, track) for track in spot]},
        )


def _handovers(server: ServerPlan) -> Iterator[Gate]:
    namespace = server.workload.namespace
    for track in server.tracks:
        yield Gate(
            kind=HANDOVER,
            name=f"{namespace}/{track.name}",
            model=server.workload.id,
            asked={
                "deployment": track.name,
                "namespace": namespace,
                "replicas": track.scaler.min if track.scaler.kind == "fixed" else None,
            },
        )


def _drains(server: ServerPlan) -> Iterator[Gate]:
    """They wait when they are deleted, the one of the pods also where the pods get other ports:
    it is named after the policy that these leave behind."""
    work, drains = server.workload, [track.drain for track in server.tracks]
    if server.access.gateway:
        settle = max(drain.pre_stop_seconds for drain in drains)
        asked = {"settle_seconds": settle}
        yield Gate(kind=ROUTE_DRAIN, name=work.id, model=work.id, asked=asked)
    pods = Pods(
        namespace=work.namespace,
        labels=work.labels,
        grace_seconds=max(drain.grace_seconds for drain in drains),
    )
    name = f"{work.namespace}/{wall_name(work, server_ports(server))}"
    yield Gate(kind=POD_DRAIN, name=name, model=work.id, asked=asdict(pods))


def _drain_of_job(job: JobPlan) -> Gate:
    """It waits when it is deleted: where the job goes, or its next run takes its place."""
    work = job.workload
    pods = Pods(namespace=work.namespace, labels=work.labels, grace_seconds=_JOB_GRACE_SECONDS)
    name = f"{work.namespace}/{run_name(job)}"
    return Gate(kind=POD_DRAIN, name=name, model=work.id, asked=asdict(pods))


def _of_servers(plan: RegionPlan) -> Iterator[Gate]:
    """The acts of `up` for models that answer."""
    for server in plan.servers:
        yield from _drains(server)
        yield from _handovers(server)
        yield from _shift(server)
        yield from _spot(server)
        yield _traffic(server)


def _of_jobs(plan: RegionPlan) -> Iterator[Gate]:
    """The acts of `up` for batch jobs."""
    yield from map(_drain_of_job, plan.jobs)


GATES: Final[dict[str, Callable[[RegionPlan], Iterator[Gate]]]] = {
    "ModelJob": _of_jobs,
    "ModelServer": _of_servers,
}
"""All acts of a region's `up` but the last, the RolloutGate, by the noun that they belong to."""


def gates(plan: RegionPlan) -> Iterator[Gate]:
    """These acts of all nouns."""
    for of_noun in GATES.values():
        yield from of_noun(plan)


def _rows(side: Asked) -> list[Target]:
    return [Target(**row) for row in side["targets"]]


def _of_traffic(olds: Asked, news: Asked) -> list[Target]:
    """Before more users are led to a candidate it serves; before they are led away from it, the
    stable version has become what it shall be.

    Where the stable version stays what it was, users go back to it at once: the candidate may be
    what is broken.
    """
    had, gets = olds.get("share", 0), news["share"]
    before = {"candidate": {"version": ""}, "stable": news["stable"], **olds}
    others = before["candidate"]["version"] != news["candidate"]["version"]
    wanted: list[Target] = []
    if gets and (gets > had or others):
        wanted += _rows(news["candidate"])
    return wanted + _of_shift(before, news)


def shifts(olds: Asked, news: Asked) -> Shift | None:
    """Where users are led away from a candidate that stays: to which share."""
    if olds.get("share", 0) <= news["share"]:
        return None
    return Shift(**{name: value for name, value in news.items() if name != "stable"})


def _of_shift(olds: Asked, news: Asked) -> list[Target]:
    """Before users are led away from a candidate, the stable version has become what it shall."""
    fewer = news["share"] < olds.get("share", 0)
    if fewer and olds["stable"]["version"] != news["stable"]["version"]:
        return _rows(news["stable"])
    return []


def unasked(olds: Asked, news: Asked) -> tuple[list[Candidate], bool]:
    """Candidates that must answer rightly before users come, and whether they are new ones: what
    was answered before these pods are ready, others may have answered.
    """
    waits = {target.name for target in _of_traffic(olds, news)}
    if not waits & {target.name for target in _rows(news["candidate"])}:
        return [], False
    before = olds.get("candidate", {}).get("version", "")
    return [Candidate(**row) for row in news["answers"]], before != news["candidate"]["version"]


def _of_spot(olds: Asked, news: Asked) -> list[Target]:
    """Spot pods that are asked for newly, before the on-demand ones they stand in for go."""
    had = {row["name"]: row["least"] for row in olds.get("targets", ())}
    return [target for target in _rows(news) if target.least > had.get(target.name, 0)]


def takes(olds: Asked, news: Asked) -> bool:
    """Whether replicas become fixed, and are taken over from whatever autoscaler there was."""
    return news["replicas"] is not None and olds.get("replicas") is None


def gives_back(olds: Asked, news: Asked) -> bool:
    """Whether an autoscaler gets them back."""
    return news["replicas"] is None and olds.get("replicas") is not None


_AWAITED: Final = {SHIFT: _of_shift, SPOT: _of_spot, TRAFFIC: _of_traffic}


def awaited(kind: str, olds: Asked, news: Asked) -> list[Target]:
    """Whose pods a gate waits for; `olds` is empty where there was no such gate."""
    return _AWAITED[kind](olds, news)
