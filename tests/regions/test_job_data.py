"""A job has the rights to its own input and output, in every region by a role or by keys."""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import pytest

from components.aws_policies import assume_from_cluster, granted
from components.kube import role_named
from components.model_job import objects
from model_specs.errors import SpecErrors
from model_specs.load import Model
from regions.model_plan import JobPlan
from regions.plan import GrantPlan, RegionPlan
from regions.resolve import resolve
from regions.servers import data_prefix, job_role
from tests.builders import a_registry
from tests.examples import a_model, a_profile, a_tree, of_kind, planned, template, workloads

DATA: Final = {"input": "days/2026", "output": "scores"}
READS: Final = "_datasets/search/days/2026/"
WRITES: Final = "_datasets/search/scores/"


ROLELESS: Final = "eks.amazonaws.com/skip-containers"


def a_job(name: str = "index", project: str = "search", **batch: Any) -> Model:
    return a_model(project, name, batch={"command": ["index"], **batch}, cache="always")


def grants_of(plan: RegionPlan) -> dict[str, GrantPlan]:
    """The roles of jobs alone, by logical name."""
    return {one.name: one for one in plan.registry.grants if not one.name.startswith("reader-")}


def environment(job: JobPlan) -> dict[str, str]:
    (run,) = workloads(objects(job))
    (main,) = template(run)["spec"]["containers"]
    return {one["name"]: one["value"] for one in main["env"]}


def test_a_job_reads_its_input_and_writes_its_output_and_no_more() -> None:
    grants = grants_of(planned(a_job(**DATA)))
    assert set(grants) == {"job-search--index"}
    (grant,) = grants.values()
    assert (grant.reads, grant.writes) == ((READS,), (WRITES,))
    assert (grant.namespace, grant.service_account) == ("search", "index"), "no other pod's"


def test_a_job_that_downloads_its_model_may_read_that_beside_its_input() -> None:
    job = a_model(name="index", batch={"command": ["index"], **DATA}, cache="never")
    (grant,) = grants_of(planned(job)).values()
    assert grant.reads == ("search/", READS), "its role replaces the project's, which downloads"


def test_the_document_names_actions_and_prefixes() -> None:
    (grant,) = grants_of(planned(a_job(**DATA))).values()
    document = granted(a_registry(), grant)
    rights = [
        (sorted(one["Action"]), one["Resource"], one.get("Condition", {}).get("StringLike"))
        for one in document["Statement"]
    ]
    bucket = "arn:aws:s3:::isoserve-models"
    assert rights == [
        (["s3:GetObject"], f"{bucket}/{READS}*", None),
        (["s3:ListBucket"], bucket, {"s3:prefix": f"{READS}*"}),
        (["s3:AbortMultipartUpload", "s3:PutObject"], f"{bucket}/{WRITES}*", None),
        (
            ["kms:Decrypt", "kms:GenerateDataKey"],
            "arn:aws:kms:us-east-1:000000000000:key/*",
            None,
        ),
    ], "what it writes it neither reads, lists nor deletes"
    who = assume_from_cluster(a_registry(oidc_issuer="oidc"), grant)["Statement"][0]
    assert who["Condition"]["StringLike"] == {"oidc:sub": "system:serviceaccount:search:index"}


def test_a_prefix_ends_where_its_folder_does() -> None:
    assert data_prefix("search", "scores") == WRITES, "or `scores2` would be open too"
    assert data_prefix("search", None) == ""


def test_the_job_is_told_where_its_data_is() -> None:
    (job,) = planned(a_job(**DATA)).jobs
    told, bucket = environment(job), job.workload.registry_url
    assert told["ISOSERVE_INPUT"] == f"{bucket}/{READS}"
    assert told["ISOSERVE_OUTPUT"] == f"{bucket}/{WRITES}"
    assert told["AWS_REGION"] == told["AWS_DEFAULT_REGION"] == job.workload.registry_region
    assert "AWS_SHARED_CREDENTIALS_FILE" not in told, "its role is all that it needs"


@pytest.mark.parametrize("name", ["ISOSERVE_INPUT", "ISOSERVE_OUTPUT", "AWS_ENDPOINT_URL_S3"])
def test_no_spec_says_otherwise(name: str) -> None:
    with pytest.raises(SpecErrors, match="E342"):
        a_model(name="index", batch={"command": ["index"], **DATA}, env={name: "s3://elsewhere"})


def test_the_account_takes_the_role_of_its_job() -> None:
    alone = a_model(name="alone", batch={"command": ["x"]}, cache="never")
    plan = planned(a_job(**DATA), a_job("plain"), alone)
    roles = {
        made["metadata"]["name"]: role_named(made)
        for job in plan.jobs
        for made in of_kind("ServiceAccount", objects(job))
    }
    assert roles["index"] == job_role("test-region", "search", "index")
    assert roles["plain"] == "", "the node brings its model, and it has no data"
    assert roles["alone"] == "isoserve.test-region.search", "it downloads"


def test_a_jobs_own_code_has_a_role_where_it_has_data_and_only_there() -> None:
    plan = planned(a_job(**DATA), a_job("plain"))
    roleless = {
        job.workload.model: template(run)["metadata"]["annotations"].get(ROLELESS)
        for job in plan.jobs
        for run in workloads(objects(job))
    }
    assert roleless == {"index": "model", "plain": "model,model-server"}


def test_roles_of_the_longest_names_are_told_apart_and_within_what_iam_takes() -> None:
    names = [f"{'a' * 29}{end}" for end in "bc"]
    found = {
        job_role("r" * 20, project, model)
        for project, model in (*product(names, names), ("a", "b-c"), ("a-b", "c"))
    }
    assert len(found) == 6, "a role of two jobs would have the rights of both"
    assert max(map(len, found)) <= 64
    assert all("." in name.removeprefix("isoserve.").split(".", 1)[1] for name in found), (
        "no project's name holds a dot, so it is no project's role"
    )


def test_where_there_are_no_roles_the_pods_have_keys_and_it_is_said() -> None:
    profile = a_profile("sandbox-onprem")
    plan = resolve(a_tree(a_job(**DATA)), profile, "sandbox-onprem")
    (job,) = plan.jobs
    assert grants_of(plan) == {}
    assert [(row.model, row.feature) for row in plan.downgrades if row.model] == [
        ("search/index", "role of a job")
    ]
    told = environment(job)
    assert told["AWS_SHARED_CREDENTIALS_FILE"] == "/var/run/isoserve/data/credentials"
    assert told["AWS_ENDPOINT_URL_S3"] == profile.registry.endpoint
    (run,) = workloads(objects(job))
    spec = template(run)["spec"]
    secrets = [one["secret"]["secretName"] for one in spec["volumes"] if "secret" in one]
    assert secrets == ["index--data"]


def test_a_job_without_data_has_neither_role_nor_keys_nor_a_word() -> None:
    for like in ("us-east-1", "sandbox-onprem"):
        plan = resolve(a_tree(a_job()), a_profile(like), like)
        (job,) = plan.jobs
        assert not grants_of(plan)
        assert not {name for name in environment(job) if name.startswith("AWS_")}
        assert not [row for row in plan.downgrades if row.model == "search/index"]


def test_no_two_jobs_write_to_one_folder() -> None:
    for one, other in (("a", "a"), ("a", "a/b"), ("a/b", "a")):
        tree = a_tree(a_job("first", output=one), a_job("later", output=other))
        with pytest.raises(SpecErrors) as refused:
            resolve(tree, a_profile(), "test-region")
        assert [(e.path, e.code) for e in refused.value.errors] == [("batch.output", "E315")], (
            "each would replace what the other wrote"
        )


def test_folders_that_begin_alike_and_those_of_other_projects_are_apart() -> None:
    plan = planned(
        a_job("first", output="a"),
        a_job("later", output="ab"),
        a_job("reader", input="a", output="c"),
        a_job("first", "chat", output="a"),
    )
    assert len(grants_of(plan)) == 4, "what one job writes another may read"


def test_a_region_whose_results_are_copied_over_others_says_so() -> None:
    copied = a_profile().registry.replicate_to[0].region
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"regions": ["home", copied]}, True),
        ({"regions": ["home"]}, False),
    ]
    for fields, is_said in cases:
        job = a_model(name="index", batch={"command": ["a"], "output": "a"}, **fields)
        plan = resolve(a_tree(job), a_profile(), "home")
        found = [row.feature for row in plan.downgrades]
        assert ("results of each region" in found) is is_said
