"""Where the real scheduler puts pods of spot nodes, with the fallback and without.

One region's control plane; its nodes are simulated by kwok, its scheduler is Kubernetes' own. No
node autoscaler runs: the nodes it would add are made by the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from components.kube import Object
from model_specs.load import Model
from model_specs.names import LABEL_CAPACITY, LABEL_MACHINE
from regions.sandbox.kube import Cluster
from tests.engine.lone_server import lone_server
from tests.engine.site import until
from tests.engine.world import path_of
from tests.examples import a_model, a_profile, an_offer, planned, rendered

pytestmark = pytest.mark.engine

KINDS: Final = ("Namespace", "PriorityClass", "ServiceAccount", "Deployment")
SIZE: Final = {
    "cpu": "64", "ephemeral-storage": "900Gi", "memory": "256Gi", "nvidia.com/gpu": "2",
    "pods": "110",
}  # fmt: skip
PROFILE: Final = a_profile(machines={"gpu.l4.1": an_offer(9, 9)})
STAYS, FALLS = (
    a_model(
        name=name,
        cache="never",
        scaling={"min": 1, "max": 2},
        capacity={"spot": True, "on_demand_base": 0, "spot_fallback": fallback},
    )
    for name, fallback in (("stays", "none"), ("falls", "on_demand"))
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane without nodes."""
    with lone_server(tmp_path_factory.mktemp("spot") / "tree", "sandbox-aws") as world:
        found = world.cluster("sandbox-aws")
        for kind in KINDS[:-1]:
            for made in rendered(planned(STAYS, FALLS, profile=PROFILE)):
                if made["kind"] == kind and made["metadata"].get("namespace", "search") == "search":
                    found.apply(path_of(made), made)
        yield found


def add_node(cluster: Cluster, capacity: str) -> None:
    """A node as a node group of `capacity` gives it: its labels, and a GPU pool's one taint."""
    head = {"apiVersion": "v1", "kind": "Node"}
    labels = {LABEL_MACHINE: "gpu.l4.1", LABEL_CAPACITY: capacity}
    path, name = f"/api/v1/nodes/{capacity.replace('_', '-')}", capacity.replace("_", "-")
    metadata = {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}}
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    cluster.apply(path, {**head, "metadata": metadata, "spec": {"taints": [taint]}})
    status = {"capacity": SIZE, "allocatable": SIZE}
    cluster.apply(
        path, {**head, "metadata": {"name": name}, "status": status}, subresource="status"
    )


def start(cluster: Cluster, model: Model) -> None:
    """One pod of the model's spot track."""
    made = rendered(planned(model, profile=PROFILE))
    (track,) = [one for one in made if one["metadata"]["name"] == f"{model.name}-spot"
                and one["kind"] == "Deployment"]  # fmt: skip
    cluster.apply(path_of(track), track)


def pods(cluster: Cluster, model: Model) -> list[Object]:
    """The model's pods."""
    select = f"labelSelector=isoserve.dev/model%3D{model.name}"
    found = cluster.get(f"/api/v1/namespaces/search/pods?{select}")
    return list((found or {})["items"])


def places(cluster: Cluster, model: Model) -> list[str]:
    """The nodes of the model's pods; empty where the scheduler has found none."""
    return [pod["spec"].get("nodeName", "") for pod in pods(cluster, model)]


def is_refused(cluster: Cluster, model: Model) -> bool:
    """Whether the scheduler has looked at the model's pod and found no node."""
    told: list[Any] = [c for p in pods(cluster, model) for c in p["status"].get("conditions", ())]
    return any(c["type"] == "PodScheduled" and c.get("reason") == "Unschedulable" for c in told)


def test_without_spot_nodes_only_who_falls_back_runs(cluster: Cluster) -> None:
    add_node(cluster, "on_demand")
    start(cluster, FALLS)
    start(cluster, STAYS)
    until("the fallback stands", lambda: places(cluster, FALLS) == ["on-demand"])
    until("the scheduler has refused the other", lambda: is_refused(cluster, STAYS))
    assert places(cluster, STAYS) == [""], "it asked for spot nodes alone"


def test_a_spot_node_that_comes_back_is_preferred_and_moves_nobody(cluster: Cluster) -> None:
    add_node(cluster, "spot")
    until("who waited runs", lambda: places(cluster, STAYS) == ["spot"])
    assert places(cluster, FALLS) == ["on-demand"], "a pod stays where it runs"
    (pod,) = pods(cluster, FALLS)
    name = pod["metadata"]["name"]
    cluster.delete(f"/api/v1/namespaces/search/pods/{name}")
    until(
        "its successor prefers the spot node, free GPUs on both",
        lambda: "spot" in places(cluster, FALLS),
    )
