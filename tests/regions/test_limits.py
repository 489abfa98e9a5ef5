"""What all models of a project want together is held to its quota and its cost cap."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_specs.errors import SpecErrors
from model_specs.load import Specs
from regions.resolve import resolve
from tests.examples import profiles, specs

REGION = "us-east-1"


def with_cap(project: str, dollars: float) -> Specs:
    tree = specs()
    owner = tree.projects[project]
    capped = replace(owner, spec=owner.spec.model_copy(update={"cost_cap_usd_per_month": dollars}))
    return replace(tree, projects={**tree.projects, project: capped})


def test_project_over_its_cost_cap_is_refused_with_the_sum() -> None:
    with pytest.raises(SpecErrors) as refused:
        resolve(with_cap("chat", 10_000.0), profiles()[REGION], REGION)
    (error,) = refused.value.errors
    assert (error.code, error.path) == ("E382", "cost_cap_usd_per_month"), "it points at the cap"
    # 2 x 10.4926 for the assistant, (1 + 2) x 0.9776 for the helper, 730 hours.
    assert f"{(2 * 10.4926 + 3 * 0.9776) * 730:,.0f} USD" in error.message, "the sum is shown"


def test_project_within_its_cost_cap_is_planned() -> None:
    plan = resolve(with_cap("chat", 20_000.0), profiles()[REGION], REGION)
    assert plan.servers, "a cap that is not reached changes nothing"


def test_unknown_price_is_left_out_and_never_invented() -> None:
    region = "eu-central-1"
    offer = profiles()[region].machines["gpu.l40s.4"]
    assert offer.price_usd_per_hour.on_demand is None, "this region has no price for the assistant"
    plan = resolve(with_cap("chat", 3_000.0), profiles()[region], region)
    assert plan.servers, "only the helper's known cost counts"
