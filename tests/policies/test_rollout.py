"""A change that cannot finish, or that drops what is being answered, is refused in advance."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import pytest

from model_specs.schema import Candidate, Rollout
from policies.rollout import RULES
from policies.rule import Rule
from tests.examples import specs
from tests.policies.cases import (
    GONE,
    Case,
    check,
    check_unknown,
    failing,
    respecified,
    setting,
    with_path,
)
from tests.policies.estate import changed, named, said

CLOCKS, STATED, FEASIBLE, DRAIN = RULES
VLLM: Final = "Deployment search/sentiment"
TRITON: Final = "Deployment vision/tagger"
PLAIN: Final = "Deployment search/embedder"
LARGE: Final = "Deployment chat/assistant"
SPOT: Final = "Deployment chat/helper-spot"
POD: Final = "spec template spec"
MAIN: Final = f"{POD} containers 0"
GRACE: Final = f"{POD} terminationGracePeriodSeconds"


def args(label: str) -> list[Any]:
    """The arguments of a server."""
    found: list[Any] = named(label).values["spec"]["template"]["spec"]["containers"][0]["args"]
    return found


CASES: Final = (
    *(
        Case(rule=CLOCKS, of=LARGE, path=path, value=value, says=says, times=times,
             field="machine_type")
        for path, value, says, times in (
            (f"{MAIN} startupProbe", GONE, "has no startupProbe", 2),
            (f"{MAIN} startupProbe failureThreshold", 67, "a start 670 s, the model needs 673", 1),
            (f"{MAIN} startupProbe periodSeconds", GONE, "gives a start 0 s", 1),
            (f"{MAIN} startupProbe failureThreshold", GONE, "gives a start 0 s", 1),
            (f"{MAIN} readinessProbe", GONE, "has no readinessProbe", 1),
            (f"{MAIN} livenessProbe", GONE, "has no livenessProbe", 2),
            (f"{MAIN} livenessProbe failureThreshold", 5, "a server that hangs for 50 s", 1),
            ("spec progressDeadlineSeconds", 1458, "gives a rollout 1458 s", 1),
            ("spec progressDeadlineSeconds", GONE, "gives a rollout 0 s", 1),
        )
    ),
    Case(
        rule=CLOCKS,
        of=LARGE,
        path=f"{MAIN} readinessProbe",
        value=named(LARGE).values["spec"]["template"]["spec"]["containers"][0]["livenessProbe"],
        says="as soon as it is not ready",
        field="machine_type",
    ),
    *(
        Case(rule=STATED, of=PLAIN, path=f"spec strategy{path}", value=value, says=says,
             field="rollout")
        for path, value, says in (
            ("", GONE, "maxSurge None, maxUnavailable None"),
            (" rollingUpdate", GONE, "maxSurge None, maxUnavailable None"),
            (" type", "Recreate", "maxSurge None, maxUnavailable None"),
            (" rollingUpdate maxSurge", "25%", "maxSurge 25%"),
            (" rollingUpdate maxUnavailable", GONE, "maxUnavailable None"),
            (" rollingUpdate maxSurge", 0, "can neither add nor take a pod"),
        )
    ),
    *(
        Case(rule=FEASIBLE, of=LARGE, path=path, value=value, says=says, field="scaling.max")
        for path, value, says in (
            ("spec strategy rollingUpdate maxSurge", 2, "on_demand gpu.l40s.4 holds 3, not 4"),
            (f"{POD} nodeSelector isoserve.dev/capacity", "spot", "spot gpu.l40s.4 holds 0"),
        )
    ),
    Case(
        rule=FEASIBLE,
        of="ScaledObject chat/assistant",
        path="spec maxReplicaCount",
        value=3,
        says="holds 3, not 4",
        field="scaling.max",
        on=LARGE,
    ),
    *(
        Case(rule=DRAIN, of=of, path=path, value=value, says=says, field=field)
        for of, path, value, says, field in (
            (VLLM, f"{MAIN} lifecycle", GONE, "goes while requests are still sent", ""),
            (VLLM, f"{MAIN} lifecycle preStop sleep seconds", 0, "goes while requests", ""),
            (VLLM, GRACE, 55, "is killed after 55 s, and takes 15 + 40 to go", "args"),
            (VLLM, GRACE, GONE, "is killed after 0 s", "args"),
            (VLLM, f"{MAIN} args", ["serve"], "is not told by --shutdown-timeout", "args"),
            (TRITON, f"{MAIN} args", [], "is not told by --exit-timeout-secs", "args"),
            (
                VLLM,
                f"{MAIN} args",
                [*args(VLLM), "--shutdown-timeout=600"],
                "takes 15 + 600 to go",
                "args",
            ),
            (PLAIN, GRACE, 15, "is killed after 15 s", "args"),
            (SPOT, GRACE, 101, "takes up to 101 s to go, a spot node stays 100", "capacity.spot"),
        )
    ),
)  # fmt: skip
FAILING: Final = failing(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_field_makes_the_difference(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", with_path(CASES), ids=str)
def test_a_field_that_is_not_known_yet_is_no_good_field(case: Case) -> None:
    check_unknown(case)


@pytest.mark.parametrize(
    ("rule", "label", "path", "value"),
    [
        (CLOCKS, LARGE, f"{MAIN} startupProbe failureThreshold", 68),
        (CLOCKS, PLAIN, f"{MAIN} startupProbe failureThreshold", 30),
        (CLOCKS, LARGE, f"{MAIN} livenessProbe failureThreshold", 6),
        (CLOCKS, LARGE, "spec progressDeadlineSeconds", 1459),
        (DRAIN, VLLM, GRACE, 56),
        (DRAIN, VLLM, f"{MAIN} lifecycle preStop sleep seconds", 1),
        (DRAIN, SPOT, GRACE, 100),
        (STATED, PLAIN, "spec strategy rollingUpdate", {"maxSurge": 0, "maxUnavailable": 1}),
    ],
)
def test_exactly_enough_is_enough(rule: Rule, label: str, path: str, value: Any) -> None:
    assert said(rule, changed(named(label), setting(path, value))) == []


def test_a_model_of_no_known_size_is_as_large_as_its_machine_can_load() -> None:
    hasty = changed(named(LARGE), setting(f"{MAIN} startupProbe failureThreshold", 70))
    assert said(CLOCKS, hasty) == []
    nameless = dataclasses.replace(specs(), facts={})
    found = [f for f in said(CLOCKS, hasty, wished=nameless) if f.resource == LARGE]
    assert ["the model needs 881" in finding.place.message for finding in found] == [True]


def test_a_rollout_in_place_needs_no_room() -> None:
    in_place = setting("spec strategy rollingUpdate", {"maxSurge": 5, "maxUnavailable": 1})
    assert said(FEASIBLE, changed(named(LARGE), in_place)) == []


def test_what_is_replaced_in_place_leaves_its_room_to_others() -> None:
    # gpu.l40s.4 holds three: two of the large model, and one more in place or beside.
    moved = changed(
        named(PLAIN),
        setting(
            f"{POD} nodeSelector", named(LARGE).values["spec"]["template"]["spec"]["nodeSelector"]
        ),
    )
    lone = changed(named("ScaledObject search/embedder"), setting("spec maxReplicaCount", 0))
    in_place = setting("spec strategy rollingUpdate", {"maxSurge": 1, "maxUnavailable": 1})
    assert {f.resource for f in said(FEASIBLE, moved, lone)} == {PLAIN, LARGE}
    assert said(FEASIBLE, changed(moved, in_place), lone) == []


def test_a_candidate_is_drained_as_its_own_runtime_needs() -> None:
    candidate = Candidate(image="vllm")
    rollout = Rollout(strategy="canary", candidate=candidate)
    (finding,) = said(DRAIN, wished=respecified("vision/tagger", rollout=rollout))
    assert finding.resource == "Deployment vision/tagger-candidate"
    assert "--shutdown-timeout" in finding.place.message
