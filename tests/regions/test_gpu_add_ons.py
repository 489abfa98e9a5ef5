"""What makes a GPU pool's GPUs usable lands on its nodes, as the add-ons install themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from components.gpu_node_pool import node_labels
from components.kube import Object
from regions.offers import Taint
from regions.plan import NodeGroupPlan, PoolPlan
from tests.examples import (
    REGIONS,
    a_model,
    a_profile,
    an_offer,
    of_kind,
    plan_of,
    planned,
    rendered,
    template,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOn:
    """Where the pods of a DaemonSet may stand by its chart's default values.

    `labels` are alternatives, one of which a node must carry; none is any node.
    """

    name: str
    source: str
    labels: tuple[tuple[str, str], ...]
    tolerations: tuple[dict[str, str], ...]


_GPU: Final = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
ADD_ONS: Final = (
    AddOn(
        name="nvidia-device-plugin",
        source="github.com/NVIDIA/k8s-device-plugin@00f2a02 "
        "deployments/helm/nvidia-device-plugin/values.yaml",
        labels=(
            ("feature.node.kubernetes.io/pci-10de.present", "true"),
            ("feature.node.kubernetes.io/cpu-model.vendor_id", "NVIDIA"),
            ("nvidia.com/gpu.present", "true"),
        ),
        tolerations=({"key": "CriticalAddonsOnly", "operator": "Exists"}, _GPU),
    ),
    AddOn(
        name="node-feature-discovery worker",
        source="github.com/NVIDIA/k8s-device-plugin@00f2a02 "
        "deployments/helm/nvidia-device-plugin/values.yaml, nfd.worker",
        labels=(),
        tolerations=(
            {"key": "nvidia.com/gpu", "operator": "Equal", "value": "present",
             "effect": "NoSchedule"},
        ),
    ),
)  # fmt: skip


def tolerates(tolerations: tuple[dict[str, str], ...] | list[Any], taint: Object) -> bool:
    """As Kubernetes' ToleratesTaint has it."""
    return any(
        one.get("effect") in (None, "", taint["effect"])
        and one.get("key") in (None, "", taint["key"])
        and (one.get("operator") == "Exists" or one.get("value", "") == taint["value"])
        for one in tolerations
    )


def gpu_groups(region: str) -> Iterator[tuple[PoolPlan, NodeGroupPlan]]:
    """Every group of GPU nodes that a region makes or marks."""
    for pool in plan_of(region).pools:
        if pool.gpus_per_node:
            yield from ((pool, group) for group in pool.groups)


def taints_of(group: NodeGroupPlan) -> list[Object]:
    return [{"key": t.key, "value": t.value, "effect": "NoSchedule"} for t in group.taints]


@pytest.mark.parametrize("add_on", ADD_ONS, ids=lambda one: one.name)
@pytest.mark.parametrize("region", [r for r in REGIONS if plan_of(r).pools])
def test_it_stands_on_every_gpu_node_on_demand_and_spot(region: str, add_on: AddOn) -> None:
    groups = list(gpu_groups(region))
    assert groups, "a region without GPUs proves nothing"
    for pool, group in groups:
        labels = node_labels(pool, group.capacity)
        assert not add_on.labels or set(add_on.labels) & set(labels.items()), (
            f"{add_on.source} would pass {pool.name} by: no pod would ever get a GPU"
        )
        for taint in taints_of(group):
            assert tolerates(add_on.tolerations, taint), f"{taint['key']} keeps it off {pool.name}"


@pytest.mark.parametrize("region", [r for r in REGIONS if plan_of(r).provider == "aws"])
def test_the_cluster_autoscaler_waits_for_gpus_that_are_still_to_come(region: str) -> None:
    # CA's AWS provider knows GPU nodes by this label (cloudprovider/aws/aws_cloud_provider.go,
    # GPULabel); without it a node whose GPUs are not there yet is ready, and short of GPUs.
    for pool, group in gpu_groups(region):
        assert node_labels(pool, group.capacity)["k8s.amazonaws.com/accelerator"]


def pods_on(machine: str, profile: Any) -> Iterator[Object]:
    """The specs of the model's and the agent's pods."""
    found = rendered(planned(a_model(machine_type=machine, cache="always"), profile=profile))
    for kind in ("Deployment", "DaemonSet"):
        for made in of_kind(kind, found):
            spec: Object = template(made)["spec"]
            if "nodeSelector" in spec:
                yield spec


@pytest.mark.parametrize(
    "taint",
    [
        ("nvidia.com/gpu", "present"),
        ("nvidia.com/gpu", "true"),
        ("isoserve.dev/machine-type", "gpu.l4.1"),
        ("dedicated", "ml"),
    ],
    ids=lambda one: "=".join(one),
)
def test_models_and_agents_stand_on_nodes_that_others_have_tainted(taint: tuple[str, str]) -> None:
    own = an_offer(4, taints=(Taint(key="dedicated", value="ml"),))
    profile = a_profile(machines={"gpu.l4.1": own})
    pods = list(pods_on("gpu.l4.1", profile))
    assert len(pods) == 2, "the model's and the agent's"
    for pod in pods:
        made = {"key": taint[0], "value": taint[1], "effect": "NoSchedule"}
        assert tolerates(pod.get("tolerations", []), made), "it would wait for ever"


def test_no_pod_stands_on_a_node_that_its_region_says_nothing_of() -> None:
    profile = a_profile(machines={"gpu.l4.1": an_offer(4)})
    stranger = {"key": "dedicated", "value": "web", "effect": "NoSchedule"}
    for pod in pods_on("gpu.l4.1", profile):
        assert not tolerates(pod.get("tolerations", []), stranger), "it is another team's"
