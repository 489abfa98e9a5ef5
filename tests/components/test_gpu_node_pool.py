"""Listed nodes carry the labels and taints that pods of their machine type look for."""

from __future__ import annotations

import pytest

from components.gpu_node_pool import node_labels, objects
from tests.examples import REGIONS, identity, objects_of, of_kind, plan_of, profiles, selects

METAL = [
    region
    for region in REGIONS
    if profiles()[region].provider == "on_prem" and plan_of(region).pools
]
every_metal = pytest.mark.parametrize("region", METAL)


@every_metal
def test_every_listed_node_is_marked_once(region: str) -> None:
    names = [identity(made).name for made in of_kind("Node", objects_of(region))]
    wanted = [name for pool in plan_of(region).pools for name in pool.node_names]
    assert sorted(names) == sorted(wanted), "an unmarked node stays empty"
    assert len(names) == len(set(names)), "one node is of one machine type"


@every_metal
def test_only_labels_and_taints_are_ours(region: str) -> None:
    for made in of_kind("Node", objects_of(region)):
        assert set(made) <= {"apiVersion", "kind", "metadata", "spec"}
        assert set(made.get("spec", {})) <= {"taints"}, "the kubelet owns everything else"
        assert "namespace" not in made["metadata"]


@every_metal
def test_every_pod_finds_a_marked_node_that_lets_it_in(region: str) -> None:
    plan = plan_of(region)
    nodes = of_kind("Node", objects_of(region))
    placements = [track.placement for server in plan.servers for track in server.tracks]
    placements += [job.placement for job in plan.jobs]
    for placement in placements:
        tolerated = {(t.key, t.value) for t in placement.tolerations}
        fitting = [
            node
            for node in nodes
            if selects(placement.node_selector, node["metadata"]["labels"])
            and all(
                {(t["key"], t["value"]), (t["key"], "")} & tolerated
                for t in node.get("spec", {}).get("taints", ())
            )
        ]
        assert fitting, f"{placement.machine_type}: no node takes the pod"


@every_metal
def test_gpu_nodes_keep_other_pods_away_and_others_do_not(region: str) -> None:
    for pool in plan_of(region).pools:
        for made in objects(pool):
            taints = made.get("spec", {}).get("taints", [])
            assert bool(taints) == bool(pool.gpus_per_node), (
                "an untainted GPU node fills with web pods"
            )
            assert {taint["effect"] for taint in taints} <= {"NoSchedule"}, (
                "NoExecute would throw out what runs there already"
            )


def test_a_pool_of_instances_has_no_nodes_of_its_own() -> None:
    for pool in plan_of("sandbox-aws").pools:
        assert objects(pool) == [], "EKS makes and labels them"


@pytest.mark.parametrize("capacity", ["on_demand", "spot"])
def test_labels_are_the_same_whoever_puts_them_there(capacity: str) -> None:
    (pool,) = (p for p in plan_of("sandbox-aws").pools if p.machine_type == "gpu.l4.1")
    assert node_labels(pool, capacity) == {
        "isoserve.dev/capacity": capacity,
        "isoserve.dev/machine-type": "gpu.l4.1",
        "k8s.amazonaws.com/accelerator": "nvidia-l4",
        "nvidia.com/gpu.present": "true",
    }
