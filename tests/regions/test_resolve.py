"""A plan is total, plain and the same for the same wishes; what no region can give is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.kube import Object
from components.parts import parts
from model_specs.errors import SpecError, SpecErrors
from model_specs.load import Model, Specs, load
from regions.limits import unknown_machines, unknown_regions
from regions.plan import RegionPlan
from regions.profile import RegionProfile, load_profiles
from regions.resolve import resolve
from tests.examples import (
    GIB,
    REGIONS,
    ROOT,
    Identity,
    a_model,
    a_profile,
    a_tree,
    an_offer,
    by_identity,
    plan_of,
    planned,
    profiles,
    rendered,
    specs,
)

AWS_REGIONS = [region for region in REGIONS if profiles()[region].provider == "aws"]


def refusals(tree: Specs, profile: RegionProfile | None = None) -> tuple[SpecError, ...]:
    with pytest.raises(SpecErrors) as refused:
        resolve(tree, profile or a_profile(), "test-region")
    return refused.value.errors


def refusal(tree: Specs, profile: RegionProfile | None = None) -> SpecError:
    (error,) = refusals(tree, profile)
    return error


# -- the plan --------------------------------------------------------------------------------


@pytest.mark.parametrize("region", REGIONS)
def test_the_same_wishes_give_the_same_plan(region: str) -> None:
    again = resolve(load(ROOT / "model_specs"), load_profiles(ROOT / "regions")[region], region)
    assert again == plan_of(region), "a preview would show changes that nobody made"


def copied(source: Path, target: Path, backwards: bool) -> Path:
    """The YAML files of `source`, written in the order of their names or against it."""
    for path in sorted(source.glob("*/*.yaml"), reverse=backwards):
        new = target / path.relative_to(source)
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, new)
    return target


@pytest.mark.parametrize("backwards", [False, True])
def test_the_order_of_the_files_is_of_no_account(tmp_path: Path, backwards: bool) -> None:
    tree = load(copied(ROOT / "model_specs", tmp_path / "model_specs", backwards))
    for region in REGIONS:
        assert resolve(tree, profiles()[region], region) == plan_of(region)


@pytest.mark.parametrize("region", REGIONS)
def test_a_plan_is_json(region: str) -> None:
    plain = asdict(plan_of(region))
    again = json.loads(json.dumps(plain))
    assert json.dumps(again, sort_keys=True) == json.dumps(plain, sort_keys=True), (
        "whoever reads the plan from a file reads the same"
    )


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if is_dataclass(value):
        for field in fields(value):
            yield from leaves(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}")
    elif isinstance(value, tuple | list):
        for index, below in enumerate(value):
            yield from leaves(below, f"{path}[{index}]")
    else:
        yield path, value


@pytest.mark.parametrize("region", REGIONS)
def test_a_plan_leaves_nothing_to_decide(region: str) -> None:
    plan = replace(plan_of(region), servers=tuple(_without_body(plan_of(region))))
    empty = [path for path, value in leaves(plan, "plan") if value is None]
    assert not empty, f"{empty}: a component would have to choose"
    odd = [path for path, value in leaves(plan, "plan") if not isinstance(value, str | int | float)]
    assert not odd, "only plain values can be compared, shown and kept"


def _without_body(plan: RegionPlan) -> Iterator[Any]:
    """The servers without their probes' bodies, which are a team's own JSON."""
    for server in plan.servers:
        yield replace(server, probe=replace(server.probe, body={}))


def test_resolving_changes_neither_wishes_nor_profile() -> None:
    model, profile = a_model(env={"A": "1"}), a_profile()
    tree = a_tree(model)
    before = (model.spec.model_dump_json(), profile.model_dump_json())
    resolve(tree, profile, "test-region")
    assert (model.spec.model_dump_json(), profile.model_dump_json()) == before


# -- one change, one consequence -------------------------------------------------------------


def test_another_region_changes_no_plan(tmp_path: Path) -> None:
    for region in REGIONS:
        shutil.copy(ROOT / "regions" / f"{region}.yaml", tmp_path / f"{region}.yaml")
    shutil.copy(ROOT / "regions" / f"{REGIONS[0]}.yaml", tmp_path / "new-place.yaml")
    found = load_profiles(tmp_path)
    assert set(found) == {*REGIONS, "new-place"}
    for region in REGIONS:
        assert resolve(specs(), found[region], region) == plan_of(region), (
            "a region is nobody else's business"
        )


def owners(plan: RegionPlan) -> dict[Identity, tuple[str, Object]]:
    """Each object with the model it belongs to."""
    return {
        key: (part.model, made)
        for part in parts(plan)
        for key, made in by_identity(part.objects).items()
    }


def changed(before: RegionPlan, after: RegionPlan) -> dict[Identity, str]:
    """What differs between two plans, with the model it belongs to (empty: shared)."""
    old, new = owners(before), owners(after)
    return {
        key: (new.get(key) or old[key])[0]
        for key in {*old, *new}
        if old.get(key, ("", {}))[1] != new.get(key, ("", {}))[1]
    }


def test_another_model_changes_its_own_objects_and_the_lists_it_stands_in() -> None:
    here = (a_model(name="one"), a_model(name="two", access="public"))
    new = a_model(name="new")
    difference = changed(planned(*here), planned(*here, new))
    strangers = {key: model for key, model in difference.items() if model not in ("search/new", "")}
    assert not strangers, "a new model touches no other"
    shared = {tuple(key) for key, model in difference.items() if not model}
    assert shared == {
        ("ConfigMap", "isoserve-cache", "cache-gpu-l4-1"),
        ("ConfigMap", "search", "prober"),
        ("Deployment", "search", "prober"),
        ("ResourceQuota", "search", "project"),
    }, "the cache holds it, the prober asks it, its surge has room; everything else stays"


def test_the_first_model_of_a_machine_type_brings_its_pool_and_cache() -> None:
    profile = a_profile("sandbox-onprem")
    new = a_model(name="large", machine_type="gpu.l40s.4")
    before = planned(a_model(name="one"), profile=profile)
    difference = changed(before, planned(a_model(name="one"), new, profile=profile))
    shared = {key.kind for key, model in difference.items() if not model}
    assert {"DaemonSet", "Node", "PersistentVolume", "PersistentVolumeClaim"} <= shared
    assert {model for model in difference.values() if model} == {"search/large"}


def test_the_model_that_takes_the_last_room_changes_how_others_roll_and_nothing_else() -> None:
    profile = a_profile(machines={"gpu.l4.1": an_offer(4)})
    one, new = a_model(name="one"), a_model(name="new", scaling={"min": 1, "max": 1})
    before, after = (rendered(planned(*models, profile=profile)) for models in ((one,), (one, new)))
    old, now = by_identity(before), by_identity(after)
    touched = {key for key in old if old[key] != now[key] and key.name == "one"}
    assert touched == {("Deployment", "search", "one")}
    deployment, then = old[touched.pop()], now["Deployment", "search", "one"]  # type: ignore[index]
    then = {**then, "spec": {**then["spec"], "strategy": deployment["spec"]["strategy"]}}
    assert then == deployment, "no pod of a stranger is restarted for it"


def test_a_model_that_goes_leaves_nothing() -> None:
    here, gone = a_model(name="one"), a_model(name="gone")
    with_it, without = planned(here, gone), planned(here)
    left = [key for key, (model, _) in owners(without).items() if model == "search/gone"]
    assert not left
    assert {model for model in changed(with_it, without).values()} == {"search/gone", ""}


def test_a_project_without_a_model_in_the_region_has_nothing_there() -> None:
    elsewhere = a_model(project="chat", name="far", regions=["other"])
    plan = planned(a_model(), elsewhere)
    assert [project.name for project in plan.projects] == ["search"]
    assert plan.gaps == (), "who does not ask for the region lacks nothing in it"


# -- where a model is served -----------------------------------------------------------------


def test_a_list_of_regions_is_a_list_and_all_is_everywhere() -> None:
    listed = a_model(name="listed", regions=["test-region", "other"])
    other = a_model(name="other", regions=["other"])
    everywhere = a_model(name="everywhere", regions="all")
    plan = planned(listed, other, everywhere)
    assert [s.workload.model for s in plan.servers] == ["listed", "everywhere"]


def test_a_region_nobody_knows_is_named_with_the_nearest() -> None:
    tree = a_tree(a_model(regions=["us-east-1", "us-eats-1"]))
    (error,) = unknown_regions(tree, REGIONS)
    assert (error.code, error.path) == ("E333", "regions[1]")
    assert "did you mean us-east-1?" in error.message


def test_a_listed_region_without_the_machine_is_an_error() -> None:
    tree = a_tree(a_model(machine_type="gpu.l4.4", regions=["test-region"]))
    error = refusal(tree)
    assert (error.code, error.path) == ("E333", "machine_type")
    assert "test-region has no gpu.l4.4; did you mean gpu.l40s.4?" in error.message


def test_with_all_a_region_without_the_machine_is_a_gap() -> None:
    plan = planned(a_model(machine_type="gpu.l4.4"), a_model(name="other"))
    (gap,) = plan.gaps
    assert (gap.model, gap.path, gap.code) == ("search/sentiment", "machine_type", "E333")
    assert [s.workload.model for s in plan.servers] == ["other"], "one gap stops no other model"


def test_an_unknown_machine_is_refused_with_the_nearest_name() -> None:
    error = refusal(a_tree(a_model(machine_type="gpu.l4.2")))
    assert (error.code, error.path) == ("E331", "machine_type")
    assert "did you mean gpu.l4." in error.message


def test_an_unknown_machine_in_a_quota_is_refused_too() -> None:
    tree = a_tree(a_model(), gpu_quota={"gpu.l4.1": 9, "gpu.L4": 1})
    (error,) = unknown_machines(tree)
    assert (error.code, error.file) == ("E331", "model_specs/search/project.yaml")


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "taken"),
    [
        ({"scaling": {"max": 3}, "capacity": {"spot": True}}, "sentiment-spot"),
        (
            {"rollout": {"strategy": "blue_green", "candidate": {"image": "triton"}}},
            "sentiment-candidate",
        ),
    ],
)
def test_a_model_named_like_anothers_deployment_is_refused(
    owner: dict[str, Any], taken: str
) -> None:
    error = refusal(a_tree(a_model(**owner), a_model(name=taken)))
    assert (error.code, error.file) == ("E315", f"model_specs/search/{taken}.yaml")
    assert "search/sentiment has a Deployment of this name" in error.message, (
        "the one that comes last would take the other's place without a word"
    )
    assert len(planned(a_model(), a_model(name=taken)).servers) == 2, "alone the name is free"
    elsewhere = a_model(project="chat", name=taken)
    assert len(planned(a_model(**owner), elsewhere).servers) == 2, "another project is elsewhere"


def test_a_model_named_like_the_prober_is_refused() -> None:
    error = refusal(a_tree(a_model(name="prober")))
    assert (error.code, error.file) == ("E314", "model_specs/search/prober.yaml")


def test_a_project_named_like_the_scrapers_namespace_is_refused() -> None:
    error = refusal(a_tree(a_model(project="monitoring", name="model")))
    assert (error.code, error.file) == ("E314", "model_specs/monitoring/project.yaml"), (
        "its pods would be let in by every private model"
    )


def test_a_runtime_brings_its_environment_and_the_specs_comes_over_it() -> None:
    workers = "MLSERVER_PARALLEL_WORKERS"
    own = a_model(image="mlserver", env={workers: "2", "MINE": "yes"})
    (plain,) = planned(a_model(image="mlserver")).servers
    (changed,) = planned(own).servers
    (of_row, of_spec) = (one.tracks[0].container.env for one in (plain, changed))
    assert of_row[workers] == "0", "its workers drop requests at SIGTERM"
    assert of_spec == of_row | {workers: "2", "MINE": "yes"}


# -- what does not fit -----------------------------------------------------------------------


def test_a_model_larger_than_the_memory_is_a_gap_that_says_so() -> None:
    model = a_model()
    plan = planned(model, facts={model.spec.model: 30 * GIB})
    (gap,) = plan.gaps
    assert gap.code == "E334"
    assert "30.0 GiB" in gap.reason, "a person compares the two sizes"
    assert plan.servers == (), "the engine would fail at load, after a long download"


def test_more_replicas_than_the_region_holds_are_a_gap() -> None:
    profile = a_profile(machines={"gpu.l4.1": an_offer(10, 10)})
    (gap,) = planned(a_model(scaling={"max": 12}), profile=profile).gaps
    assert (gap.path, gap.code) == ("scaling.max", "E302")
    assert "10 replicas" in gap.reason, "spot nodes are no room for who did not ask for spot"
    spot = a_model(scaling={"max": 12}, capacity={"spot": True, "on_demand_base": 4})
    assert planned(spot, profile=profile).gaps == ()


def test_a_quota_error_names_everyone_who_uses_it() -> None:
    models = (a_model(name="one"), a_model(name="two"), a_model(name="far", regions=["other"]))
    error = refusal(a_tree(*models, gpu_quota={"gpu.l4.1": 3}))
    assert (error.code, error.path) == ("E381", "gpu_quota.gpu.l4.1")
    assert error.file == "model_specs/search/project.yaml", "the quota is what may be raised"
    assert "one, two may use 4 GPUs" in error.message
    assert "quota of 3" in error.message
    assert "far" not in error.message, "a model of another region uses nothing here"


def test_a_machine_type_without_a_quota_has_none() -> None:
    error = refusal(a_tree(a_model(), gpu_quota={}))
    assert "quota of 0" in error.message, "an empty quota denies, it does not allow"


def test_jobs_and_candidates_count_against_the_quota() -> None:
    job = a_model(name="job", batch={"command": ["x"], "parallelism": 2, "completions": 2})
    candidate = {"image": "triton"}
    swap = a_model(name="swap", rollout={"strategy": "blue_green", "candidate": candidate})
    error = refusal(a_tree(job, swap, gpu_quota={"gpu.l4.1": 5}))
    assert "may use 6 GPUs" in error.message, "2 of the job, 2 of each colour"


def test_cpu_machines_need_no_gpu_quota() -> None:
    model = a_model(machine_type="cpu.4", image="mlserver")
    assert len(planned(model, gpu_quota={}).servers) == 1


def test_a_pool_that_cannot_hold_the_least_replicas_is_refused() -> None:
    models = [a_model(name=n, scaling={"min": 2, "max": 2}) for n in ("one", "two")]
    error = refusal(a_tree(*models), a_profile(machines={"gpu.l4.1": an_offer(3)}))
    assert (error.code, error.path) == ("E381", "machines.gpu.l4.1")
    assert error.file == "regions/test-region.yaml"
    assert "keep 4 on_demand replicas" in error.message
    assert "room for 3" in error.message


def test_a_disk_that_cannot_hold_the_cached_models_is_refused() -> None:
    models = [a_model(name=name, model=f"search/{name}:v1@sha256:{n:064x}")
              for n, name in enumerate(("one", "two"), 1)]  # fmt: skip
    facts = {model.spec.model: 18 * GIB for model in models}
    profile = a_profile(machines={"gpu.l4.1": an_offer(9, 0, 2, cache_disk_gib=62)})
    error = refusal(a_tree(*models, facts=facts), profile)
    assert (error.code, error.path) == ("E381", "machines.gpu.l4.1.cache_disk_gib")
    told = "needs 131 GiB for models (54: 0 pinned, 2 of its replicas, and one that comes"
    assert told in error.message, "18 more than its pods need"
    assert "write cache_disk_gib: 71 or more" in error.message


def test_every_error_is_told_at_once() -> None:
    models: list[Model] = [
        a_model(name="far", machine_type="gpu.l4.4", regions=["test-region"]),
        a_model(name="one"),
        a_model(project="chat", name="two"),
    ]
    errors = refusals(a_tree(*models, gpu_quota={"gpu.l4.1": 1}))
    assert sorted(error.code for error in errors) == ["E333", "E381", "E381"], (
        "a person mends them in one go"
    )


# -- shared parts ----------------------------------------------------------------------------


@pytest.mark.parametrize("region", REGIONS)
def test_every_server_is_probed_by_the_prober_of_its_project(region: str) -> None:
    plan = plan_of(region)
    asked = sorted(one for prober in plan.probers for one in prober.servers)
    assert asked == sorted(s.workload.id for s in plan.servers), "an unprobed model wedges unseen"


@pytest.mark.parametrize("region", REGIONS)
def test_a_cache_holds_every_version_that_a_pod_of_its_nodes_waits_for(region: str) -> None:
    plan = plan_of(region)
    held = {(c.machine_type, m.project, m.digest) for c in plan.caches for m in c.models}
    waiting = {
        (track.placement.machine_type, server.workload.project, track.weights.digest)
        for server in plan.servers
        for track in server.tracks
        if track.weights.mode == "cache"
    } | {
        (job.placement.machine_type, job.workload.project, job.weights.digest)
        for job in plan.jobs
        if job.weights.mode == "cache"
    }
    assert held == waiting, "a pod would wait for ever, or a disk is filled for nobody"


def test_a_version_that_two_models_use_is_held_once() -> None:
    shared = "search/base:v1@sha256:" + "7" * 64
    plan = planned(a_model(name="one", model=shared), a_model(name="two", model=shared))
    (cache,) = plan.caches
    assert [model.address for model in cache.models] == [shared]


@pytest.mark.parametrize("region", AWS_REGIONS)
def test_each_project_reads_its_own_part_of_the_registry(region: str) -> None:
    readers = [one for one in plan_of(region).registry.grants if one.name.startswith("reader-")]
    for reader in readers:
        expected = "" if reader.namespace == "isoserve-cache" else f"{reader.namespace}/"
        assert reader.reads == (expected,), "no project reads another's models"
        assert reader.writes == (), "nobody writes models but people"
        assert len(reader.role) <= 64, "IAM refuses longer names"
    assert len({reader.role for reader in readers}) == len(readers)


def test_own_metal_has_no_iam_roles() -> None:
    plan = planned(a_model(), profile=a_profile("sandbox-onprem"))
    assert plan.registry.grants == ()
    assert {server.workload.reader_role_arn for server in plan.servers} == {""}


def test_shared_models_are_open_to_who_is_named() -> None:
    own = a_model(name="own", share_with=["chat"])
    other = a_model(name="other")
    guest = a_model(project="chat", name="guest")
    plan = planned(own, other, guest, share_with=["vision"])
    callers = {s.workload.model: s.access.caller_namespaces for s in plan.servers}
    assert callers["own"] == ("chat", "search", "vision"), "the model's list and the project's"
    assert callers["other"] == ("search", "vision")
    assert callers["guest"] == ("chat", "vision"), "sharing goes one way"


def test_an_expired_model_leaves_the_plan_and_nothing_else_does() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    gone = a_model("chat", "helper", ttl="2026-11-20T00:00:00Z", scaling={"max": 900})
    stays = a_model()
    tree = a_tree(stays, gone)
    plan = resolve(tree.wanted_at(at), a_profile(), "test-region")
    alone = resolve(a_tree(stays), a_profile(), "test-region")
    assert plan.servers == alone.servers
    assert plan.pools == alone.pools, "its nodes are given back"
    assert [(row.model, row.ttl) for row in plan.expired] == [
        ("chat/helper", "2026-11-20T00:00:00Z")
    ]
    assert [project.name for project in plan.projects] == ["chat", "search"], (
        "the namespace stays with what people put there, so that a later ttl brings all back"
    )
