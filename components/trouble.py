"""Finds the pod and the reason where a workload does not serve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from components.kube import Object
from components.readiness import Target

_PATIENCE_SECONDS: Final = 15.0
"""A pull or a start may fail once; what still fails after this long is reported."""
_LOOPS: Final = "CrashLoopBackOff"
_BROKEN: Final = (
    _LOOPS,
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
)
_ENDED: Final = ("Failed", "Succeeded")


@dataclass(frozen=True, slots=True)
class Trouble:
    """What holds a workload back; broken when no waiting mends it.

    A failure that shows for long after it happened has an `attempt`, which tells the next one from
    it: a crash loop pauses for up to five minutes, in which its cause may have gone.
    """

    why: str
    is_broken: bool
    attempt: str


class Seen:
    """What the looks at one workload have shown so far."""

    def __init__(self) -> None:
        self._past: set[str] | None = None
        self._broken_since: float | None = None

    def broken(self, found: list[Trouble], now_seconds: float) -> list[Trouble]:
        """What of `found` has failed since the first look, once that is so for long enough."""
        if self._past is None:
            self._past = {one.attempt for one in found} - {""}
        new = [one for one in found if one.is_broken and one.attempt not in self._past]
        if not new:
            self._broken_since = None
        elif self._broken_since is None:
            self._broken_since = now_seconds
        elif now_seconds - self._broken_since >= _PATIENCE_SECONDS:
            return new
        return []


def troubles(target: Target, live: Object, pods: Iterable[Object]) -> Iterator[Trouble]:
    """All that keeps a workload from being ready, and can be told."""
    found = (_of_pod(pod) for pod in pods if _owned(pod, target))
    yield from filter(None, (*found, _of_workload(live)))


def without_node(target: Target, pods: Iterable[Object]) -> str:
    """Why no node takes the pods that are lacking; empty where a pod lacks anything else, or none.

    A pod that found no node has the condition PodScheduled=False with reason Unschedulable (the
    Kubernetes API reference, Pod v1 core, PodCondition).
    """
    found = ""
    for pod in pods:
        status, ended = pod.get("status", {}), "deletionTimestamp" in pod["metadata"]
        if not _owned(pod, target) or ended or status.get("phase") in _ENDED:
            continue
        states = {row["type"]: row for row in status.get("conditions", ())}
        placed = states.get("PodScheduled", {})
        if placed.get("status") == "False" and placed.get("reason") == "Unschedulable":
            found = found or f"pod {pod['metadata']['name']}: {placed.get('message', '')}"
        elif states.get("Ready", {}).get("status") != "True":
            return ""
    return found


def _of_pod(pod: Object) -> Trouble | None:
    """A container's waiting reason, or why no node takes the pod."""
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    states = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    for container in states:
        waiting = container.get("state", {}).get("waiting", {})
        if (reason := waiting.get("reason")) in _BROKEN:
            # Of a refused pull or start only the refusal tells, whatever ended there before.
            last = _last_end(container, pod) if reason == _LOOPS else ""
            detail = last or waiting.get("message", "")
            why = f"pod {name}: container {container['name']} {reason}" + (detail and f": {detail}")
            starts = f"{name} {container['name']} {container.get('restartCount', 0)}"
            return Trouble(why, True, starts if reason == _LOOPS else "")
    if status.get("phase") == "Failed" and (reason := status.get("reason")):
        # Such as Evicted: its place is taken by another pod, which may be on its way.
        return Trouble(f"pod {name}: {reason}: {status.get('message', '')}", False, name)
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason = condition.get("reason", "Unschedulable")
            return Trouble(f"pod {name}: {reason}: {condition.get('message', '')}", False, "")
    return None


def _last_end(container: Object, pod: Object) -> str:
    """Why a container ended last, which tells more than that it ended again; "" where none did.

    Its program's own words (terminationMessagePath), where it left any. Who goes over a memory
    limit is killed and can say nothing: the kubelet gives the reason OOMKilled for it.
    """
    ended = container.get("lastState", {}).get("terminated", {})
    if ended.get("reason") == "OOMKilled":
        rows = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
        (row,) = (row for row in rows if row["name"] == container["name"])
        limit = row.get("resources", {}).get("limits", {}).get("memory", "its node's")
        return (
            f"OOMKilled: it went over its memory limit of {limit}; choose a machine_type with "
            "more memory, or have the server use less"
        )
    said = ended.get("message", "").strip()
    return said or (f"it ended with exit code {ended['exitCode']}" if ended else "")


def _of_workload(live: Object) -> Trouble | None:
    """Why the controller itself gave up on it."""
    for condition in live.get("status", {}).get("conditions", ()):
        late = condition["type"] == "Progressing" and condition["status"] == "False"
        refused = condition["type"] == "ReplicaFailure" and condition["status"] == "True"
        if late or refused:
            why = f"{condition['reason']}: {condition.get('message', '')}"
            return Trouble(why, True, condition.get("lastTransitionTime", "") if late else "")
    return None


def _owned(pod: Object, target: Target) -> bool:
    owners = pod["metadata"].get("ownerReferences", ())
    return any(
        owner["name"] == target.name or owner["name"].rsplit("-", 1)[0] == target.name
        for owner in owners
    )
