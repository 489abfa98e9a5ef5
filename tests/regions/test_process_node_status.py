"""A pod's status says what a kubelet would say of the same containers."""

from __future__ import annotations

from typing import Any

import pytest

from regions.sandbox.kube import Object
from regions.sandbox.process_node.status import (
    ContainerView,
    PodView,
    build,
    phase,
    terminated,
    waiting,
)

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"
RUNS: Object = {"running": {"startedAt": NOW}}
WAITS = waiting("ContainerCreating")
DONE = terminated(0, "Completed", "", NOW, NOW)
BROKEN = terminated(1, "Error", "", NOW, NOW)


def view_of(name: str, state: Object, **over: Any) -> ContainerView:
    whole: dict[str, Any] = {
        "name": name,
        "image": "i",
        "state": state,
        "last_state": {},
        "restarts": 0,
        "ready": "running" in state,
        "started": "running" in state,
        "container_id": "",
    }
    return ContainerView(**{**whole, **over})


def a_view(*states: Object, **over: Any) -> PodView:
    whole: dict[str, Any] = {
        "init": [],
        "main": [view_of(f"c{number}", state) for number, state in enumerate(states)],
        "initialized": True,
        "sandboxed": True,
        "address": "127.9.16.1",
        "host": "127.9.16.255",
        "started_at": NOW,
        "ending": None,
    }
    return PodView(**{**whole, **over})


def a_pod(policy: str = "Always", **spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"restartPolicy": policy, **spec}}


def conditions(made: Object) -> dict[str, Object]:
    return {one["type"]: one for one in made["conditions"]}


@pytest.mark.parametrize(
    ("policy", "states", "expected"),
    [
        ("Always", (RUNS, RUNS), "Running"),
        ("Always", (RUNS, WAITS), "Pending"),
        ("Always", (DONE,), "Running"),
        ("OnFailure", (DONE,), "Succeeded"),
        ("OnFailure", (BROKEN,), "Running"),
        ("OnFailure", (DONE, BROKEN), "Running"),
        ("Never", (DONE, BROKEN), "Failed"),
        ("Never", (DONE, RUNS), "Running"),
        ("Never", (DONE, DONE), "Succeeded"),
    ],
)
def test_the_phase_follows_the_containers_and_whether_they_run_again(
    policy: str, states: tuple[Object, ...], expected: str
) -> None:
    assert phase(a_view(*states), policy) == expected


def test_a_container_that_waits_to_be_restarted_leaves_the_pod_running() -> None:
    main = [view_of("c", waiting("CrashLoopBackOff"), last_state=BROKEN)]
    assert phase(a_view(main=main), "Always") == "Running"


@pytest.mark.parametrize(("policy", "expected"), [("Never", "Failed"), ("OnFailure", "Pending")])
def test_a_failed_init_container_fails_the_pod_only_if_it_is_never_restarted(
    policy: str, expected: str
) -> None:
    view = a_view(WAITS, init=[view_of("i", BROKEN)], initialized=False)
    assert phase(view, policy) == expected


def test_a_reason_that_ends_the_pod_is_told() -> None:
    made = build(a_pod(), a_view(RUNS, ending=("Failed", "DeadlineExceeded", "late")), {}, NOW)
    assert (made["phase"], made["reason"], made["message"]) == (
        "Failed",
        "DeadlineExceeded",
        "late",
    )
    assert conditions(made)["Ready"]["reason"] == "PodFailed"


def test_an_unready_container_is_named() -> None:
    view = a_view(main=[view_of("web", RUNS), view_of("side", RUNS, ready=False)])
    ready = conditions(build(a_pod(), view, {}, NOW))["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [side]"


def test_waiting_init_containers_are_named_and_sidecars_that_run_are_not() -> None:
    init = [
        view_of("side", RUNS),
        view_of("load", WAITS, ready=False),
        view_of("done", DONE),
    ]
    made = conditions(build(a_pod(), a_view(WAITS, init=init, initialized=False), {}, NOW))
    assert made["Initialized"]["message"] == "containers with incomplete status: [load]"


def test_a_readiness_gate_holds_and_a_completed_pod_is_not_ready() -> None:
    gates = [{"conditionType": "example.com/gate"}]
    made = conditions(build(a_pod(readinessGates=gates), a_view(RUNS), {}, NOW))
    assert made["example.com/gate"]["status"] == made["Ready"]["status"] == "True"
    done = conditions(build(a_pod("Never"), a_view(DONE), {}, NOW))
    assert (done["Ready"]["status"], done["Ready"]["reason"]) == ("False", "PodCompleted")


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    first = conditions(build(a_pod(), a_view(RUNS), {}, NOW))
    same = conditions(build(a_pod(), a_view(RUNS), first, LATER))
    assert same["Ready"]["lastTransitionTime"] == NOW, "nothing changed"
    unready = a_view(main=[view_of("c", RUNS, ready=False)])
    changed = conditions(build(a_pod(), unready, first, LATER))
    assert changed["Ready"]["lastTransitionTime"] == LATER
    assert changed["Initialized"]["lastTransitionTime"] == NOW, "this one did not change"


def test_addresses_replace_those_of_before_and_are_left_out_before_there_are_any() -> None:
    made = build(a_pod(), a_view(RUNS), {}, NOW)
    assert made["podIPs"] == [{"$patch": "replace"}, {"ip": "127.9.16.1"}]
    assert "podIP" not in build(a_pod(), a_view(WAITS, address="", sandboxed=False), {}, NOW)
