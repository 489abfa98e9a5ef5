"""When `up` waits between its objects: told from what the gates were asked last time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.gates.acts import (
    HANDOVER,
    SHIFT,
    SPOT,
    TRAFFIC,
    awaited,
    gates,
    gives_back,
    shifts,
    takes,
)
from regions.plan import RegionPlan
from tests.examples import a_model, a_profile, address, an_offer, planned

ROOM = {"gpu.l4.1": an_offer(100, 100)}
NEXT = address("search", "sentiment", 9)


def a_plan(**fields: Any) -> RegionPlan:
    """One permissive model in a region with room."""
    model = a_model(**{"access": "permissive", "scaling": {"min": 2, "max": 8}, **fields})
    return planned(model, profile=a_profile(machines=ROOM))


def asked(kind: str, plan: RegionPlan) -> dict[str, Any]:
    """What the one gate of a kind is asked; empty where there is none."""
    found = [gate.asked for gate in gates(plan) if gate.kind == kind]
    assert len(found) <= 1, found
    return found[0] if found else {}


def waits(kind: str, old: RegionPlan, new: RegionPlan) -> list[str]:
    """Whose pods the gate waits for on the way from one plan to the other."""
    return [target.name for target in awaited(kind, asked(kind, old), asked(kind, new))]


def canary(step: int, **fields: Any) -> RegionPlan:
    """A candidate with 10, 50 or 100 per cent of the requests."""
    rollout = {"strategy": "canary", "candidate": {"model": NEXT}, "steps": [10, 50, 100]}
    return a_plan(rollout={**rollout, "step": step}, **fields)


def green(step: int) -> RegionPlan:
    """A candidate with none or all of them."""
    candidate = {"model": NEXT}
    return a_plan(rollout={"strategy": "blue_green", "candidate": candidate, "step": step})


STABLE, PROMOTED = a_plan(), a_plan(model=NEXT)


@pytest.mark.parametrize("before", [canary(2), canary(1), green(1)], ids=["100", "50", "swapped"])
def test_users_come_back_from_a_candidate_only_to_what_it_was(before: RegionPlan) -> None:
    assert waits(TRAFFIC, before, PROMOTED) == ["sentiment"], (
        "else all of them would be answered by the old version again"
    )


@pytest.mark.parametrize("before", [canary(2), green(1)])
def test_users_come_back_at_once_to_a_version_that_never_changed(before: RegionPlan) -> None:
    assert waits(TRAFFIC, before, STABLE) == [], "the candidate may be what is broken"


@pytest.mark.parametrize(
    ("before", "after"),
    [(STABLE, canary(0)), (canary(0), canary(1)), (green(0), green(1)), (STABLE, green(1))],
)
def test_users_are_led_to_a_candidate_that_serves(before: RegionPlan, after: RegionPlan) -> None:
    assert waits(TRAFFIC, before, after) == ["sentiment-candidate"]


def test_another_candidate_is_waited_for_at_the_same_share() -> None:
    other = {"model": address("search", "sentiment", 11)}
    steps = {"strategy": "canary", "candidate": other, "steps": [10, 50, 100], "step": 1}
    assert waits(TRAFFIC, canary(1), a_plan(rollout=steps)) == ["sentiment-candidate"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (STABLE, STABLE),
        (STABLE, PROMOTED),
        (canary(1), canary(0)),
        (STABLE, green(0)),
        (canary(1), canary(1)),
    ],
    ids=["the same", "rolling", "fewer", "nobody yet", "the same canary"],
)
def test_nothing_else_is_waited_for_in_between(before: RegionPlan, after: RegionPlan) -> None:
    assert waits(TRAFFIC, before, after) == []


def test_spot_pods_are_waited_for_where_they_stand_in_for_others() -> None:
    spot = a_plan(capacity={"spot": True, "on_demand_base": 1})
    more = a_plan(capacity={"spot": True, "on_demand_base": 1}, scaling={"min": 5, "max": 8})
    assert waits(SPOT, STABLE, spot) == ["sentiment-spot"]
    assert waits(SPOT, spot, more) == ["sentiment-spot"]
    assert waits(SPOT, more, spot) == waits(SPOT, spot, spot) == [], "fewer stand in for nobody"
    assert asked(SPOT, STABLE) == {}


def test_replicas_are_taken_over_where_they_become_fixed_and_given_back_where_not() -> None:
    scaled, fixed = (asked(HANDOVER, a_plan(scaling={"min": least, "max": 8})) for least in (2, 8))
    assert (takes({}, fixed), takes(scaled, fixed)) == (True, True)
    assert (takes(fixed, fixed), takes({}, scaled), takes(fixed, scaled)) == (False,) * 3
    assert gives_back(fixed, scaled)
    assert not gives_back({}, scaled)
    assert not gives_back(scaled, fixed)


def shares(old: RegionPlan, new: RegionPlan) -> int | None:
    """The share that a candidate keeps before its pods go; None where nobody is led away."""
    olds, news = asked(SHIFT, old), asked(SHIFT, new)
    found = shifts(olds, news) if news else None
    return found.share if found else None


def test_users_are_led_away_from_a_candidate_that_stays() -> None:
    assert shares(canary(2), canary(0)) == 10
    assert shares(canary(2), green(0)) == shares(green(1), green(0)) == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (STABLE, canary(1)),
        (canary(0), canary(2)),
        (canary(1), canary(1)),
        (canary(1), STABLE),
        (canary(2), PROMOTED),
    ],
    ids=["comes", "more", "the same", "called off", "promoted"],
)
def test_nobody_is_led_away_first_from_a_candidate_that_keeps_its_users_or_goes_last(
    before: RegionPlan, after: RegionPlan
) -> None:
    assert shares(before, after) is None


def test_users_are_led_away_once_the_stable_version_is_what_it_shall_be() -> None:
    other = canary(0, model=address("search", "sentiment", 11))
    assert waits(SHIFT, canary(2), other) == ["sentiment"]
    assert waits(SHIFT, canary(2), canary(0)) == []


def test_no_gate_is_named_after_a_region() -> None:
    plan = canary(1)
    names = [gate.name for gate in gates(plan)]
    assert names == [gate.name for gate in gates(replace(plan, region="another"))]
    assert set(names) == {
        "search/sentiment",
        "search/sentiment-candidate",
        "search/sentiment--8000",
    }
