"""GPUs go where they are meant to, as many as were granted, and whole."""

from __future__ import annotations

from typing import Any, Final

import pytest

from policies.gpus import RULES
from tests.policies.cases import (
    GONE,
    Case,
    check,
    check_unknown,
    failing,
    respecified,
    setting,
    with_path,
)
from tests.policies.estate import changed, named, said

SHAPE, QUOTA = RULES
GPU: Final = "nvidia.com/gpu"
SERVER: Final = "Deployment search/embedder"
ON_CPU: Final = "Deployment search/ranker"
SPOT: Final = "Deployment chat/helper-spot"
PROBER: Final = "Deployment search/prober"
AGENT: Final = "DaemonSet isoserve-cache/cache-gpu-l4-1"
JOB: Final = "CronJob search/nightly-index"
GRANT: Final = "ResourceQuota search/project"
HARD: Final = "spec hard requests.nvidia.com/gpu"
POD: Final = "spec template spec"
MAIN: Final = f"{POD} containers 0"
MACHINE: Final = f"{POD} nodeSelector isoserve.dev/machine-type"
CAPACITY: Final = f"{POD} nodeSelector isoserve.dev/capacity"
TAINTS: Final = f"{POD} tolerations"
EVERYTHING: Final = [{"operator": "Exists"}]
OF_L4: Final[dict[str, Any]] = {
    "effect": "NoSchedule", "key": "isoserve.dev/machine-type", "operator": "Equal",
    "value": "gpu.l4.1",
}  # fmt: skip
SIZE: Final = {"cpu": "6", "ephemeral-storage": "9Gi", "memory": "24Gi"}


def alike(size: Any) -> Any:
    """Resources with requests that equal limits."""
    return {"limits": size, "requests": size}


CASES: Final = (
    *(
        Case(rule=SHAPE, of=of, path=path, value=value, says=says, field="machine_type")
        for of, path, value, says in (
            (SERVER, f"{MAIN} resources requests {GPU}", GONE, "requests {'cpu': '6'"),
            (SERVER, f"{MAIN} resources requests cpu", "1", "requests {'cpu': '1'"),
            (SERVER, f"{POD} initContainers 0 resources", GONE, "requests {}, is limited to {}"),
            (SERVER, f"{MAIN} resources", alike({**SIZE, GPU: "2"}), "is given {'cpu': '6', "),
            (SERVER, f"{MAIN} resources", alike(SIZE), "gpu.l4.1 is {'cpu': '6', "),
            (SERVER, f"{MAIN} resources", alike({**SIZE, GPU: "1", "cpu": "8"}), "'cpu': '8'"),
            (SERVER, f"{MAIN} resources", alike({**SIZE, GPU: "1", "intel.com/gpu": "1"}),
             "takes intel.com/gpu, which no machine type has"),
            (SERVER, f"{MAIN} resources", alike({**SIZE, GPU: "1", "amd.com/gpu": "1"}),
             "'amd.com/gpu': '1'}, gpu.l4.1 is {"),
            (SERVER, f"{POD} runtimeClassName", "nvidia",
             "has RuntimeClass 'nvidia', gpu.l4.1 has ''"),
            (SERVER, f"{POD} initContainers 0 resources",
             alike({"cpu": "1", "memory": "512Mi", GPU: "1"}), "gpu.l4.1 is {"),
            (ON_CPU, f"{MAIN} resources",
             alike({"cpu": "4", "ephemeral-storage": "9Gi", "memory": "8Gi", GPU: "1"}),
             "cpu.4 is {'cpu': '4', 'memory': '8Gi'}"),
            (SERVER, MACHINE, "gpu.l40s.4", "stands on gpu.l40s.4, the spec says gpu.l4.1"),
            (SERVER, TAINTS, GONE, "may stand on [], its pool has"),
            (SERVER, TAINTS, EVERYTHING, "may stand on [('', '')]"),
            (SERVER, f"{TAINTS} 0 value", "gpu.h100.8", "may stand on [('isoserve.dev/machine"),
            (ON_CPU, TAINTS, [OF_L4], "'gpu.l4.1')], its pool has []"),
            (SPOT, TAINTS, [OF_L4], "('isoserve.dev/capacity', 'spot')"),
            (JOB, "spec jobTemplate spec template spec tolerations", [], "may stand on []"),
        )
    ),
    *(
        Case(rule=SHAPE, of=of, path=path, value=value, says=says)
        for of, path, value, says in (
            (PROBER, TAINTS, [OF_L4], "may stand on [('isoserve.dev/machine-type', 'gpu.l4.1')]"),
            (PROBER, f"{POD} nodeSelector", {"isoserve.dev/machine-type": "gpu.l4.1"},
             "stands on gpu.l4.1 and is of no model"),
            (PROBER, f"{MAIN} resources", alike({GPU: "1"}), "takes 1 GPUs for no model"),
            (AGENT, f"{MAIN} resources", alike({GPU: "1"}), "takes 1 GPUs for no model"),
            (AGENT, TAINTS, EVERYTHING, "may stand on [('', '')] and is of no model"),
            (AGENT, TAINTS, GONE, "does not tolerate [('isoserve.dev/capacity', ''), "),
            (AGENT, f"{TAINTS} 0", GONE,
             "does not tolerate [('isoserve.dev/machine-type', 'gpu.l4.1')], so nodes of gpu.l4.1"),
            (AGENT, f"{TAINTS} 1", GONE, "does not tolerate [('nvidia.com/gpu', '')]"),
            (AGENT, f"{TAINTS} 2", GONE, "does not tolerate [('isoserve.dev/capacity', '')]"),
        )
    ),
    *(
        Case(rule=QUOTA, of=of, path=path, value=value, says=says, field=field, on=on)
        for of, path, value, says, field, on in (
            ("ScaledObject search/embedder", "spec maxReplicaCount", 5,
             "has 8 of gpu.l4.1, its models may take 9", "gpu_quota.gpu.l4.1", GRANT),
            (JOB, "spec jobTemplate spec parallelism", 5,
             "has 8 of gpu.l4.1, its models may take 9", "gpu_quota.gpu.l4.1", GRANT),
            ("Deployment chat/helper", MACHINE, "gpu.h100.8",
             "has 0 of gpu.h100.8, its models may take 1", "gpu_quota.gpu.h100.8",
             "ResourceQuota chat/project"),
            (GRANT, HARD, GONE, "allows None GPUs, its models may take 8", "gpu_quota", GRANT),
            (GRANT, HARD, "7", "allows 7 GPUs, its models may take 8", "gpu_quota", GRANT),
            (GRANT, HARD, "11", "and the project has 10", "gpu_quota", GRANT),
            (GRANT, HARD, "20k", "allows 20000 GPUs, its models may take 8", "gpu_quota", GRANT),
        )
    ),
    Case(rule=QUOTA, of=GRANT, says="is not made, yet has pods to bound", field="gpu_quota"),
)  # fmt: skip
FAILING: Final = failing(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_field_makes_the_difference(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", with_path(CASES), ids=str)
def test_a_field_that_is_not_known_yet_is_no_good_field(case: Case) -> None:
    check_unknown(case)


@pytest.mark.parametrize("region", ["sandbox-aws", "sandbox-onprem"])
@pytest.mark.parametrize("taint", ["nvidia.com/gpu", "isoserve.dev/machine-type"])
def test_an_agent_stands_on_gpu_nodes_whoever_makes_them(taint: str, region: str) -> None:
    def intolerant(values: Any) -> None:
        spec = values["spec"]["template"]["spec"]
        spec["tolerations"] = [one for one in spec["tolerations"] if one["key"] != taint]

    (finding,) = said(SHAPE, changed(named(AGENT, region), intolerant), region=region)
    assert f"does not tolerate [('{taint}'" in finding.place.message


@pytest.mark.parametrize("of", [AGENT, SERVER])
def test_a_toleration_of_another_effect_is_another_toleration(of: str) -> None:
    late = changed(named(of), setting(f"{TAINTS} 1 effect", "NoExecute"))
    found = " ".join(finding.place.message for finding in said(SHAPE, late))
    assert "('nvidia.com/gpu', ' for NoExecute alone')" in found, "the pool's taint is NoSchedule"


def test_a_part_of_a_gpu_is_no_gpu() -> None:
    half = changed(named(SERVER), setting(f"{MAIN} resources", alike({**SIZE, GPU: "500m"})))
    assert any("takes 500m of a GPU" in finding.place.message for finding in said(SHAPE, half))


def test_nodes_that_the_region_has_not_hold_no_pod() -> None:
    for nodes in ("spot", GONE):
        stray = changed(named(ON_CPU), setting(CAPACITY, nodes))
        found = [finding.place.message for finding in said(SHAPE, stray)]
        assert any("nodes of cpu.4, there are none" in message for message in found), found


def test_a_pod_that_says_it_is_of_no_model_gets_nothing_of_the_pools() -> None:
    stranger = changed(named(SERVER), setting("metadata labels isoserve.dev/model", GONE))
    found = " ".join(finding.place.message for finding in said(SHAPE, stranger))
    for what in ("stands on gpu.l4.1", "may stand on", "takes 1 GPUs"):
        assert what in found, "or leaving a label out would be the way around every rule"


def test_what_is_rendered_is_of_the_machine_that_the_spec_names() -> None:
    findings = said(SHAPE, wished=respecified("search/ranker", machine_type="gpu.l4.1"))
    assert {finding.place.path for finding in findings} == {"machine_type"}
    assert {finding.place.line for finding in findings} == {2}


def test_a_quota_is_shown_at_its_own_line() -> None:
    more = changed(named("ScaledObject search/embedder"), setting("spec maxReplicaCount", 5))
    (finding,) = said(QUOTA, more)
    assert (finding.place.file, finding.place.line) == ("model_specs/search/project.yaml", 7)
