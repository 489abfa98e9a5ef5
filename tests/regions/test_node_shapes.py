"""An instance type carries its replicas, the cache agent and the daemons, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.model_cache.agent_pod import pod
from model_specs.errors import SpecError, SpecErrors
from model_specs.source import Source
from regions.node_shapes import misfits, unsure
from regions.plan import AGENT_CPU, AGENT_DISK_GIB, AGENT_MEMORY_MIB
from regions.profile import RegionProfile, load_profile
from stacks.cli import main
from tests.examples import ROOT, an_offer, plan_of, profiles

USE1 = ROOT / "regions/us-east-1.yaml"


def refused(tmp_path: Path, *edits: tuple[str, str]) -> list[SpecError]:
    """The errors of the profile of us-east-1 after `edits`."""
    text = USE1.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "us-east-1.yaml").write_text(text)
    try:
        load_profile(tmp_path / "us-east-1.yaml")
    except SpecErrors as found:
        return list(found.errors)
    return []


CASES: dict[str, tuple[tuple[str, str], str, str]] = {
    "half the cores": (
        ("[g6.2xlarge]", "[g6.xlarge]"),
        "machines.gpu.l4.1.instance_types[0]",
        "request 7.15 cores of a node, got g6.xlarge has 4 cores, 16 GiB, 1 NVIDIA-L4 (3.92 cores "
        "for pods); write g6.2xlarge",
    ),
    "the second of two": (
        ("[g6.2xlarge]", "[g6.2xlarge, g6.xlarge]"),
        "machines.gpu.l4.1.instance_types[1]",
        "write g6.2xlarge",
    ),
    "another GPU": (
        ("[g6.2xlarge]", "[g6e.2xlarge]"),
        "machines.gpu.l4.1.instance_types[0]",
        "gpu.l4.1 has GPUs of kind NVIDIA-L4, got g6e.2xlarge has 8 cores, 64 GiB, 1 NVIDIA-L40S",
    ),
    "no GPU": (
        ("[g6.2xlarge]", "[c7i.4xlarge]"),
        "machines.gpu.l4.1.instance_types[0]",
        "got c7i.4xlarge has 16 cores, 32 GiB",
    ),
    "fewer GPUs": (
        ("[g6e.12xlarge]", "[g6e.16xlarge]"),
        "machines.gpu.l40s.4.instance_types[0]",
        "1 x gpu.l40s.4 take 4 GPUs, got g6e.16xlarge",
    ),
    "cores that the agent takes": (
        ("replicas_per_node: 3", "replicas_per_node: 4"),
        "machines.cpu.4.instance_types[0]",
        "4 x cpu.4 and the cache agent and daemons request 17.15 cores of a node, got c7i.4xlarge "
        "has 16 cores, 32 GiB (15.89 cores for pods); write replicas_per_node: 3 or c7i.8xlarge",
    ),
    "memory that the kubelet reserves": (
        ("cpu.4:\n    instance_types: [c7i.4xlarge, c7a.4xlarge]\n    node_names: []\n"
         "    replicas_per_node: 3",
         "cpu.8:\n    instance_types: [c7i.12xlarge]\n    node_names: []\n"
         "    replicas_per_node: 4"),
        "machines.cpu.8.instance_types[0]",
        "4 x cpu.8 and the cache agent request 96.5 GiB of a node, got c7i.12xlarge has 48 cores, "
        "96 GiB (93.1 GiB for pods); write replicas_per_node: 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_instance_type_too_small_names_its_shape_and_what_to_write(
    tmp_path: Path, name: str
) -> None:
    edit, path, reason = CASES[name]
    found = refused(tmp_path, edit)
    assert (found[0].code, found[0].path) == ("E371", path)
    assert reason in found[0].message


@pytest.mark.parametrize(
    "types", ["[g6.4xlarge]", "[g6.2xlarge, gr6.4xlarge]", "[g6.48xlarge, g6.12xlarge]"]
)
def test_what_is_larger_than_needed_is_taken(tmp_path: Path, types: str) -> None:
    assert refused(tmp_path, ("[g6.2xlarge]", types)) == []


@pytest.mark.parametrize("region", sorted(profiles()))
def test_the_examples_fit_whatever_hypervisor_and_kernel_take(region: str) -> None:
    found = [
        one
        for machine, offer in profiles()[region].machines.items()
        for one in misfits(offer, machine)
    ]
    assert found == []


def test_several_replicas_fill_a_node_of_several_gpus() -> None:
    def sure(types: tuple[str, ...], replicas: int) -> list[bool]:
        offer = an_offer(9, replicas_per_node=replicas, instance_types=types)
        return [one.is_sure for one in misfits(offer, "gpu.l4.1")]

    assert sure(("g6.12xlarge",), 4) == []
    assert sure(("g6.12xlarge",), 5) == [True], "it has four GPUs"
    assert sure(("g6.48xlarge",), 8) == [], "8 x 6 cores of 192"


def test_an_unknown_instance_type_is_a_warning_at_its_place() -> None:
    offer = an_offer(9, instance_types=("g6.2xlarge", "g6.3xlarge"))
    source = Source("regions/here.yaml", {"machines": {}})
    (found,) = unsure(source, {"gpu.l4.1": offer})
    assert (found.code, found.path) == ("W406", "machines.gpu.l4.1.instance_types[1]")
    assert "got 'g6.3xlarge'; did you mean" in found.message, "a slip is likelier than a new type"
    far = an_offer(9, instance_types=("trn9.huge",))
    (found,) = unsure(source, {"gpu.l4.1": far})
    assert found.message.endswith("compare it with gpu.l4.1 by hand"), (
        "a list of all types helps nobody"
    )


def test_what_fits_only_if_hypervisor_and_kernel_take_little_is_a_warning() -> None:
    offer = an_offer(9, instance_types=("c7i.8xlarge",), replicas_per_node=7)
    (one,) = misfits(offer, "cpu.4")
    assert not one.is_sure, "56.5 GiB of 61.1 that EKS leaves, of which 4.8 may be missing"
    assert "they may keep 7.5 % of the memory, got c7i.8xlarge" in one.why
    assert one.why.endswith("write replicas_per_node: 6 or c7i.12xlarge")


def test_check_warns_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = USE1.read_text().replace("[g6.2xlarge]", "[g6.2xlarge, g6.3xlarge]")
    (tmp_path / "us-east-1.yaml").write_text(text)
    words = ["check", "--specs", str(ROOT / "model_specs"), "--regions", str(tmp_path)]
    assert main([*words, "-r", "us-east-1"]) == 0, "the type may exist, and be large enough"
    assert "machines.gpu.l4.1.instance_types[1]  W406" in capsys.readouterr().out


def test_what_is_counted_for_the_agent_is_what_it_requests() -> None:
    (cache, *_) = plan_of("us-east-1").caches
    (container,) = pod(cache)["containers"]
    assert container["resources"]["requests"] == {
        "cpu": f"{AGENT_CPU}",
        "ephemeral-storage": f"{AGENT_DISK_GIB}Gi",
        "memory": f"{AGENT_MEMORY_MIB}Mi",
    }


def test_listed_nodes_have_no_instance_type_to_compare() -> None:
    seoul: RegionProfile = profiles()["seoul-dc1"]
    assert all(not list(misfits(offer, name)) for name, offer in seoul.machines.items())
