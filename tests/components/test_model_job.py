"""A batch job runs once per change of its content, or on its schedule, and lets nobody in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.kube import Object
from components.model_job import objects
from components.ownership import left_alone
from model_specs.names import LABEL_CAPACITY
from regions.model_plan import JobPlan
from regions.offers import Nodes
from regions.resolve import resolve
from regions.servers import run_id
from stacks.compare import changes
from tests.examples import (
    REGIONS,
    a_model,
    a_profile,
    a_tree,
    identity,
    of_kind,
    planned,
    selects,
    template,
)

ONCE: dict[str, Any] = {"command": ["python", "-m", "indexer"], "parallelism": 2, "completions": 4}


def a_job(**batch: Any) -> JobPlan:
    (job,) = planned(a_model(name="index", batch={**ONCE, **batch})).jobs
    return job


def run_of(job: JobPlan) -> Object:
    (run,) = (o for o in objects(job) if o["kind"] in ("Job", "CronJob"))
    return run


def test_a_run_has_its_bounds() -> None:
    spec = run_of(a_job(retries=5, deadline_seconds=600))["spec"]
    assert (spec["parallelism"], spec["completions"]) == (2, 4)
    assert spec["backoffLimit"] == 5
    assert spec["activeDeadlineSeconds"] == 600, "a hung run holds its GPUs for ever"
    pod = template(run_of(a_job()))["spec"]
    assert pod["restartPolicy"] == "Never", "a failed pod is kept for whoever reads its log"
    assert pod["containers"][0]["command"] == ["python", "-m", "indexer"]


def test_the_same_content_is_the_same_job() -> None:
    assert identity(run_of(a_job())) == identity(run_of(a_job())), "`up` would run it every time"


@pytest.mark.parametrize(
    "change",
    [
        {"batch": {**ONCE, "command": ["other"]}},
        {"batch": {**ONCE, "completions": 9}},
        {"batch": {**ONCE, "parallelism": 1}},
        {"batch": {**ONCE, "deadline_seconds": 61}},
        {"capacity": {"spot": True}},
        {"env": {"MODE": "full"}},
        {"image": f"registry.example.com/other@sha256:{'1' * 64}"},
        {"model": f"search/index:v2@sha256:{'e' * 64}"},
    ],
    ids=str,
)
def test_another_spec_is_another_job(change: dict[str, Any]) -> None:
    (job,) = planned(a_model(name="index", **{"batch": ONCE, **change})).jobs
    before, after = run_of(a_job()), run_of(job)
    assert identity(before).kind == identity(after).kind == "Job"
    assert identity(before).name != identity(after).name, (
        "a Job's template cannot be changed: under its old name the `up` fails"
    )


@pytest.mark.parametrize(
    "said",
    [
        {"regions": ["us-east-1"]},
        {"ttl": "2027-01-31T00:00:00Z"},
        {"batch": {**ONCE, "retries": 2}},
        {"capacity": {"spot": False}},
    ],
    ids=str,
)
def test_the_same_work_is_the_same_run(said: dict[str, Any]) -> None:
    before, after = (a_model(name="index", **{"batch": ONCE, **one}).spec for one in ({}, said))
    assert run_id(before) == run_id(after), (
        "where it runs, how long it stays, or a default that is written runs nothing again"
    )


@pytest.mark.parametrize(
    "values",
    [
        {"agent_image": f"registry.example.com/agent@sha256:{'2' * 64}"},
        {"registry_url": "s3://elsewhere"},
        {"registry_region": "ap-northeast-2"},
        {"registry_endpoint": "https://s3.example.com"},
    ],
    ids=str,
)
def test_a_value_of_the_region_neither_renames_nor_changes_a_run(values: dict[str, Any]) -> None:
    job = a_job()
    moved = run_of(replace(job, workload=replace(job.workload, **values)))
    assert identity(moved) == identity(run_of(job)), "`up` would run finished work again"
    kept = left_alone(moved, frozenset())
    changed = [one.path for one in changes(run_of(job), moved, "")]
    assert changed, "so the test is not deaf"
    assert all(path.startswith(tuple(kept)) for path in changed), (
        "a Job's template cannot change: the API server would refuse the `up`"
    )


@pytest.mark.parametrize("region", REGIONS)
def test_a_run_has_one_name_in_every_region(region: str) -> None:
    model = a_model(name="index", batch=ONCE)
    (job,) = resolve(a_tree(model), a_profile(region), region).jobs
    assert identity(run_of(job)) == identity(run_of(a_job()))


def test_a_run_on_spot_nodes_stands_there() -> None:
    (job,) = planned(a_model(name="index", batch=ONCE, capacity={"spot": True})).jobs
    pod = template(run_of(job))["spec"]
    assert pod["nodeSelector"][LABEL_CAPACITY] == job.capacity == "spot"
    assert any(one["key"] == LABEL_CAPACITY for one in pod["tolerations"])


def test_a_run_that_asks_for_spot_nodes_where_none_are_runs_on_demand_and_says_so() -> None:
    profile = a_profile()
    offer = profile.machines["gpu.l4.1"].model_copy(update={"spot": Nodes(min=0, max=0)})
    place = a_profile(machines={**profile.machines, "gpu.l4.1": offer})
    model = a_model(name="index", batch=ONCE, capacity={"spot": True})
    plan = resolve(a_tree(model), place, "us-east-1")
    (job,) = plan.jobs
    assert job.capacity == job.placement.node_selector[LABEL_CAPACITY] == "on_demand"
    assert [one.feature for one in plan.downgrades if one.model == model.id] == ["spot nodes"]


def test_more_pods_at_once_than_the_nodes_hold_is_said_of_the_field_that_asks() -> None:
    model = a_model(name="index", batch={**ONCE, "parallelism": 1000})
    plan = resolve(a_tree(model), a_profile(), "us-east-1")
    assert not plan.jobs
    assert [gap.path for gap in plan.gaps] == ["batch.parallelism"], "a job has no scaling.max"


def test_a_schedule_is_read_in_the_zone_that_is_written() -> None:
    spec = run_of(a_job(schedule="30 2 * * *", timezone="Asia/Seoul"))["spec"]
    assert spec["timeZone"] == "Asia/Seoul"


def test_a_finished_run_stays_so_that_it_is_not_run_again() -> None:
    assert "ttlSecondsAfterFinished" not in run_of(a_job())["spec"], (
        "a Job that vanishes is a Job that the next `up` makes anew"
    )


def test_a_schedule_keeps_its_name_whatever_changes() -> None:
    job = a_job(schedule="30 2 * * *")
    before, after = (
        run_of(job),
        run_of(replace(job, container=replace(job.container, command=("other",)))),
    )
    assert identity(before) == identity(after)
    assert identity(before).kind == "CronJob"
    assert identity(before).name == "index", "its history is found under one name"


def test_a_schedule_runs_one_at_a_time_in_a_named_zone() -> None:
    spec = run_of(a_job(schedule="30 2 * * *"))["spec"]
    assert spec["schedule"] == "30 2 * * *"
    assert spec["timeZone"] == "UTC", "without it the controller's own zone decides"
    assert spec["concurrencyPolicy"] == "Forbid", "two runs would exceed the GPU quota"
    assert 0 < spec["startingDeadlineSeconds"] < 100 * 60, (
        "after 100 missed starts of a job that is due each minute the controller gives up"
    )
    assert spec["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] > 0, "pods of old runs pile up"


@pytest.mark.parametrize("schedule", [None, "0 1 * * *"])
def test_nobody_comes_in(schedule: str | None) -> None:
    job = a_job(schedule=schedule)
    (wall,) = of_kind("NetworkPolicy", objects(job))
    assert not wall["spec"].get("ingress"), "a job serves nobody"
    assert wall["spec"]["policyTypes"] == ["Egress", "Ingress"]
    labels = template(run_of(job))["metadata"]["labels"]
    assert selects(wall["spec"]["podSelector"]["matchLabels"], labels)


def test_a_job_has_no_service_no_route_and_no_budget() -> None:
    kinds = sorted(made["kind"] for made in objects(a_job()))
    assert kinds == ["Job", "NetworkPolicy", "ServiceAccount"]
