"""Says which candidates have not yet answered rightly, as often as their specs ask, in a row.

The prober tells of every answer in its log, which is read through the API server from the kubelet:
no NetworkPolicy stands between them, as one would before the prober's own port, and whoever may
deploy may read it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from components.kube_client import ApiError
from components.synthetic_probe.answer_lines import Tally, tallies
from model_specs.names import LABEL_ROLE, PROBER
from regions.model_plan import ServerPlan, TrackPlan

Read = Callable[[str], str]
"""(path with query at the API server) -> the body. Raises ApiError."""
_LINES: Final = 2000
"""Of a log, from its end: a candidate writes four a minute at most."""
_SPARE_SECONDS: Final = 60
"""For a prober that starts anew, and its first turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One candidate that is asked by itself, and what it must answer before it gets users."""

    id: str
    """As the prober's configuration has it: `project/model candidate`."""
    namespace: str
    version: str
    """Names what the candidate runs: another one starts at no answers."""
    right_answers: int
    timeout_seconds: int
    """How long these answers may take from when its pods are ready."""


def version(track: TrackPlan) -> str:
    """What decides the answers of a track's pods: image, settings and model, as a digest."""
    told = json.dumps([asdict(track.container), track.weights.digest], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def candidates(servers: Iterable[ServerPlan]) -> list[Candidate]:
    """Those that have a request to answer: the spec wrote one."""
    return [
        Candidate(
            id=f"{server.workload.id} candidate",
            namespace=server.workload.namespace,
            version=version(track),
            right_answers=server.probe.right_answers,
            timeout_seconds=_SPARE_SECONDS
            + (server.probe.right_answers + 1) * server.probe.candidate_interval_seconds,
        )
        for server in servers
        for track in server.tracks
        if track.role == "candidate" and server.probe.candidate_url
    ]


def _logs(namespace: str, read: Read) -> Iterator[tuple[str, str]]:
    """The logs of a namespace's probers that run, by the pod's uid."""
    space = f"/api/v1/namespaces/{namespace}/pods"
    role = LABEL_ROLE.replace("/", "%2F")
    for pod in json.loads(read(f"{space}?labelSelector={role}%3D{PROBER}"))["items"]:
        if pod.get("status", {}).get("phase") == "Running":
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            yield uid, read(f"{space}/{name}/log?container={PROBER}&tailLines={_LINES}")


def _told(wanted: Iterable[Candidate], read: Read) -> dict[tuple[str, str], dict[str, Tally]]:
    """What each version has answered to each prober, by the pod's uid."""
    found: dict[tuple[str, str], dict[str, Tally]] = {}
    for namespace in sorted({one.namespace for one in wanted}):
        for uid, log in _logs(namespace, read):
            for key, tally in tallies(log.splitlines()).items():
                found.setdefault(key, {})[uid] = tally
    return found


def asked(wanted: Iterable[Candidate], read: Read) -> dict[str, int]:
    """How often each prober has asked each candidate so far, for `unproven` to count from.

    Called when the candidates' pods are ready: what was answered earlier, the pods that they
    replaced may have answered. Raises ApiError.
    """
    rows = list(wanted)
    return {
        f"{uid} {id} {version}": tally.asked
        for (id, version), by_pod in _told(rows, read).items()
        for uid, tally in by_pod.items()
    }


def unproven(wanted: Iterable[Candidate], read: Read, before: Mapping[str, int]) -> list[str]:
    """In words, which candidates have not yet answered rightly, and how far they are.

    A candidate is proven when one prober got `right_answers` right ones in a row, all of them after
    `before` (see `asked`). A log that cannot be read proves nobody.
    """
    rows = list(wanted)
    try:
        told = _told(rows, read)
    except ApiError as error:
        return [f"{one.id}: its answers cannot be read: {error}" for one in rows]
    faults = []
    for one in rows:
        counts = []
        for uid, tally in told.get((one.id, one.version), {}).items():
            since = tally.asked - before.get(f"{uid} {one.id} {one.version}", 0)
            counts.append((min(since, tally.right_in_a_row), since))
        right, since = max(counts, default=(0, 0))
        if right < one.right_answers:
            what = f"{right} right answers in a row of {one.right_answers}"
            faults.append(f"{one.id}: {what}, asked {since} times; see the log of pod {PROBER}")
    return faults
