"""The gate returns when everything serves, and otherwise names what does not, with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from components.kube import Object
from components.kube_client import ApiError
from components.readiness import Target
from components.rollout_gate import Fault, GateError, _GateProvider, wait

ONE = Target("Deployment", "search", "sentiment", 1, 600, "search", "", 0)
TWO = Target("Deployment", "search", "ranker", 1, 600, "search", "", 0)
OTHER = Target("Deployment", "chat", "helper", 1, 600, "chat", "", 0)
AGENT = Target("DaemonSet", "isoserve-cache", "cache-gpu-l4-1", 1, 600, "", "", 0)
Script = Callable[[float, str, str], list[Object]]


def workload(name: str, ready: bool, **status: Any) -> Object:
    counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": int(ready)}
    return {
        "metadata": {"generation": 1, "name": name},
        "status": {"observedGeneration": 1, **counts, **status},
    }


def broken_pod(owner: str, reason: str = "ImagePullBackOff", restarts: int = 0) -> Object:
    state = {"waiting": {"message": "no such digest", "reason": reason}}
    owners = [{"kind": "ReplicaSet", "name": f"{owner}-7d9f"}]
    row = {"name": "model-server", "restartCount": restarts, "state": state}
    return {
        "metadata": {"name": f"{owner}-7d9f-x1", "ownerReferences": owners},
        "status": {"containerStatuses": [row]},
    }


class World:
    """A cluster that changes by the clock, and a clock that only moves when somebody sleeps."""

    def __init__(self, script: Script) -> None:
        self.now = 1000.0
        self.calls: list[tuple[float, str, str]] = []
        self.said: list[str] = []
        self.script = script

    @property
    def waited(self) -> float:
        return self.now - 1000.0

    def list(self, kind: str, namespace: str) -> list[Object]:
        self.calls.append((self.waited, kind, namespace))
        return self.script(self.waited, kind, namespace)

    def sleep(self, seconds: float) -> None:
        assert seconds > 0, "a busy loop asks the API server without end"
        self.now += seconds
        assert self.waited < 10_000, "the gate never ends"

    def run(self, *wanted: Target, faults: Sequence[Fault] = ()) -> None:
        wait(wanted, self.list, lambda: self.now, self.sleep, self.said.append, faults)

    def failure(self, *wanted: Target, faults: Sequence[Fault] = ()) -> str:
        with pytest.raises(GateError) as failed:
            self.run(*wanted, faults=faults)
        return str(failed.value)


def ready_from(seconds: dict[str, float]) -> Script:
    """Workloads that serve from so many seconds on, with pods that have no trouble."""

    def script(now: float, kind: str, namespace: str) -> list[Object]:
        if kind == "Pod":
            return []
        return [workload(name, now >= at) for name, at in seconds.items()]

    return script


def test_what_serves_already_is_not_waited_for() -> None:
    world = World(ready_from({"sentiment": 0}))
    world.run(ONE)
    assert world.waited == 0
    assert world.calls == [(0, "Deployment", "search")], "one look is enough"


def test_nothing_to_wait_for_is_nothing_to_ask() -> None:
    world = World(ready_from({}))
    world.run()
    assert world.calls == []


def test_it_returns_as_soon_as_the_last_one_serves() -> None:
    world = World(ready_from({"sentiment": 3, "ranker": 42}))
    world.run(ONE, TWO)
    assert world.waited == pytest.approx(42, abs=1)


def test_workloads_of_a_namespace_are_listed_together() -> None:
    world = World(ready_from({"sentiment": 0, "ranker": 0, "helper": 0}))
    world.run(ONE, TWO, OTHER)
    assert sorted(world.calls) == [(0, "Deployment", "chat"), (0, "Deployment", "search")], (
        "a thousand models are a handful of requests"
    )


def test_pods_of_a_namespace_are_listed_once_a_look() -> None:
    world = World(ready_from({"sentiment": 8, "ranker": 8}))
    world.run(ONE, TWO)
    pods = [call for call in world.calls if call[1] == "Pod"]
    assert pods, "after a while the reason is looked for"
    assert len(pods) == len(set(pods)), "a hundred models that start are one request a second"


def test_what_serves_is_not_looked_at_again() -> None:
    world = World(ready_from({"sentiment": 0, "helper": 30}))
    world.run(ONE, OTHER)
    later = {namespace for at, _, namespace in world.calls if at > 0}
    assert later == {"chat"}


def test_a_quick_start_lists_no_pods() -> None:
    world = World(ready_from({"sentiment": 4}))
    world.run(ONE)
    assert {kind for _, kind, _ in world.calls} == {"Deployment"}, "most starts need no reason"


def test_a_broken_pod_is_named_after_a_little_patience() -> None:
    def script(now: float, kind: str, namespace: str) -> list[Object]:
        return [broken_pod("sentiment")] if kind == "Pod" else [workload("sentiment", False)]

    world = World(script)
    why = world.failure(ONE)
    assert "Deployment search/sentiment: pod sentiment-7d9f-x1: container model-server" in why
    assert "ImagePullBackOff: no such digest" in why
    assert 15 <= world.waited <= 30, "a pull may fail once, and nobody waits ten minutes for this"


def test_trouble_that_passes_is_forgiven() -> None:
    def script(now: float, kind: str, namespace: str) -> list[Object]:
        if kind == "Pod":
            # Broken for 10 s, well for 10 s, broken for 10 s: never for 15 s at a stretch.
            return [broken_pod("sentiment")] if 5 <= now < 15 or 25 <= now < 35 else []
        return [workload("sentiment", now >= 60)]

    world = World(script)
    world.run(ONE)
    assert world.waited == pytest.approx(60, abs=1)


def crashing(restarts_at: Callable[[float], int], serves_at: float = float("inf")) -> Script:
    """A pod in a crash loop, which has been restarted so often."""

    def script(now: float, kind: str, namespace: str) -> list[Object]:
        if kind != "Pod":
            return [workload("sentiment", now >= serves_at)]
        return [broken_pod("sentiment", "CrashLoopBackOff", restarts_at(now))]

    return script


def test_a_crash_before_the_wait_has_until_the_next_attempt() -> None:
    world = World(crashing(lambda now: 6, serves_at=300))
    world.run(ONE)
    assert world.waited == pytest.approx(300, abs=1), (
        "who has mended the cause and runs `up` again must not be told of the old crash"
    )


def test_a_crash_that_comes_again_is_reported() -> None:
    world = World(crashing(lambda now: 6 if now < 80 else 7))
    assert "container model-server CrashLoopBackOff" in world.failure(ONE)
    assert 95 <= world.waited <= 96, "the new crash, and a little patience"


def test_an_old_crash_of_one_pod_does_not_hide_the_old_crash_of_another() -> None:
    def script(now: float, kind: str, namespace: str) -> list[Object]:
        if kind != "Pod":
            return [workload("sentiment", now >= 200)]
        pods = [broken_pod("sentiment", "CrashLoopBackOff", 4) for _ in range(2)]
        pods[0]["metadata"]["name"] = "sentiment-7d9f-x0"
        return pods if now < 60 else pods[1:]

    world = World(script)
    world.run(ONE)
    assert world.waited == pytest.approx(200, abs=1), "the first has come back, the other may too"


def test_an_old_crash_is_named_when_time_is_up() -> None:
    world = World(crashing(lambda now: 6))
    assert "container model-server CrashLoopBackOff" in world.failure(ONE)
    assert world.waited == pytest.approx(600, abs=1)


def test_a_deployment_that_gave_up_is_reported() -> None:
    late = {
        "message": "timed out",
        "reason": "ProgressDeadlineExceeded",
        "status": "False",
        "type": "Progressing",
    }

    def script(now: float, kind: str, namespace: str) -> list[Object]:
        found = workload("sentiment", False, conditions=[late] if now >= 20 else [])
        return [] if kind == "Pod" else [found]

    world = World(script)
    assert "ProgressDeadlineExceeded: timed out" in world.failure(ONE)
    assert world.waited < ONE.timeout_seconds


def test_a_workload_without_trouble_may_take_its_time_and_no_more() -> None:
    world = World(ready_from({"sentiment": 10_000}))
    why = world.failure(ONE)
    assert world.waited == pytest.approx(600, abs=1)
    assert why.splitlines()[:2] == [
        "project search:",
        "  Deployment search/sentiment: its pods are not ready yet",
    ]


def test_each_workload_has_its_own_time() -> None:
    world = World(ready_from({"sentiment": 500, "ranker": 10_000}))
    why = world.failure(ONE, replace(TWO, timeout_seconds=100))
    assert "search/ranker" in why
    assert "search/sentiment" not in why
    assert "1 more were still starting" in why, "a person knows that this is not all"


def test_a_pod_without_a_node_is_named_when_its_time_is_up() -> None:
    unplaced = {
        "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu",
        "reason": "Unschedulable",
        "status": "False",
        "type": "PodScheduled",
    }
    pod = broken_pod("sentiment") | {"status": {"conditions": [unplaced]}}

    def script(now: float, kind: str, namespace: str) -> list[Object]:
        return [pod] if kind == "Pod" else [workload("sentiment", False)]

    world = World(script)
    assert "Unschedulable: 0/3 nodes are available" in world.failure(ONE)
    assert world.waited == pytest.approx(600, abs=1), "a node may come as long as there is time"


def test_all_that_is_broken_is_told_at_once() -> None:
    def script(now: float, kind: str, namespace: str) -> list[Object]:
        names = ("ranker", "sentiment")
        return [broken_pod(n) if kind == "Pod" else workload(n, False) for n in names]

    lines = World(script).failure(ONE, TWO).splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [
        "project search",
        "  Deployment search/ranker",
        "  Deployment search/sentiment",
    ]


def test_a_workload_that_appears_late_is_waited_for() -> None:
    def script(now: float, kind: str, namespace: str) -> list[Object]:
        return [] if kind == "Pod" or now < 20 else [workload("sentiment", True)]

    world = World(script)
    world.run(ONE)
    assert world.waited == pytest.approx(20, abs=1)


def test_a_daemonset_is_waited_for_on_all_its_nodes() -> None:
    def script(now: float, kind: str, namespace: str) -> list[Object]:
        counts = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2}
        found = workload(AGENT.name, True, **counts, numberAvailable=2 if now >= 9 else 1)
        return [] if kind == "Pod" else [found]

    world = World(script)
    world.run(AGENT)
    assert world.waited == pytest.approx(9, abs=1)


# -- one project's failure -------------------------------------------------------------------


def one_broken(serves_at: float) -> Script:
    """A model of search whose image is not there, and one of chat that serves later."""

    def script(now: float, kind: str, namespace: str) -> list[Object]:
        if namespace == "chat":
            return [] if kind == "Pod" else [workload("helper", now >= serves_at)]
        return [broken_pod("sentiment")] if kind == "Pod" else [workload("sentiment", False)]

    return script


def test_one_projects_failure_does_not_end_the_wait_for_another() -> None:
    world = World(one_broken(serves_at=200))
    lines = world.failure(ONE, TWO, OTHER).splitlines()
    assert world.waited == pytest.approx(200, abs=1), "chat has until it serves"
    assert lines[0] == "project search:"
    assert lines[1].startswith("  Deployment search/sentiment: pod sentiment-7d9f-x1: container")
    assert lines[2:] == ["  1 more were still starting", "served: project chat"]


def test_a_failure_is_told_while_the_others_are_waited_for() -> None:
    world = World(one_broken(serves_at=200))
    world.failure(ONE, OTHER)
    (said,) = world.said
    assert said.startswith("project search has failed, the others are waited for: Deployment")


def test_failures_of_two_projects_are_named_under_each() -> None:
    world = World(one_broken(serves_at=10_000))
    lines = world.failure(ONE, OTHER).splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "project chat:",
        "project search:",
    ]


def test_what_is_the_regions_own_is_named_so() -> None:
    def script(now: float, kind: str, namespace: str) -> list[Object]:
        if kind == "Pod":
            return []
        counts = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 1}
        return [workload(AGENT.name, False, **counts)]

    assert World(script).failure(AGENT).splitlines()[0] == "the region's own:"


# -- what may be away ------------------------------------------------------------------------

SPOT = replace(ONE, may_lack="spot")


def unplaced_pod(owner: str, message: str = "0/3 nodes are available: 3 Preempted") -> Object:
    lacks = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return broken_pod(owner) | {"status": {"conditions": [{**lacks, "message": message}]}}


def away(pods: list[Object]) -> Script:
    def script(now: float, kind: str, namespace: str) -> list[Object]:
        if namespace == "chat":
            return [] if kind == "Pod" else [workload("helper", now >= 90)]
        return pods if kind == "Pod" else [workload("sentiment", False)]

    return script


@pytest.mark.parametrize(
    ("lack", "seconds", "words"),
    [
        ("spot", 0, "no spot capacity, and it waits for spot nodes alone"),
        (
            "spot",
            900,
            "no spot capacity and no free on-demand node; "
            "an on-demand node is added after 900 s without a spot one",
        ),
        ("preemptible", 0, "preempted, or its pool is full"),
        (
            "preemptible",
            900,
            "preempted, or its pools are full; "
            "an on-demand node is added after 900 s without a spot one",
        ),
    ],
    ids=["spot", "spot that falls back", "preemptible", "both"],
)
def test_what_has_no_node_and_may_lack_one_is_named_and_fails_nobody(
    lack: str, seconds: int, words: str
) -> None:
    world = World(away([unplaced_pod("sentiment")]))
    world.run(replace(ONE, may_lack=lack, fallback_seconds=seconds))
    assert 30 <= world.waited <= 45, "long enough to be no passing queue, short for all others"
    (said,) = world.said
    assert said.startswith(f"Deployment search/sentiment is not there, {words}: pod sentiment-")
    assert said.endswith("it comes back by itself")


def test_what_is_away_holds_up_no_other_project() -> None:
    world = World(away([unplaced_pod("sentiment")]))
    world.run(SPOT, OTHER)
    assert world.waited == pytest.approx(90, abs=1)


@pytest.mark.parametrize(
    "pods",
    [
        [broken_pod("sentiment")],
        [unplaced_pod("sentiment"), broken_pod("sentiment")],
        [],
    ],
    ids=["broken", "one of two broken", "no pod at all"],
)
def test_what_may_lack_a_node_may_not_be_broken(pods: list[Object]) -> None:
    world = World(away(pods))
    assert "Deployment search/sentiment" in world.failure(SPOT)


def test_what_was_preempted_in_passing_is_waited_for() -> None:
    def script(now: float, kind: str, namespace: str) -> list[Object]:
        if kind != "Pod":
            return [workload("sentiment", now >= 120)]
        starting = broken_pod("sentiment") | {"status": {"conditions": []}}
        return [unplaced_pod("sentiment") if now < 20 else starting]

    world = World(script)
    world.run(SPOT)
    assert world.waited == pytest.approx(120, abs=1), "a pod with a node is started, not away"
    assert world.said == []


def test_a_preempted_pod_that_is_still_ending_says_nothing() -> None:
    ending = broken_pod("sentiment") | {"status": {"phase": "Running"}}
    ending["metadata"]["deletionTimestamp"] = "2026-11-22T00:00:00Z"
    world = World(away([ending, unplaced_pod("sentiment")]))
    world.run(SPOT)
    assert world.waited < 60


# -- an API server that is away --------------------------------------------------------------


def silent(until: float, error: ApiError) -> Script:
    def script(now: float, kind: str, namespace: str) -> list[Object]:
        if now < until:
            raise error
        return [workload("sentiment", True)]

    return script


GONE = ApiError("504 Gateway Timeout (list Deployment in search)", passes=True)


@pytest.mark.parametrize("seconds", [3, 61, 590])
def test_the_gate_outlives_an_api_server_that_comes_back_in_time(seconds: float) -> None:
    world = World(silent(seconds, GONE))
    world.run(ONE)
    assert world.waited == pytest.approx(seconds, abs=1)


def test_the_gate_says_for_how_long_nobody_answers() -> None:
    world = World(silent(35, GONE))
    world.run(ONE)
    assert world.said == [
        f"the API server does not answer since {n} s: {GONE}" for n in (10, 20, 30)
    ]


def test_an_api_server_that_stays_away_ends_the_wait_with_the_clock() -> None:
    world = World(silent(10_000, GONE))
    why = world.failure(ONE)
    assert world.waited == pytest.approx(600, abs=1)
    assert why.splitlines() == [
        f"the API server does not answer since 600 s: {GONE}",
        "not seen serving: Deployment search/sentiment",
    ]


def test_a_silence_that_ends_starts_anew() -> None:
    def script(now: float, kind: str, namespace: str) -> list[Object]:
        if now < 12 or 20 <= now < 32:
            raise GONE
        return [] if kind == "Pod" else [workload("sentiment", now >= 40)]

    world = World(script)
    world.run(ONE)
    assert [said.split(" s:")[0].rsplit(" ", 1)[1] for said in world.said] == ["10", "10"]


def test_a_refusal_that_lasts_ends_the_wait() -> None:
    refused = ApiError("403 Forbidden (list Deployment in search)", passes=False)
    world = World(silent(10_000, refused))
    why = world.failure(ONE)
    assert world.waited == pytest.approx(60, abs=1), "no right comes by waiting ten minutes"
    assert why.splitlines()[0] == f"the API server refuses: {refused}"


def test_a_refusal_of_a_server_that_just_started_is_borne() -> None:
    refused = ApiError("403 Forbidden (list Deployment in search)", passes=False)
    world = World(silent(30, refused))
    world.run(ONE)
    assert world.waited == pytest.approx(30, abs=1)


@pytest.mark.parametrize(
    ("before", "now", "waits"),
    [
        ({}, 0, False),
        ({"taken": 0}, 1, True),
        ({}, 1, True),
        ({"taken": 1}, 1, False),
        ({"taken": 1}, 2, True),
        ({"taken": 2}, 0, False),
    ],
    ids=["never", "first", "of an older state", "not again", "again", "a preview, or one gone"],
)
def test_pods_that_a_taking_back_restarts_are_waited_for(
    before: dict[str, int], now: int, waits: bool
) -> None:
    same = {"digest": "a", "faults": "[]"}
    diff = _GateProvider().diff("", {**same, **before}, {**same, "taken": now})
    assert diff.changes == waits, "the digest of what is rendered is the same"
