"""Every kind of GPU, and arm64, is asked for, bounded, found and paid for by its row's facts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from components.kube import Object
from model_specs.catalogue_files import rows
from model_specs.errors import SpecErrors
from model_specs.gpu_kinds import GPU_KINDS, GPU_RESOURCES, GpuKindRow
from regions import machines
from regions.machines import MACHINES, MachineRow
from regions.node_shapes import misfits
from regions.plan import RegionPlan
from stacks.cli import main
from stacks.recorded import recorded
from tests.examples import (
    ROOT,
    a_model,
    a_profile,
    an_offer,
    of_kind,
    planned,
    rendered,
    specs,
    template,
)

OWN: Final = f"registry.example.com/team/vllm@sha256:{'d' * 64}"
METAL: Final = {"gpu.mi300x.8": ["amd-01"], "gpu.l4.1": ["nvidia-01"]}
EC2: Final = {
    "cpu.4": ["c7i.4xlarge"],
    "cpu.arm64.4": ["m7g.2xlarge"],
    "gpu.l4.1": ["g6.2xlarge"],
    "neuron.inferentia2.1": ["inf2.8xlarge"],
}


def on_metal(machine: str) -> RegionPlan:
    offer = an_offer(1, node_names=tuple(METAL[machine]), instance_types=())
    profile = a_profile("sandbox-onprem", machines={machine: offer})
    return planned(served(machine), profile=profile, gpu_quota={machine: 8})


def on_aws(machine: str, **offer: Any) -> RegionPlan:
    offered = an_offer(2, spot=2, instance_types=tuple(EC2[machine]), **offer)
    quota = {machine: 8} if MACHINES[machine].gpus else {}
    return planned(served(machine), profile=a_profile(machines={machine: offered}), gpu_quota=quota)


def served(machine: str) -> Any:
    return a_model(
        machine_type=machine, image=OWN, runtime="bentoml", scaling={"min": 1, "max": 1},
        cache="always",
    )  # fmt: skip


def pod_of(plan: RegionPlan) -> Object:
    (made,) = (
        one
        for one in of_kind("Deployment", rendered(plan))
        if one["metadata"]["name"] == "sentiment"
    )
    spec: Object = template(made)["spec"]
    return spec


def asked(pod: Object) -> dict[str, str]:
    limits = pod["containers"][0]["resources"]["limits"]
    return {name: limits[name] for name in GPU_RESOURCES if name in limits}


def group_of(plan: RegionPlan) -> dict[str, Any]:
    found = [one for one in recorded(plan, ROOT) if one.type == "aws:eks/nodeGroup:NodeGroup"]
    return {**found[0].values}


def test_the_kinds_are_these() -> None:
    assert {name: kind.resource for name, kind in GPU_KINDS.items()} == {
        "amd": "amd.com/gpu",
        "neuron": "aws.amazon.com/neuron",
        "none": "",
        "nvidia": "nvidia.com/gpu",
    }, "names that the vendors' device plugins advertise"
    assert {row.kind.name for row in MACHINES.values()} == set(GPU_KINDS), "each has a machine type"


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_a_machine_with_gpus_has_a_kind_and_one_without_has_none(machine: str) -> None:
    row = MACHINES[machine]
    assert bool(row.gpus) == bool(row.kind.resource)
    assert row.kind.labels or row.kind.name in ("neuron", "none"), "its device plugin finds it"
    assert not row.runtime_class, "the vendors' images of EKS need none"


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (lambda: on_metal("gpu.mi300x.8"), {"amd.com/gpu": "8"}),
        (lambda: on_aws("neuron.inferentia2.1"), {"aws.amazon.com/neuron": "1"}),
        (lambda: on_aws("gpu.l4.1"), {"nvidia.com/gpu": "1"}),
        (lambda: on_aws("cpu.arm64.4"), {}),
    ],
    ids=["amd", "neuron", "nvidia", "none"],
)
def test_a_pod_asks_for_gpus_by_the_name_that_the_device_plugin_advertises(
    plan: Any, expected: dict[str, str]
) -> None:
    assert asked(pod_of(plan())) == expected


@pytest.mark.parametrize(
    ("plan", "resource", "gpus"),
    [
        (lambda: on_metal("gpu.mi300x.8"), "amd.com/gpu", 8),
        (lambda: on_aws("neuron.inferentia2.1"), "aws.amazon.com/neuron", 1),
    ],
    ids=["amd", "neuron"],
)
def test_a_quota_bounds_each_kind_by_its_own_name(plan: Any, resource: str, gpus: int) -> None:
    (quota,) = (
        one
        for one in of_kind("ResourceQuota", rendered(plan()))
        if one["metadata"]["namespace"] == "search"
    )
    hard = quota["spec"]["hard"]
    assert int(hard[f"requests.{resource}"]) >= gpus
    others = {hard[f"requests.{name}"] for name in GPU_RESOURCES if name != resource}
    assert others == {"0"}, "what is not bounded may be taken without end"


def test_nodes_of_amd_carry_its_operators_label_and_no_taint() -> None:
    (node,) = of_kind("Node", rendered(on_metal("gpu.mi300x.8")))
    assert node["metadata"]["labels"]["feature.node.kubernetes.io/amd-gpu"] == "true"
    assert "spec" not in node, "AMD's device plugin tolerates no taint by its chart's defaults"
    tolerated = {one["key"] for one in pod_of(on_metal("gpu.mi300x.8"))["tolerations"]}
    assert "amd.com/gpu" in tolerated, "clouds put it on such nodes"


def test_node_groups_of_neuron_are_what_its_device_plugin_and_the_autoscaler_need() -> None:
    group = group_of(on_aws("neuron.inferentia2.1", replicas_per_node=1))
    assert group["amiType"] == "AL2023_x86_64_NEURON"
    assert group["taints"] == [
        {"key": "aws.amazon.com/neuron", "value": "present", "effect": "NO_SCHEDULE"}
    ], "the plugin tolerates this key, on spot nodes too"
    assert "k8s.amazonaws.com/accelerator" not in group["labels"], (
        "the autoscaler would wait for a resource that it does not know"
    )
    assert group["tags"] == {
        "k8s.io/cluster-autoscaler/node-template/resources/aws.amazon.com/neuron": "1"
    }, "without nodes, it does not know how many a new one has"


@pytest.mark.parametrize(
    ("machine", "ami"),
    [
        ("cpu.4", "AL2023_x86_64_STANDARD"),
        ("cpu.arm64.4", "AL2023_ARM_64_STANDARD"),
        ("gpu.l4.1", "AL2023_x86_64_NVIDIA"),
    ],
)
def test_node_groups_have_the_image_of_their_architecture(machine: str, ami: str) -> None:
    group = group_of(on_aws(machine))
    assert group["amiType"] == ami
    assert "tags" not in group, "the autoscaler knows what a node of these has"


@pytest.mark.parametrize(
    ("machine", "instance_type", "says"),
    [
        ("gpu.mi300x.8", "p5.48xlarge", "EKS has no amd64 image with the driver of amd"),
        ("cpu.arm64.4", "m7i.2xlarge", "cpu.arm64.4 is of arm64, got m7i.2xlarge of amd64"),
        ("cpu.4", "m7g.2xlarge", "cpu.4 is of amd64, got m7g.2xlarge of arm64"),
        ("neuron.inferentia2.1", "g6.8xlarge", "has GPUs of kind inferentia2, got g6.8xlarge"),
    ],
)
def test_an_instance_type_of_another_kind_is_refused(
    machine: str, instance_type: str, says: str
) -> None:
    (found,) = misfits(an_offer(1, instance_types=(instance_type,)), machine)
    assert found.is_sure
    assert says in found.why


def test_no_smaller_type_of_another_architecture_is_proposed() -> None:
    (found,) = misfits(an_offer(1, instance_types=("c7i.large",)), "cpu.4")
    assert "7g" not in found.why.split(";")[1], found.why


SLICE: Final = """\
vendor: nvidia
resource: {name: nvidia.com/mig-3g.40gb, source: our own device plugin, date: 2026-11-29}
"""
MACHINE: Final = """\
cpu: 12
memory_gib: 96
gpu: {kind: %s, name: A100-MIG, count: 1, memory_gib: 40, source: our own hall, date: 2026-11-29}
labels: {corp.example/hall: b}
tolerations: [{key: corp.example/gpu, value: mig}]
runtime_class: nvidia
rates: {load_mib_per_second: 300, fetch_mib_per_second: 200, source: measured in our own hall,
  date: 2026-11-29}
"""


def own(folder: Path, name: str, text: str) -> tuple[Path, ...]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return ROOT / "model_specs/catalogue", folder


def test_a_company_adds_a_kind_and_overrides_ours(tmp_path: Path) -> None:
    own(tmp_path, "gpu_kinds/mig.yaml", SLICE)
    text = (
        "taint: {key: amd.com/gpu, value: present, is_put: true, source: our plugin tolerates it,"
    )
    found = rows(
        "gpu_kinds", GpuKindRow, own(tmp_path, "gpu_kinds/amd.yaml", f"{text} date: 2026-11-29}}\n")
    )
    assert found["mig"].vendor == "nvidia", "runtimes of NVIDIA compute on its slices"
    assert found["amd"].taint is not None
    assert found["amd"].taint.is_put
    assert found["amd"].resource is not None, "what it does not state stays ours"


def test_a_kind_that_no_row_describes_is_refused(tmp_path: Path) -> None:
    for kind in ("nvida", "none"):
        with pytest.raises(SpecErrors) as refused:
            rows("machine_types", MachineRow, own(tmp_path, "machine_types/x.yaml", MACHINE % kind))
        (error,) = refused.value.errors
        assert (error.code, error.path) == ("E301", "gpu.kind")
        assert "nvidia" in error.message, "a person takes what is proposed"


def test_what_a_row_says_of_nodes_and_pods_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = own(tmp_path, "machine_types/x.yaml", MACHINE % "nvidia")
    found = rows("machine_types", MachineRow, places)
    row = replace(machines.made("gpu.l4.1", found["x"]), name="gpu.l4.1")
    monkeypatch.setitem(MACHINES, "gpu.l4.1", row)
    plan = on_metal("gpu.l4.1")
    pod = pod_of(plan)
    assert pod["runtimeClassName"] == "nvidia"
    assert {"key": "corp.example/gpu", "operator": "Equal", "value": "mig",
            "effect": "NoSchedule"} in pod["tolerations"]  # fmt: skip
    (node,) = of_kind("Node", rendered(plan))
    assert node["metadata"]["labels"]["corp.example/hall"] == "b"


def stated(project: str, model: str) -> str:
    """The address of a model of the examples, which its lock file knows."""
    return next(m.spec.model for m in specs().models if m.id == f"{project}/{model}")


GENERATOR: Final = stated("chat", "helper")
RANKER: Final = stated("search", "ranker")
ADDED: Final = (
    ("us-east-1", "cpu.arm64.4", "instance_types: [m7g.2xlarge], node_names: []", RANKER),
    ("us-east-1", "neuron.inferentia2.1", "instance_types: [inf2.8xlarge], node_names: []",
     GENERATOR),
    ("sandbox-onprem", "gpu.mi300x.8", "instance_types: [], node_names: [amd-01]", GENERATOR),
)  # fmt: skip
BOUNDS: Final = """replicas_per_node: 1, on_demand: {min: 0, max: 1}, spot: {min: 0, max: 0},
    cache_disk_gib: 400, price_usd_per_hour: {on_demand: 9.0, spot: null, as_of: 2026-11-01}"""


def a_tree_with_all(root: Path) -> None:
    """The example's specs and two of its regions, with a model on each of the ADDED machines."""
    for project in ("chat", "search", "vision"):
        shutil.copytree(ROOT / "model_specs" / project, root / "specs" / project)
    (root / "regions").mkdir()
    for region in ("us-east-1", "sandbox-onprem"):
        text = (ROOT / "regions" / f"{region}.yaml").read_text()
        lines = [
            f"  {name}: {{{nodes}, {BOUNDS}}}\n" for at, name, nodes, _ in ADDED if at == region
        ]
        made = text.replace("machines:\n", "machines:\n" + "".join(lines), 1)
        (root / "regions" / f"{region}.yaml").write_text(made)
    for region, machine, _, model in ADDED:
        project, name = model.split("/")[0], machine.replace(".", "-")
        spec = f"machine_type: {machine}\nimage: {OWN}\nruntime: bentoml\nmodel: {model}\n"
        spec += f"scaling: {{min: 1, max: 1}}\ncache: always\nregions: [{region}]\n"
        (root / "specs" / project / f"on-{name}.yaml").write_text(spec)
        owner = root / "specs" / project / "project.yaml"
        if machine.startswith("cpu"):
            continue
        owner.write_text(owner.read_text().replace("gpu_quota:\n", f"gpu_quota:\n  {machine}: 8\n"))


def test_the_rules_agree_with_what_is_rendered_for_each_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_tree_with_all(tmp_path)
    places = ["--specs", str(tmp_path / "specs"), "--regions", str(tmp_path / "regions")]
    assert main(["policy", *places]) == 0, capsys.readouterr()
