"""A batch job runs once per change of its content, or on its schedule, and lets nobody in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.kube import Object
from components.model_job import objects
from regions.model_plan import JobPlan
from tests.examples import a_model, identity, of_kind, planned, selects, template

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
        {"container": {"command": ("other",)}},
        {"container": {"image": f"registry.example.com/other@sha256:{'1' * 64}"}},
        {"completions": 9},
        {"parallelism": 1},
        {"deadline_seconds": 61},
    ],
    ids=str,
)
def test_another_content_is_another_job(change: dict[str, Any]) -> None:
    job = a_job()
    own = {"container": replace(job.container, **change.get("container", {}))}
    before, after = run_of(job), run_of(replace(job, **{**change, **own}))
    assert identity(before).kind == identity(after).kind == "Job"
    assert identity(before).name != identity(after).name, (
        "a Job's template cannot be changed: under its old name the `up` fails"
    )


def test_a_new_model_version_is_a_new_run() -> None:
    job = a_job()
    newer = replace(job, weights=replace(job.weights, digest="e" * 64, address="search/m:v2"))
    assert identity(run_of(job)).name != identity(run_of(newer)).name


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
    assert spec["timeZone"] == "Etc/UTC", "without it the controller's own zone decides"
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
