"""What is deleted is waited for: pods that end, of this model alone, and not for ever."""

from __future__ import annotations

from typing import Any

from components.gates.drains import Pods, await_end, leaving
from components.kube import Object
from components.kube_client import ApiError, Lister
from model_specs.names import LABEL_MODEL, LABEL_ROLE

WHAT = Pods(namespace="search", labels={LABEL_MODEL: "sentiment"}, grace_seconds=40)
SERVER, JOB = "model-server", "model-job"
DEPLOYMENT: Object = {"metadata": {"name": "sentiment"}}


def live(name: str, *, by: str = "", ends: bool = False, **other: Any) -> Object:
    """An object, `by` the kind and name that own it."""
    head: Object = {"name": name}
    if by:
        kind, _, owner = by.partition(" ")
        head["ownerReferences"] = [{"kind": kind, "name": owner}]
    if ends:
        head["deletionTimestamp"] = "2026-11-28T12:00:00Z"
    return {"metadata": head, **other}


def a_pod(
    name: str,
    role: str = SERVER,
    *,
    by: str = "ReplicaSet sentiment-5d9f",
    model: str = "sentiment",
    ends: bool = False,
    phase: str = "Running",
) -> Object:
    """A pod of the model."""
    made = live(name, by=by, ends=ends, status={"phase": phase})
    made["metadata"]["labels"] = {LABEL_MODEL: model, LABEL_ROLE: role}
    return made


def there(**kinds: list[Object]) -> Lister:
    """An API server that has these objects."""
    return lambda kind, namespace: kinds.get(kind, [])


class Watch:
    """A clock that goes a second each time it is slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_pods_leave_that_end_or_have_no_deployment() -> None:
    pods = [a_pod("stays"), a_pod("ends", ends=True), a_pod("over", ends=True, phase="Failed")]
    assert list(leaving(WHAT, there(Pod=pods, Deployment=[DEPLOYMENT]))) == ["ends"]
    assert list(leaving(WHAT, there(Pod=pods))) == ["stays", "ends"], (
        "the collector has yet to come"
    )
    candidate = a_pod("new", by="ReplicaSet sentiment-candidate-77c4")
    kept = there(Pod=[candidate], Deployment=[DEPLOYMENT])
    assert list(leaving(WHAT, kept)) == ["new"], "its own Deployment is gone"
    gone = live("sentiment", ends=True)
    assert list(leaving(WHAT, there(Pod=[a_pod("stays")], Deployment=[gone]))) == ["stays"]


def test_pods_of_a_run_leave_when_the_next_one_has_taken_its_place() -> None:
    pods = [a_pod("old", JOB, by="Job sentiment-1"), a_pod("new", JOB, by="Job sentiment-2")]
    jobs = [live("sentiment-2")]
    assert list(leaving(WHAT, there(Pod=pods, Job=jobs))) == ["old"]
    jobs += [live("sentiment-1", ends=True)]
    assert list(leaving(WHAT, there(Pod=pods, Job=jobs))) == ["old"], "its Job waits for it"
    over = a_pod("over", JOB, by="Job sentiment-1", phase="Succeeded")
    assert list(leaving(WHAT, there(Pod=[over]))) == [], "it reaches nothing any more"


def test_pods_of_a_schedule_leave_with_it_before_the_collector_has_come_to_their_jobs() -> None:
    pods = [a_pod("runs", JOB, by="Job sentiment-29")]
    jobs = [live("sentiment-29", by="CronJob sentiment")]
    assert list(leaving(WHAT, there(Pod=pods, Job=jobs, CronJob=[live("sentiment")]))) == []
    assert list(leaving(WHAT, there(Pod=pods, Job=jobs))) == ["runs"]
    by_hand = there(Pod=pods, Job=[live("sentiment-29")])
    assert list(leaving(WHAT, by_hand)) == [], "a Job that a person has made stays"


def test_a_job_that_was_just_made_leaves_with_its_schedule_before_it_has_a_pod() -> None:
    labels = {LABEL_MODEL: "sentiment", LABEL_ROLE: JOB}
    job = live("sentiment-29", by="CronJob sentiment")
    job["metadata"]["labels"] = labels
    assert list(leaving(WHAT, there(Job=[job], CronJob=[live("sentiment")]))) == []
    assert list(leaving(WHAT, there(Job=[job]))) == ["sentiment-29"], "it would get one still"
    over = {**job, "status": {"conditions": [{"status": "True", "type": "Complete"}]}}
    assert list(leaving(WHAT, there(Job=[over]))) == []
    other = live("ranker-1", by="CronJob ranker")
    other["metadata"]["labels"] = {**labels, LABEL_MODEL: "ranker"}
    assert list(leaving(WHAT, there(Job=[other]))) == [], "of another model"


def test_a_server_that_becomes_a_job_drains_and_its_job_runs_on() -> None:
    pods = [a_pod("server"), a_pod("job", JOB, by="Job sentiment-1")]
    assert list(leaving(WHAT, there(Pod=pods, Job=[live("sentiment-1")]))) == ["server"]
    assert list(leaving(WHAT, there(Pod=pods, Deployment=[DEPLOYMENT]))) == ["job"], "and back"


def test_pods_of_other_models_and_of_other_roles_are_nobody_s_business() -> None:
    others = [
        a_pod("other", model="ranker", ends=True),
        a_pod("probe", "prober", ends=True),
        live("bare", ends=True),
    ]
    assert list(leaving(WHAT, there(Pod=others))) == []


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
    lister = there(Pod=[a_pod("lost", ends=True)])
    await_end(WHAT, lister, lambda: watch.now, watch.sleep, told.append)
    assert watch.now >= WHAT.grace_seconds, "it had its grace"
    assert "lost" in told[0]
