"""A pod's status as a kubelet reports it, from what is known of its containers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from regions.sandbox.kube import Object

FINISHED: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """One container as it is shown. `state` and `last_state` are those of the API."""

    name: str
    image: str
    state: Object
    last_state: Object
    restarts: int
    ready: bool
    started: bool
    container_id: str

    def as_status(self) -> Object:
        """The entry of `containerStatuses`."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": self.image,
            "containerID": self.container_id,
            "state": self.state,
            "lastState": self.last_state,
            "restartCount": self.restarts,
            "ready": self.ready,
            "started": self.started,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """What a status is made from. `ending` is a phase, reason and message that end the pod."""

    init: Sequence[ContainerView]
    main: Sequence[ContainerView]
    initialized: bool
    sandboxed: bool
    address: str
    host: str
    started_at: str
    ending: tuple[str, str, str] | None


def moment() -> str:
    """This second, as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def waiting(reason: str, message: str = "") -> Object:
    """The state of a container that does not run yet, or not now."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def terminated(code: int, reason: str, message: str, started: str, finished: str) -> Object:
    """The state of a container that ended."""
    state: Object = {"exitCode": code, "reason": reason}
    if started:
        state["startedAt"] = started
    if finished:
        state["finishedAt"] = finished
    if message:
        state["message"] = message
    return {"terminated": state}


def phase(view: PodView, restart_policy: str) -> str:
    """Pending, Running, Succeeded or Failed."""
    if view.ending:
        return view.ending[0]
    if not view.initialized:
        failed = any(_code(one) for one in view.init)
        return "Failed" if failed and restart_policy == "Never" else "Pending"
    codes = [_code(one) for one in view.main]
    if all(code is not None and not _restarts(code, restart_policy) for code in codes):
        return "Failed" if any(codes) else "Succeeded"
    fresh = any("waiting" in one.state and not one.last_state for one in view.main)
    return "Pending" if fresh else "Running"


def build(pod: Object, view: PodView, before: Mapping[str, Object], now: str) -> Object:
    """The whole status; `before` holds the conditions reported last, by type."""
    policy = pod["spec"].get("restartPolicy", "Always")
    reached = phase(view, policy)
    made: Object = {
        "phase": reached,
        "reason": view.ending[1] if view.ending else None,
        "message": view.ending[2] if view.ending else None,
        "conditions": _conditions(pod, view, reached, before, now),
        "containerStatuses": [one.as_status() for one in view.main],
        "hostIP": view.host,
        "hostIPs": [{"ip": view.host}],
        "startTime": view.started_at,
    }
    if view.init:
        made["initContainerStatuses"] = [one.as_status() for one in view.init]
    if view.address:
        made["podIP"] = view.address
        # The list is merged by address: one of before the restart of the agent would stay.
        made["podIPs"] = [{"$patch": "replace"}, {"ip": view.address}]
    return made


def _conditions(
    pod: Object, view: PodView, reached: str, before: Mapping[str, Object], now: str
) -> list[Object]:
    unready = [one.name for one in view.main if not one.ready]
    unready += [one.name for one in view.init if "running" in one.state and not one.ready]
    waiting_for = [one.name for one in view.init if not _is_past(one)]
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    not_ready = _why_unready(reached, unready)
    rows: dict[str, tuple[str, str]] = {
        "PodReadyToStartContainers": _flag(view.sandboxed),
        "Initialized": _flag(
            view.initialized, "ContainersNotInitialized", "incomplete", waiting_for
        ),
        "Ready": not_ready,
        "ContainersReady": not_ready,
        **dict.fromkeys(gates, ("", "")),
    }
    return [_condition(kind, row, before.get(kind), now) for kind, row in rows.items()]


def _why_unready(reached: str, unready: Sequence[str]) -> tuple[str, str]:
    if reached in FINISHED:
        return ("PodCompleted" if reached == "Succeeded" else "PodFailed", "")
    return _flag(not unready, "ContainersNotReady", "unready", unready)


def _flag(
    is_true: bool, reason: str = "NotYet", what: str = "", names: Iterable[str] = ()
) -> tuple[str, str]:
    """Reason and message of a condition; both are empty when it holds."""
    if is_true:
        return "", ""
    return reason, f"containers with {what} status: [{' '.join(names)}]" if what else ""


def _condition(kind: str, row: tuple[str, str], before: Object | None, now: str) -> Object:
    reason, message = row
    status = "False" if reason else "True"
    same = before is not None and before["status"] == status
    made: dict[str, Any] = {
        "type": kind,
        "status": status,
        # None removes what the last patch has said.
        "reason": reason or None,
        "message": message or None,
        "lastTransitionTime": before["lastTransitionTime"] if before and same else now,
    }
    return made


def _code(one: ContainerView) -> int | None:
    ended = one.state.get("terminated")
    return None if ended is None else int(ended["exitCode"])


def _restarts(code: int, policy: str) -> bool:
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def _is_past(one: ContainerView) -> bool:
    """Whether an init container lets the next one begin: it is done, or a sidecar that started."""
    return _code(one) == 0 or ("running" in one.state and one.started)
