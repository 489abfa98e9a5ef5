"""What a spec says of a region counts there alone: nodes, replicas, memory, caches, quotas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from model_specs.errors import SpecErrors
from model_specs.load import Model
from regions.limits import unknown_regions
from regions.plan import RegionPlan
from regions.resolve import resolve
from tests.examples import GIB, a_model, a_profile, a_tree, an_offer

HERE, ELSEWHERE = "here", "elsewhere"
ROOM = {
    "gpu.l4.1": an_offer(9),
    "gpu.l4.4": an_offer(9, cache_disk_gib=1000, instance_types=("g6.12xlarge",)),
    "cpu.4": an_offer(9),
}
LARGER = {"machine_type": "gpu.l4.4"}


def plan(region: str, *models: Model, **tree: Any) -> RegionPlan:
    return resolve(a_tree(*models, **tree), a_profile(machines=ROOM), region)


def refusal(region: str, *models: Model, **tree: Any) -> tuple[str, str]:
    with pytest.raises(SpecErrors) as refused:
        plan(region, *models, **tree)
    (error,) = refused.value.errors
    return error.path, error.code


def test_another_machine_type_takes_its_pool_its_cache_and_its_gpus() -> None:
    model = a_model(cache="always", regions={HERE: LARGER})
    found = {region: plan(region, model) for region in (HERE, ELSEWHERE)}
    for region, machine, gpus in ((HERE, "gpu.l4.4", "4"), (ELSEWHERE, "gpu.l4.1", "1")):
        (server,), (pool,), (cache,) = (
            found[region].servers, found[region].pools, found[region].caches
        )  # fmt: skip
        (track,) = server.tracks
        assert (track.placement.machine_type, pool.machine_type) == (machine, machine)
        assert cache.machine_type == machine, "the files are where the pods are"
        assert track.weights.claim == f"models-{machine.replace('.', '-')}"
        args = track.container.args
        assert args[args.index("--tensor-parallel-size") + 1] == gpus
    assert found[HERE].servers[0].workload.differs == ("machine_type",), "parity declares by it"


def test_replicas_of_a_region_size_its_scaler_and_its_quota() -> None:
    model = a_model(regions={HERE: {"scaling": {"min": 2, "max": 5}}})
    for region, bounds in ((HERE, (2, 5)), (ELSEWHERE, (1, 2))):
        (server,) = plan(region, model, gpu_quota={"gpu.l4.1": 5}).servers
        (track,) = server.tracks
        assert (track.scaler.min, track.scaler.max) == bounds
    tight = {"gpu_quota": {"gpu.l4.1": 4}}
    assert refusal(HERE, model, **tight) == ("gpu_quota.gpu.l4.1", "E381")
    assert plan(ELSEWHERE, model, **tight).servers, "the quota is of one region"


def test_a_quota_is_asked_of_the_machine_type_of_the_region() -> None:
    model = a_model(regions={HERE: LARGER})
    only = {"gpu_quota": {"gpu.l4.1": 2}}
    assert refusal(HERE, model, **only) == ("gpu_quota.gpu.l4.4", "E381")
    assert plan(ELSEWHERE, model, **only).servers


def test_memory_is_proved_on_the_machine_of_the_region() -> None:
    model = a_model(regions={HERE: LARGER})
    facts = {model.spec.model: 30 * GIB}
    assert plan(HERE, model, facts=facts).gaps == (), "four GPUs hold what one does not"
    (gap,) = plan(ELSEWHERE, model, facts=facts).gaps
    assert (gap.path, gap.code) == ("model", "E334")


def test_a_region_that_is_named_must_be_able_to_serve() -> None:
    lacking = a_model(regions={HERE: {"machine_type": "gpu.l40s.4"}})
    assert refusal(HERE, lacking) == ("regions.here.machine_type", "E333")
    assert plan(ELSEWHERE, lacking).servers
    many = a_model(regions={HERE: {"scaling": {"max": 500}}})
    assert refusal(HERE, many, gpu_quota={"gpu.l4.1": 999})[0] == "regions.here.scaling.max"


@pytest.mark.parametrize(
    ("fields", "regions", "path", "code"),
    [
        ({}, {"machine_type": "gpu.l4.5"}, "regions.here.machine_type", "E331"),
        ({}, {"machine_type": "cpu.4"}, "image", "E335"),
        ({**LARGER, "args": ["--tensor-parallel-size", "4"]}, {"machine_type": "gpu.l4.1"},
         "args[0]", "E332"),
        ({}, {"shared_memory_gib": 20}, "regions.here.shared_memory_gib", "E334"),
        ({"shared_memory_gib": 70}, LARGER, "", ""),
    ],
    ids=["unknown", "no GPU", "shared otherwise", "too much shared", "enough there"],
)  # fmt: skip
def test_a_machine_of_a_region_is_checked_as_the_other_is(
    fields: dict[str, Any], regions: dict[str, Any], path: str, code: str
) -> None:
    model = a_model(**fields, regions={HERE: regions})
    if path:
        assert refusal(HERE, model) == (path, code)
    else:
        assert plan(HERE, model).servers
        assert refusal(ELSEWHERE, model) == ("shared_memory_gib", "E334")


def test_a_region_that_is_not_there_is_refused_by_name() -> None:
    named = a_model(regions={"heer": LARGER})
    (error,) = unknown_regions(a_tree(named), (HERE, ELSEWHERE))
    assert (error.path, error.code) == ("regions.heer", "E333")
    assert "got 'heer'; did you mean here?" in error.message
    listed = a_model(regions=[HERE, {"heer": LARGER}])
    (error,) = unknown_regions(a_tree(listed), (HERE, ELSEWHERE))
    assert error.path == "regions[1].heer"


def test_a_machine_type_that_every_region_replaces_must_be_one_too() -> None:
    model = a_model(machine_type="gpu.l4.9", regions=[{HERE: LARGER}])
    assert refusal(HERE, model) == ("machine_type", "E331")


def test_a_single_run_is_made_anew_where_what_it_is_differs() -> None:
    job: dict[str, Any] = {"batch": {"command": ["index"]}}
    plain, differs = a_model(**job), a_model(**job, regions={HERE: LARGER})
    runs = {
        (m is differs, r): plan(r, m).jobs[0].run for m in (plain, differs) for r in (HERE, "x")
    }
    assert runs[True, "x"] == runs[False, "x"], "elsewhere nothing runs again"
    assert runs[True, HERE] != runs[False, HERE]


def test_an_expired_model_stays_one() -> None:
    model = a_model(regions={HERE: LARGER}, ttl="2026-01-01T00:00:00Z")
    tree = replace(a_tree(model), models=(), expired=(model,))
    (expired,) = resolve(tree, a_profile(machines=ROOM), HERE).expired
    assert expired.model == "search/sentiment"
