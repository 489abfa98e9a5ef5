"""What `up` makes after what: a table without a dead row, and an order that the engine can take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.gates.acts import gates
from components.order import ROWS, Order, ordered
from components.parts import parts
from regions.plan import RegionPlan
from tests.examples import REGIONS, a_model, a_profile, address, an_offer, plan_of, planned

every_region = pytest.mark.parametrize("region", REGIONS)
CANDIDATE = {"strategy": "canary", "candidate": {"model": address("search", "sentiment", 9)}}
SPOT = {"spot": True, "on_demand_base": 2}


def a_plan() -> RegionPlan:
    """A public model with a candidate, and one on spot nodes."""
    models = (
        a_model(access="public", rollout=CANDIDATE),
        a_model(name="spotty", scaling={"min": 3, "max": 6}, capacity=SPOT),
    )
    return planned(*models, profile=a_profile(machines={"gpu.l4.1": an_offer(50, 50)}))


def order_of(plan: RegionPlan) -> Order:
    return ordered(parts(plan), plan, ROWS)


@every_region
def test_every_object_and_gate_comes_once_and_after_what_it_waits_for(region: str) -> None:
    plan, seen = plan_of(region), set[str]()
    for step, earlier in order_of(plan):
        assert {one.key for one in earlier} <= seen, f"{step.key} cannot be made yet"
        assert step.key not in seen, f"{step.key} twice"
        seen.add(step.key)
    made = sum(len(part.objects) for part in parts(plan))
    assert len(seen) == made + len(list(gates(plan)))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_row_is_dead(row: object) -> None:
    plan = a_plan()
    without = [one for one in ROWS if one is not row]

    def pairs(found: Order) -> set[tuple[str, str]]:
        return {(step.key, one.key) for step, earlier in found for one in earlier}

    whole = pairs(ordered(parts(plan), plan, ROWS))
    assert whole - pairs(ordered(parts(plan), plan, without)), "it orders nothing"


def test_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


@every_region
def test_no_logical_name_depends_on_the_region(region: str) -> None:
    plan = plan_of(region)
    names = [step.key for step, _ in order_of(plan)]
    assert names == [step.key for step, _ in order_of(replace(plan, region="another"))]


def test_everything_in_a_namespace_of_ours_comes_after_it() -> None:
    plan = a_plan()
    for step, earlier in order_of(plan):
        if step.namespace == "search":
            assert "v1 Namespace search" in {one.key for one in earlier}
