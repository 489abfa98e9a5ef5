"""A node's disk holds what its pods request, the models it keeps and images, or check says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_specs.errors import SpecError, SpecErrors
from model_specs.load import Model, Specs
from regions.node_disks import most_at_once
from regions.plan import HeldModelPlan
from regions.profile import RegionProfile
from regions.resolve import resolve
from tests import examples
from tests.builders import DIGEST
from tests.examples import GIB, a_profile, a_tree, address, an_offer

REGION = "test-region"
PLACE = "machines.gpu.l4.1.cache_disk_gib"


def here(cache_disk_gib: int, **over: Any) -> RegionProfile:
    offer = an_offer(over.pop("nodes", 9), cache_disk_gib=cache_disk_gib, **over)
    return a_profile(machines={"gpu.l4.1": offer})


OWN_IMAGE = f"registry.example.com/team/server@sha256:{DIGEST}"


def a_model(**fields: Any) -> Model:
    """With an image of one's own, of which no KV cache is counted."""
    return examples.a_model(image=OWN_IMAGE, **fields)


def said(tree: Specs, profile: RegionProfile) -> list[SpecError]:
    try:
        resolve(tree, profile, REGION)
    except SpecErrors as refused:
        return list(refused.errors)
    return []


def a_download(gib: int, **fields: Any) -> Specs:
    """One model of so many GiB that every pod downloads for itself."""
    model = a_model(cache="never", **fields)
    return a_tree(model, facts={model.spec.model: gib * GIB})


def test_a_download_that_no_node_has_the_disk_for_is_refused() -> None:
    # 8 GiB and 1.1 x 20; a volume of (1 + 60) / 0.8 GiB gives pods 90 % of it less 1.
    (error,) = said(a_download(20), here(1, replicas_per_node=3))
    assert (error.code, error.path) == ("E381", PLACE)
    assert "request 90 GiB of its disk" in error.message, "3 x 30: all replicas of one node"
    assert "got 68 of 77 GiB: they would be Pending for ever" in error.message
    assert "write cache_disk_gib: 90 or more" in error.message


def test_the_case_of_the_large_model_on_the_small_disk() -> None:
    model = a_model(machine_type="gpu.l40s.4", cache="never")
    tree = a_tree(model, facts={model.spec.model: 141_000_000_000})
    profile = a_profile()
    offer = profile.machines["gpu.l40s.4"].model_copy(update={"cache_disk_gib": 60})
    small = profile.model_copy(update={"machines": {"gpu.l40s.4": offer}})
    (error,) = said(tree, small)
    assert error.path == "machines.gpu.l40s.4.cache_disk_gib"
    assert "request 153 GiB of its disk, downloads among them, got 134 of 150" in error.message
    assert said(tree, profile) == [], "3000 GiB are enough"


def test_one_replica_more_than_a_model_has_is_not_counted() -> None:
    tree = a_download(20, scaling={"min": 1, "max": 1})
    (error,) = said(tree, here(1, replicas_per_node=4))
    assert "request 60 GiB" not in error.message, "60 fit the 68; it is the writing that does not"
    assert "its pods (60)" in error.message, "the replica and its successor during a rollout"


def test_a_candidate_stands_beside_the_stable_version() -> None:
    candidate = {"model": address("search", "sentiment", 7)}
    rollout = {"strategy": "blue_green", "candidate": candidate}
    model = a_model(cache="never", scaling={"min": 1, "max": 1}, rollout=rollout)
    tree = a_tree(model, facts={model.spec.model: 5 * GIB, candidate["model"]: 20 * GIB})
    (error,) = said(tree, here(1, replicas_per_node=4))
    assert "request 88 GiB" in error.message, "2 x 30 of the candidate and 2 x 14 of the stable"


def test_a_job_counts_its_parallel_pods() -> None:
    job = {"command": ["index"], "parallelism": 3, "completions": 3}
    (error,) = said(a_download(20, batch=job), here(1, replicas_per_node=4))
    assert "request 90 GiB" in error.message


def test_spot_nodes_have_pods_of_their_own() -> None:
    tree = a_download(20, capacity={"spot": True}, scaling={"min": 1, "max": 2})
    (error,) = said(tree, here(1, spot=9, replicas_per_node=4))
    assert "60" in error.message, "one on demand and one on spot, each with its successor"


def test_listed_nodes_have_at_least_the_disk_that_their_cache_needs() -> None:
    offer = an_offer(1, 0, 3, instance_types=(), node_names=("one",), cache_disk_gib=2)
    profile = a_profile("seoul-dc1", machines={"gpu.l4.1": offer})
    (error,) = said(a_download(15, scaling={"min": 1, "max": 3}), profile)
    assert "request 75 GiB of its disk, downloads among them, got 69 of 78" in error.message


def test_cached_models_leave_room_for_images_and_pods() -> None:
    model = a_model()
    tree = a_tree(model, facts={model.spec.model: 20 * GIB})
    (error,) = said(tree, here(41))
    assert (
        "needs 109 GiB for models (40: 0 pinned, 1 of its replicas, and one that comes, "
        "search/sentiment the largest), images (60) and " in error.message
    )
    assert "its pods (9), got 101 of 127 GiB, since 20 % stay free" in error.message
    assert "write cache_disk_gib: 49 or more" in error.message
    assert said(tree, here(49)) == [], "what is advised is enough"


@settings(max_examples=60, deadline=None)
@given(
    gib=st.integers(1, 300),
    per_node=st.integers(1, 8),
    cached=st.booleans(),
    percent=st.integers(0, 60),
)
def test_the_advised_disk_is_the_smallest_that_is_enough(
    gib: int, per_node: int, cached: bool, percent: int
) -> None:
    model = a_model(cache="always" if cached else "never", machine_type="gpu.l40s.4")
    tree = a_tree(model, facts={model.spec.model: min(gib, 160) * GIB})

    def errors(cache_disk_gib: int) -> list[SpecError]:
        offer = an_offer(9, replicas_per_node=per_node, cache_disk_gib=cache_disk_gib)
        profile = a_profile(machines={"gpu.l40s.4": offer})
        cluster = profile.cluster.model_copy(update={"disk_free_percent": percent})
        found = said(tree, profile.model_copy(update={"cluster": cluster}))
        return [one for one in found if "cache_disk_gib: " in one.message]

    first = errors(1)
    if first:
        advised = int(first[0].message.split("cache_disk_gib: ")[1].split()[0])
        assert errors(advised) == [], "what is advised is enough"
        assert advised == 1 or errors(advised - 1), "and no GiB is wasted"


# -- old and new -----------------------------------------------------------------------------


def held(model: str, gib: int, digest: str = "a", *, pinned: bool = False) -> HeldModelPlan:
    return HeldModelPlan(
        project="search",
        model=model,
        address=f"x@{digest}",
        digest=digest,
        bytes=gib,
        pinned=pinned,
    )


def test_the_largest_models_next_version_stands_beside_its_old_one() -> None:
    assert most_at_once([held("small", 3), held("large", 10)], 2) == 23
    assert most_at_once([], 2) == 0


def test_a_model_with_a_candidate_has_both_versions_already() -> None:
    both = [held("large", 10), held("large", 12, "b")]
    assert most_at_once(both, 2) == 22
    assert most_at_once([*both, held("small", 3)], 3) == 28, "the other one's next version"


def test_only_as_many_versions_as_replicas_stand_on_a_node() -> None:
    many = [held(f"m{size}", size) for size in range(1, 11)]
    assert most_at_once(many, 2) == 10 + 9 + 10, "the two largest, and the next of the largest"
    both = [held("large", 10), held("large", 12, "b")]
    assert most_at_once(both, 1) == 22, "one of them runs, and the other one comes in its place"


def test_what_is_pinned_is_on_the_node_whatever_stands_there() -> None:
    models = [held("pinned", 5, pinned=True), held("small", 3), held("large", 10)]
    assert most_at_once(models, 1) == 5 + 10 + 10
    assert most_at_once(models[:1], 1) == 10, "its next version, which is pinned as well"


# -- 300 models ------------------------------------------------------------------------------


def a_pool_of_400_gib() -> RegionProfile:
    return here(400, nodes=200, replicas_per_node=4)


def test_300_models_of_16_gib_fit_a_pool_of_400_gib_nodes() -> None:
    models = [a_model(name=f"m{n}") for n in range(300)]
    facts = {model.spec.model: 16 * GIB for model in models}
    plan = resolve(a_tree(*models, facts=facts), a_pool_of_400_gib(), REGION)
    (cache,) = plan.caches
    assert len(cache.models) == 300, "any node may be told by its pods to hold any of them"
    assert (cache.pinned_bytes, cache.most_bytes) == (0, 400 * GIB)
    assert not cache.is_whole
    assert len(plan.servers) == 300
    assert plan.gaps == ()


def test_one_of_them_that_is_larger_than_a_nodes_budget_is_refused_by_name() -> None:
    large = "gpu.l40s.4"

    def pool(cache_disk_gib: int) -> RegionProfile:
        offer = an_offer(200, replicas_per_node=4, cache_disk_gib=cache_disk_gib)
        return a_profile(machines={large: offer})

    models = [a_model(name=f"m{n}", machine_type=large) for n in range(300)]
    facts = {model.spec.model: 16 * GIB for model in models}
    assert said(a_tree(*models, facts=facts), pool(140)) == [], "5 of 16 GiB and 45 for its pods"
    tree = a_tree(*models, facts=facts | {models[0].spec.model: 141 * GIB})
    (error,) = said(tree, pool(140))
    assert (error.code, error.path) == ("E381", f"machines.{large}.cache_disk_gib")
    assert "search/m0 the largest" in error.message
    advised = int(error.message.split("cache_disk_gib: ")[1].split()[0])
    assert advised < 400, "for it, three others and its next version; not for all 300"
    assert said(tree, pool(advised)) == []


def test_pinning_all_of_them_is_refused() -> None:
    models = [a_model(name=f"m{n}", cache="always") for n in range(300)]
    facts = {model.spec.model: 16 * GIB for model in models}
    (error,) = said(a_tree(*models, facts=facts), a_pool_of_400_gib())
    assert "300 pinned" in error.message
    assert "pin fewer models (`cache: always`)" in error.message


def a_rollout(strategy: str) -> Model:
    candidate = {"model": address("search", "sentiment", 7)}
    return a_model(access="permissive", rollout={"strategy": strategy, "candidate": candidate})


@pytest.mark.parametrize("strategy", ["shadow", "blue_green"])
def test_a_candidate_needs_no_third_copy(strategy: str) -> None:
    model = a_rollout(strategy)
    rollout = model.spec.rollout.candidate
    assert rollout
    facts = {model.spec.model: 20 * GIB, str(rollout.model): 20 * GIB}
    plain = replace(model, spec=model.spec.model_copy(update={"rollout": a_model().spec.rollout}))
    for one in (model, plain):
        assert said(a_tree(one, facts=facts), here(60)) == []
        assert said(a_tree(one, facts=facts), here(39)), "40 GiB, be it candidate or next version"
