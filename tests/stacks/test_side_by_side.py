"""Old and new pods at once: a pool that holds both plans and not the way between is named."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from components.kube import Object
from components.order import ROWS
from components.parts import parts
from model_specs.names import LABEL_MACHINE, LABEL_TRACK
from regions.plan import RegionPlan
from stacks.reviewing.moments import (
    Moment,
    Side,
    acts_between,
    all_moments,
    rolled,
    side_of,
)
from stacks.reviewing.side_by_side import Pool, crowded, most_asked
from tests.examples import a_model, a_profile, address, an_offer, planned
from tests.stacks.test_transitions import MODEL, any_rollout, any_spec, edited

NEXT = address("search", "sentiment", 9)


def a_plan(room: int, spot: int = 0, **fields: Any) -> RegionPlan:
    """One model in a pool of so many replicas."""
    profile = a_profile(machines={"gpu.l4.1": an_offer(room, spot)})
    return planned(a_model(**fields), profile=profile)


def canary(room: int, step: int, **fields: Any) -> RegionPlan:
    rollout = {"strategy": "canary", "candidate": {"model": NEXT}, "steps": [10, 100]}
    fields = {"access": "permissive", "scaling": {"min": 3, "max": 3}, **fields}
    return a_plan(room, rollout={**rollout, "step": step}, **fields)


def stable(room: int, **fields: Any) -> RegionPlan:
    return a_plan(room, **{"access": "permissive", "scaling": {"min": 3, "max": 3}, **fields})


def names(old: RegionPlan, new: RegionPlan) -> list[str]:
    return [finding.name for finding in crowded("here", old, new)]


def test_a_promotion_whose_surge_stands_beside_the_candidate_needs_room_for_both() -> None:
    assert names(canary(6, 1), stable(6, model=NEXT)) == ["no room side by side"]
    assert names(canary(7, 1), stable(7, model=NEXT)) == []
    assert names(canary(6, 1), stable(6)) == [], "called off nothing surges"


def test_spot_replicas_stand_beside_those_they_stand_in_for() -> None:
    spot = {"capacity": {"spot": True, "on_demand_base": 1}, "scaling": {"min": 3, "max": 3}}
    assert names(stable(3), a_plan(3, 2, access="permissive", **spot)) == []


def test_models_that_trade_places_are_both_named() -> None:
    profile = a_profile(machines={"gpu.l4.1": an_offer(4)})

    def plan(one: int, other: int) -> RegionPlan:
        size = {"one": one, "other": other}
        models = [
            a_model(name=name, model=address("search", name), scaling={"min": n, "max": n})
            for name, n in size.items()
        ]
        return planned(*models, profile=profile)

    found = list(crowded("here", plan(3, 1), plan(1, 3)))
    assert [finding.model for finding in found] == ["search/one", "search/other"]
    assert "6 on_demand replicas of gpu.l4.1" in found[0].reason
    assert "by 2, or change one thing at a time" in found[0].cure


def test_what_does_not_fit_before_or_after_is_told_elsewhere() -> None:
    assert names(stable(3), stable(3)) == []
    assert names(canary(6, 1), stable(2, scaling={"min": 2, "max": 2})) == []


# -- the most is what a walk through every moment finds ------------------------------------------


def pods_at(old: Side, new: Side, at: Moment, least: dict[str, int]) -> Counter[Pool]:
    """Pods that are asked for at a moment, counted from the objects."""
    found: Counter[Pool] = Counter()
    for key, made in at.objects.items():
        if made["kind"] != "Deployment" or made["metadata"]["name"] not in least:
            continue
        before = old.steps[key].made if key in old.steps else None
        moving = key in at.done and rolled(key) not in at.done and before is not None
        sizes = Counter({pool_of(made): replicas(new if key in at.done else old, made)})
        if moving and before is not None:
            was = Counter({pool_of(before): replicas(old, before)})
            if before["spec"]["template"] != made["spec"]["template"]:
                surge = made["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
                sizes[pool_of(made)] += surge
            sizes |= was
        found.update(sizes)
    return found


def replicas(side: Side, made: Object) -> int:
    own = (made["metadata"]["namespace"], made["metadata"]["name"])
    return side.scaled.get(own, made["spec"]["replicas"])


def pool_of(made: Object) -> Pool:
    where = made["spec"]["template"]["spec"]["nodeSelector"]
    spot = made["metadata"]["labels"][LABEL_TRACK] == "spot"
    return where[LABEL_MACHINE], "spot" if spot else "on_demand"


@pytest.mark.parametrize("seed", range(40))
def test_the_most_is_what_a_walk_through_every_moment_finds(seed: int) -> None:
    dice = random.Random(seed)
    fields = any_spec(dice)
    if dice.random() < 0.5:
        fields["rollout"] = any_rollout(dice, fields["access"])
    old = a_plan(100, 100, **fields)
    new = a_plan(100, 100, **edited(dice, fields))
    before, after = (side_of(plan, list(parts(plan)), MODEL, ROWS) for plan in (old, new))
    tracks = [t for plan in (old, new) for t in plan.servers[0].tracks]
    least = {track.name: track.scaler.min for track in tracks}
    walked: Counter[Pool] = Counter()
    for at in all_moments(before, acts_between(before, after), after):
        walked |= pods_at(before, after, at, least)
    told: Counter[Pool] = Counter()
    for count in most_asked(old.servers[0], new.servers[0]).values():
        told.update(count)
    assert told == walked, fields
