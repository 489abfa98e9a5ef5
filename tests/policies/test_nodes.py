"""Nodes are closed, sized and marked as the profile says, or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from policies.nodes import RULES
from policies.rule import Rule
from tests.examples import REGIONS
from tests.policies.amiss import amiss, assert_fails_closed, assert_refused
from tests.policies.cases import GONE, Case, failing
from tests.policies.estate import named, said

MACHINE, POOL, GROUP, PRESENT = RULES

TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate gpu-l4-1"
NODES: Final = "aws:eks/nodeGroup:NodeGroup gpu-l4-1-on-demand"
SPOT: Final = "aws:eks/nodeGroup:NodeGroup gpu-l4-1-spot"
CPU: Final = "aws:eks/nodeGroup:NodeGroup cpu-4-on-demand"
DISK: Final = "blockDeviceMappings 0 ebs"
IMDS: Final = "metadataOptions"
TAINT: Final = {"effect": "NO_SCHEDULE", "key": "isoserve.dev/machine-type", "value": "cpu.4"}
GPU_TAINT: Final = {"effect": "NoSchedule", "key": "nvidia.com/gpu", "value": "present"}
METAL: Final = "Node gpu-l4-01"
METAL_MARK: Final = "metadata labels isoserve.dev/machine-type"
SIZE: Final = "scalingConfig"
MARK: Final = "labels isoserve.dev/machine-type"

CASES: Final = (
    amiss(MACHINE, TEMPLATE, f"{IMDS} httpTokens", "optional", "has httpTokens 'optional'"),
    amiss(MACHINE, TEMPLATE, f"{IMDS} httpPutResponseHopLimit", 2, "httpPutResponseHopLimit 2"),
    amiss(MACHINE, TEMPLATE, IMDS, GONE, "has httpTokens None"),
    amiss(MACHINE, TEMPLATE, f"{DISK} encrypted", "false", "a disk in the clear"),
    amiss(MACHINE, TEMPLATE, DISK, GONE, "a disk in the clear"),
    amiss(MACHINE, TEMPLATE, "blockDeviceMappings", [], "a disk in the clear"),
    amiss(MACHINE, TEMPLATE, "networkInterfaces", [{"associatePublicIpAddress": "true"}], "public"),
    amiss(MACHINE, TEMPLATE, "networkInterfaces", [{}], "may get a public address"),
    amiss(MACHINE, TEMPLATE, "keyName", "ops", "to an SSH key"),
    amiss(MACHINE, TEMPLATE, "vpcSecurityGroupIds", ["sg-open"], "groups ['sg-open']"),
    amiss(MACHINE, TEMPLATE, f"{DISK} volumeSize", 359, "has 359 GiB at /dev/xvda; a full cache"),
    amiss(MACHINE, TEMPLATE, f"{DISK} volumeSize", GONE, "has 0 GiB at /dev/xvda"),
    Case(
        rule=MACHINE,
        of=TEMPLATE,
        path=f"{DISK} volumeSize",
        value=574,
        says="images and logs take 460 and 20 % must stay free",
        region="us-east-1",
    ),
    amiss(MACHINE, TEMPLATE, "blockDeviceMappings 0 deviceName", "/dev/sdf", "has 0 GiB"),
    amiss(POOL, NODES, f"{SIZE} maxSize", 17, "the profile 1 to 16"),
    amiss(POOL, NODES, f"{SIZE} minSize", 0, "has 0 to 16 nodes"),
    amiss(POOL, SPOT, f"{SIZE} maxSize", 5, "the profile 0 to 4"),
    amiss(POOL, NODES, "instanceTypes", ["p5.48xlarge"], "differs in instance types"),
    amiss(POOL, NODES, "taints", [], "so the wrong pods stand there"),
    amiss(POOL, NODES, "labels nvidia.com/gpu.present", GONE, "no device plugin stands there"),
    amiss(POOL, NODES, "labels k8s.amazonaws.com/accelerator", GONE, "buys a second node"),
    amiss(POOL, NODES, "taints 0 effect", "PREFER_NO_SCHEDULE", "so the wrong pods stand there"),
    amiss(POOL, SPOT, "taints 1", TAINT, "so the wrong pods stand there"),
    amiss(POOL, CPU, "taints", [TAINT], "so the wrong pods stand there"),
    amiss(POOL, NODES, MARK, "gpu.h100.8", "is of machine type 'gpu.h100.8'"),
    amiss(POOL, NODES, "labels", GONE, "is of machine type None"),
    amiss(POOL, NODES, "capacityType", "SPOT", "capacity 'SPOT'"),
    amiss(POOL, NODES, "capacityType", GONE, "capacity None"),
    *(
        Case(rule=POOL, of=of, path=path, value=value, says=says, region="sandbox-onprem")
        for of, path, value, says in (
            (METAL, "spec", GONE, "has taints [], so the wrong pods stand there"),
            (METAL, "spec taints", [], "has taints [], so the wrong pods stand there"),
            (METAL, "spec taints 0 effect", "NoExecute", "so the wrong pods stand there"),
            (METAL, "spec taints 0 value", "gpu.l4.1", "so the wrong pods stand there"),
            ("Node cpu-01", "spec", {"taints": [GPU_TAINT]}, "so the wrong pods stand there"),
            (METAL, "metadata labels nvidia.com/gpu.present", GONE, "no device plugin stands"),
            (METAL, "metadata labels nvidia.com/gpu.present", "false", "no device plugin stands"),
            (METAL, METAL_MARK, "gpu.l40s.4", "of which the profile does not list it"),
            (METAL, METAL_MARK, GONE, "is labelled None"),
            (METAL, "metadata labels isoserve.dev/capacity", "spot", "as of capacity spot"),
        )
    ),
    amiss(GROUP, NODES, "subnetIds", ["subnet-public"], "stands in ['subnet-public']"),
    amiss(GROUP, NODES, "clusterName", "other", "belongs to cluster 'other'"),
    amiss(GROUP, NODES, "launchTemplate", GONE, "without a launch template"),
    amiss(GROUP, NODES, "remoteAccess", {"ec2SshKey": "ops"}, "log in to nodes"),
)
FAILING: Final = failing(CASES) | {PRESENT.name: lambda: said(PRESENT, without=CPU)}
LATER: Final = (
    amiss(MACHINE, TEMPLATE, f"{IMDS} httpTokens", None, ""),
    amiss(MACHINE, TEMPLATE, f"{DISK} encrypted", None, ""),
    amiss(MACHINE, TEMPLATE, f"{DISK} volumeSize", None, ""),
    amiss(POOL, NODES, f"{SIZE} maxSize", None, ""),
    amiss(POOL, NODES, "taints 0 value", None, ""),
    Case(rule=POOL, of=METAL, path="spec taints 0 value", says="", region="sandbox-onprem"),
    amiss(GROUP, NODES, "subnetIds", None, ""),
    amiss(GROUP, NODES, "clusterName", None, ""),
)
"""Fields that might be unknown before the first `up`."""


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_nodes_of_every_region_pass(rule: Rule, region: str) -> None:
    assert said(rule, region=region) == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_field_makes_the_difference(case: Case) -> None:
    assert_refused(case)


@pytest.mark.parametrize("case", LATER, ids=str)
def test_a_node_that_is_not_known_yet_passes_nothing(case: Case) -> None:
    assert_fails_closed(case)


def test_a_size_points_at_the_machine_type_and_capacity_in_the_profile() -> None:
    (finding,) = amiss(POOL, SPOT, f"{SIZE} maxSize", 5, "").found()
    assert finding.place.path == "machines.gpu.l4.1.spot", "its name has dots of its own"


def test_a_small_disk_points_at_the_cache_of_its_machine_type() -> None:
    (finding,) = amiss(MACHINE, TEMPLATE, f"{DISK} volumeSize", 359, "").found()
    assert finding.place.path == "machines.gpu.l4.1.cache_disk_gib"
    assert "make it 360 GiB" in finding.place.message


def test_a_template_of_an_unknown_machine_type_is_refused() -> None:
    (finding,) = said(MACHINE, replace(named(TEMPLATE), name="gpu-x"))
    assert "is for no machine type" in finding.place.message, "nobody knows how large its disk is"


def test_a_machine_type_that_pods_select_has_nodes() -> None:
    found = said(PRESENT, without=CPU)
    assert found, "its pods would wait for ever"
    assert all("waits for nodes of cpu.4" in finding.place.message for finding in found)


def test_a_group_without_a_template_of_its_own_is_refused() -> None:
    found = said(PRESENT, without=TEMPLATE)
    assert {finding.resource for finding in found} == {NODES, SPOT}, (
        "nobody read what it is made of"
    )
