"""What is deleted is waited for: pods that end, of this model alone, and not for ever."""

from __future__ import annotations

from components.gates.drains import Pods, await_end, leaving
from components.kube import Object
from components.kube_client import ApiError
from model_specs.names import LABEL_MODEL, LABEL_ROLE, LABEL_TRACK

WHAT = Pods(namespace="search", labels={LABEL_MODEL: "sentiment"}, grace_seconds=40)
SERVER = {LABEL_MODEL: "sentiment", LABEL_ROLE: "model-server", LABEL_TRACK: "stable"}
DEPLOYMENT: Object = {"metadata": {"labels": SERVER, "name": "sentiment"}}


def a_pod(
    name: str, label: str = "", value: str = "", *, ends: bool = False, phase: str = "Running"
) -> Object:
    """A server pod of the model, with one of its labels changed."""
    head: Object = {"labels": SERVER | ({label: value} if label else {}), "name": name}
    if ends:
        head["deletionTimestamp"] = "2026-11-28T12:00:00Z"
    return {"metadata": head, "status": {"phase": phase}}


class Watch:
    """A clock that goes a second each time it is slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_pods_leave_that_end_or_have_no_deployment() -> None:
    pods = [a_pod("stays"), a_pod("ends", ends=True), a_pod("over", ends=True, phase="Failed")]
    assert list(leaving(WHAT, pods, [DEPLOYMENT])) == ["ends"]
    assert list(leaving(WHAT, pods, [])) == ["stays", "ends"], "the collector has yet to come"
    candidate = a_pod("new", LABEL_TRACK, "candidate")
    assert list(leaving(WHAT, [candidate], [DEPLOYMENT])) == ["new"], "its own Deployment is gone"
    ends: Object = {"metadata": {**DEPLOYMENT["metadata"], "deletionTimestamp": "now"}}
    assert list(leaving(WHAT, [a_pod("stays")], [ends])) == ["stays"]


def test_pods_of_other_models_and_of_jobs_are_nobody_s_business() -> None:
    others = [
        a_pod("other", LABEL_MODEL, "ranker", ends=True),
        a_pod("job", LABEL_ROLE, "job", ends=True),
        {"metadata": {"deletionTimestamp": "now", "name": "bare"}},
    ]
    assert list(leaving(WHAT, others, [])) == []


def test_it_waits_until_they_are_gone_through_an_api_server_that_is_away() -> None:
    watch, told = Watch(), list[str]()

    def lister(kind: str, namespace: str) -> list[Object]:
        if watch.now < 3:
            raise ApiError("connection refused", passes=True)
        return [a_pod("ends", ends=True)] if kind == "Pod" and watch.now < 20 else []

    await_end(WHAT, lister, lambda: watch.now, watch.sleep, told.append)
    assert (watch.now, told) == (20, [])


def test_a_pod_on_a_lost_node_holds_up_nobody_and_is_named() -> None:
    watch, told = Watch(), list[str]()
    pods = {"Pod": [a_pod("lost", ends=True)], "Deployment": []}
    await_end(WHAT, lambda kind, _: pods[kind], lambda: watch.now, watch.sleep, told.append)
    assert watch.now >= WHAT.grace_seconds, "it had its grace"
    assert "lost" in told[0]
