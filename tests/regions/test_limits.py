"""A runtime is held to its machine's GPUs, a project's models to its quota and its cost cap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from model_specs.errors import SpecErrors
from model_specs.load import Specs
from model_specs.runtimes import RUNTIMES
from regions.limits import unknown_machines
from regions.machines import MACHINES
from regions.resolve import resolve
from tests.examples import a_model, a_profile, a_tree, profiles, specs

REGION = "us-east-1"
OWN = f"registry.example.com/team/rocm-vllm@sha256:{'d' * 64}"
NEEDS_GPU = sorted(row.name for row in RUNTIMES.values() if row.needs_gpu)


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


def test_a_cap_below_a_dollar_is_not_shown_as_none() -> None:
    with pytest.raises(SpecErrors, match=r"got a cap of 1e-300;"):
        resolve(with_cap("chat", 1e-300), profiles()[REGION], REGION)


def test_project_within_its_cost_cap_is_planned() -> None:
    plan = resolve(with_cap("chat", 20_000.0), profiles()[REGION], REGION)
    assert plan.servers, "a cap that is not reached changes nothing"


@pytest.mark.parametrize(
    ("bounds", "field"),
    [
        (({"batch": {"command": ["a"], "parallelism": 3}},), "lower batch.parallelism"),
        (({"scaling": {"max": 3}},), "lower scaling.max"),
        (
            ({"batch": {"command": ["a"], "parallelism": 3}}, {"scaling": {"max": 3}}),
            "lower scaling.max or batch.parallelism",
        ),
    ],
    ids=["job", "server", "both"],
)
def test_a_project_over_its_quota_reads_the_field_that_its_models_have(
    bounds: tuple[dict[str, Any], ...], field: str
) -> None:
    models = [a_model(name=f"m{number}", **one) for number, one in enumerate(bounds)]
    with pytest.raises(SpecErrors) as refused:
        resolve(a_tree(*models, gpu_quota={"gpu.l4.1": 1}), a_profile(), REGION)
    (error,) = refused.value.errors
    assert (error.code, error.path) == ("E381", "gpu_quota.gpu.l4.1")
    assert error.message.endswith(field), "a job has no `scaling`"


def test_unknown_price_is_left_out_and_never_invented() -> None:
    region = "eu-central-1"
    offer = profiles()[region].machines["gpu.l40s.4"]
    assert offer.price_usd_per_hour.on_demand is None, "this region has no price for the assistant"
    plan = resolve(with_cap("chat", 3_000.0), profiles()[region], region)
    assert plan.servers, "only the helper's known cost counts"


def test_the_runtimes_that_need_a_gpu_are_those_whose_upstream_says_so() -> None:
    assert NEEDS_GPU == ["sglang", "text-embeddings-inference", "vllm"]


@pytest.mark.parametrize("name", NEEDS_GPU)
def test_a_runtime_that_needs_a_gpu_is_refused_on_a_machine_without(name: str) -> None:
    (error,) = unknown_machines(a_tree(a_model(machine_type="cpu.4", image=name)))
    assert (error.code, error.path) == ("E335", "image")
    assert f"{name} cannot start without a GPU, got cpu.4; take a machine_type" in error.message


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_a_machine_with_a_gpu_takes_every_runtime_and_one_without_the_others(machine: str) -> None:
    taken = {
        name
        for name in RUNTIMES
        if not list(unknown_machines(a_tree(a_model(machine_type=machine, image=name))))
    }
    row = MACHINES[machine]
    others = {name for name, one in RUNTIMES.items() if not {row.kind.vendor} & {*one.gpu_vendors}}
    unbound = {name for name, one in RUNTIMES.items() if not one.gpu_vendors}
    built = {name for name, one in RUNTIMES.items() if row.architecture in one.architectures}
    assert taken == built & (
        set(RUNTIMES) - (others - unbound) if row.gpus else set(RUNTIMES) - set(NEEDS_GPU)
    )


def test_an_image_that_is_built_for_other_processors_is_refused() -> None:
    wish = a_model(machine_type="cpu.arm64.4", image="mlserver")
    (error,) = unknown_machines(a_tree(wish))
    assert (error.code, error.path) == ("E336", "image")
    assert "mlserver is built for amd64, got cpu.arm64.4 of arm64; take another" in error.message
    own = a_model(machine_type="cpu.arm64.4", image=OWN, runtime="mlserver")
    assert list(unknown_machines(a_tree(own))) == [], "built again for arm64 it starts"


@pytest.mark.parametrize("machine", ["gpu.mi300x.8", "neuron.inferentia2.1"])
@pytest.mark.parametrize("batch", [{}, {"batch": {"command": ["a"]}}], ids=["server", "job"])
def test_an_image_that_computes_on_another_vendors_gpus_is_refused(
    machine: str, batch: dict[str, Any]
) -> None:
    found = list(unknown_machines(a_tree(a_model(machine_type=machine, image="vllm", **batch))))
    assert [(one.code, one.path) for one in found] == [("E336", "image")]
    vendor = MACHINES[machine].kind.vendor
    assert f"computes on GPUs of nvidia, got {machine} of {vendor}; take" in found[0].message


@pytest.mark.parametrize("machine", ["gpu.mi300x.8", "neuron.inferentia2.1"])
def test_an_image_of_ones_own_with_a_runtimes_contract_may_compute_on_any(machine: str) -> None:
    own = a_model(machine_type=machine, image=OWN, runtime="vllm")
    assert list(unknown_machines(a_tree(own))) == [], "ROCm's vLLM is an image of its own"


def test_a_candidate_that_needs_a_gpu_is_refused_at_its_own_field() -> None:
    rollout = {"strategy": "blue_green", "candidate": {"image": "vllm"}}
    model = a_model(machine_type="cpu.4", image="mlserver", rollout=rollout)
    (error,) = unknown_machines(a_tree(model))
    assert (error.code, error.path) == ("E335", "rollout.candidate.image")


def test_an_image_of_ones_own_and_a_jobs_own_command_may_do_without_a_gpu() -> None:
    own = a_model(name="own", machine_type="cpu.4", image=f"a.example/b@sha256:{'e' * 64}")
    job = a_model(name="job", machine_type="cpu.4", batch={"command": ["python3", "x.py"]})
    assert list(unknown_machines(a_tree(own, job))) == []
