"""ConfigMaps that hold something of every model stay below what the API server takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.api_limits import DATA_BYTES, beyond, data_bytes
from regions.plan import RegionPlan
from stacks.oversize import oversized
from tests.examples import a_model, a_profile, an_offer, of_kind, planned, rendered


def with_pictures(count: int, size: int, letter: str = "x") -> RegionPlan:
    """A project of models whose example request holds a picture."""
    profile = a_profile(machines={"gpu.l4.1": an_offer(on_demand=400)})
    probe = {"request": {"path": "/v1/x", "body": {"image": letter * size}}}
    models = [a_model(name=f"m{number}", probe=probe) for number in range(count)]
    return planned(*models, profile=profile)


def test_the_probes_of_a_project_are_summed() -> None:
    plan = with_pictures(6, 231_000)
    (error,) = oversized(plan)
    assert (error.code, error.file) == ("E381", "model_specs/search/project.yaml")
    (config,) = [
        c for c in of_kind("ConfigMap", rendered(plan)) if c["metadata"]["name"] == "prober"
    ]
    assert f"got {data_bytes(config)} (the largest: search/m0 231" in error.message
    assert "probe.request.body" in error.message, "a person is told what to make smaller"
    assert [*beyond(config)], "this is what the API server would refuse"
    assert not [*oversized(with_pictures(4, 231_000))]


@pytest.mark.parametrize("letter", ["x", "é", '"'])
def test_the_limit_is_that_of_the_api_server_to_the_byte(letter: str) -> None:
    """The bound that spares the rendering never hides what is too large."""

    def size(count: int) -> int:
        (config,) = [
            c
            for c in of_kind("ConfigMap", rendered(with_pictures(1, count, letter)))
            if c["metadata"]["name"] == "prober"
        ]
        return data_bytes(config)

    each = size(1) - size(0)
    most = (DATA_BYTES - size(0)) // each
    assert size(most) <= DATA_BYTES < size(most + 1)
    assert not [*oversized(with_pictures(1, most, letter))]
    assert [*oversized(with_pictures(1, most + 1, letter))]


def test_the_agents_list_of_models_is_bounded_too() -> None:
    plan = planned(a_model(cache="always"))
    (cache,) = plan.caches
    (held,) = cache.models

    def holding(count: int) -> RegionPlan:
        return replace(plan, caches=(replace(cache, models=(held,) * count),))

    def size(count: int) -> int:
        lists = of_kind("ConfigMap", rendered(holding(count)))
        (found,) = (data_bytes(one) for one in lists if "models.json" in one["data"])
        return found

    each = size(2) - size(1)
    most = (DATA_BYTES - size(1)) // each + 1
    assert size(most) <= DATA_BYTES < size(most + 1)
    assert not [*oversized(holding(most))]
    (error,) = oversized(holding(most + 1))
    assert (error.code, error.file) == ("E381", "regions/test-region.yaml")
    assert "cache: never" in error.message
