"""Simulated machines are what the profiles ask for, whole and without Pulumi's labels."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from regions.sandbox import engine, nodes
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster
from regions.sandbox.layout import AWS_REGIONS, REGIONS, ROOT
from regions.sandbox.node.network import Network


def a_group(**changes: Any) -> dict[str, Any]:
    group = {
        "nodegroupName": "gpu-l4-4",
        "instanceTypes": ["g6.12xlarge"],
        "scalingConfig": {"minSize": 0, "maxSize": 4, "desiredSize": 2},
        "labels": {"isoserve.dev/machine-type": "gpu.l4.4"},
        "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NO_SCHEDULE"}],
        "capacityType": "SPOT",
    }
    return {**group, **changes}


def test_a_node_group_becomes_as_many_nodes_with_its_labels_and_taints() -> None:
    first, second = nodes.group_nodes("sandbox-aws", a_group())
    labels = first["metadata"]["labels"]
    assert labels["isoserve.dev/machine-type"] == "gpu.l4.4"
    assert labels["eks.amazonaws.com/capacityType"] == "SPOT"
    assert labels["node.kubernetes.io/instance-type"] == "g6.12xlarge"
    assert first["status"]["capacity"]["nvidia.com/gpu"] == "4"
    assert first["spec"]["taints"] == [
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    ]
    zone = "topology.kubernetes.io/zone"
    assert labels[zone] != second["metadata"]["labels"][zone], "nodes must spread over zones"


def test_an_empty_node_group_has_no_nodes() -> None:
    empty = a_group(scalingConfig={"minSize": 0, "maxSize": 4, "desiredSize": 0})
    assert nodes.group_nodes("sandbox-aws", empty) == []


def test_real_machines_of_a_group_have_its_marks_and_the_size_of_their_type() -> None:
    first, second = nodes.group_machines("sandbox-aws", a_group(instanceTypes=["c7i.4xlarge"]))
    wanted = nodes.group_nodes("sandbox-aws", a_group(instanceTypes=["c7i.4xlarge"]))[0]
    assert (first.name, first.cpu, first.memory_gib) == ("gpu-l4-4-00", 16, 32)
    assert first.taints == wanted["spec"]["taints"]
    assert first.labels.items() <= wanted["metadata"]["labels"].items(), "as on AWS"
    assert first.index == second.index == 0, "who starts them finds a free one"
    assert nodes.group_machines("sandbox-aws", a_group()) == [], "kwok has those with GPUs"


@pytest.mark.parametrize(
    ("region", "names"),
    [("sandbox-aws", ["system-01"]), ("sandbox-onprem", ["cpu-01", "cpu-02"])],
)
def test_standing_machines_are_numbered_from_one(region: str, names: list[str]) -> None:
    machines = nodes.static_machines(region)
    assert [one.name for one in machines] == names, "those that nodes.yaml does not simulate"
    assert [one.index for one in machines] == list(range(1, len(names) + 1))
    assert all("topology.kubernetes.io/zone" in one.labels for one in machines)
    assert not any(one.taints for one in machines), "taints of listed nodes belong to Pulumi"


@pytest.mark.parametrize("region", REGIONS)
def test_only_simulated_nodes_are_made_beside_real_machines(
    region: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(nodes, "network_of", lambda region: Network(7))
    monkeypatch.setattr(engine, "stack_file", lambda _: tmp_path / "none")
    monkeypatch.setattr(nodes, "_by_name", lambda cluster: {})
    monkeypatch.setattr(
        nodes, "_apply_all", lambda _, new: made.extend(one["metadata"]["name"] for one in new)
    )
    nodes.stand_up(cast(Cluster, SimpleNamespace(region=region)))
    real = {one.name for one in nodes.static_machines(region)}
    assert real.isdisjoint(made), "a kubelet registers itself"
    assert real | set(made) == {one.name for one in nodes.inventory().static[region]}


@pytest.mark.parametrize(
    ("ready", "taint", "joined"),
    [
        ("False", "node.kubernetes.io/not-ready", False),
        ("True", "node.kubernetes.io/not-ready", False),
        ("True", "nvidia.com/gpu", True),
        ("Unknown", "node.kubernetes.io/unreachable", True),
    ],
)
def test_a_node_counts_once_pods_could_come_to_it(ready: str, taint: str, joined: bool) -> None:
    node = {
        "spec": {"taints": [{"key": taint, "effect": "NoSchedule"}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }
    assert nodes.has_joined(node) == joined, "else one waiting pod would grow its group twice"


def test_an_unknown_instance_type_says_where_to_add_it() -> None:
    with pytest.raises(SandboxError, match=r"x9\.huge .*nodes\.yaml"):
        nodes.group_nodes("sandbox-aws", a_group(instanceTypes=["x9.huge"]))


@pytest.mark.parametrize("region", REGIONS)
def test_static_nodes_carry_no_machine_type(region: str) -> None:
    for node in nodes.inventory().static[region]:
        made = nodes.static_node(node)
        assert not any("machine-type" in label for label in made["metadata"]["labels"])
        assert made["spec"] == {}, "taints of listed nodes belong to Pulumi"


@pytest.mark.parametrize("region", REGIONS)
def test_every_machine_of_the_sandbox_profiles_is_simulated(region: str) -> None:
    inventory = nodes.inventory()
    path = Path(ROOT / "regions" / f"{region}.yaml")
    machines = yaml.safe_load(path.read_text())["machines"]
    types = {one for row in machines.values() for one in row.get("instance_types") or ()}
    names = {one for row in machines.values() for one in row.get("node_names") or ()}
    assert types <= inventory.instance_types.keys()
    assert names <= {node.name for node in inventory.static[region]}


def test_every_gpu_machine_names_its_product() -> None:
    inventory = nodes.inventory()
    static = [node for region in REGIONS for node in inventory.static[region]]
    for machine in (*static, *inventory.instance_types.values()):
        assert bool(machine.gpus) == bool(machine.gpu_product), machine


@pytest.mark.parametrize("region", AWS_REGIONS)
def test_aws_shaped_regions_have_zones(region: str) -> None:
    assert nodes.inventory().zones[region]
