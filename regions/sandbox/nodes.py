"""The machines of a region: those that always stand, and those that node groups ask for."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field

from regions.sandbox import autoscaler, engine, node_agents, object_store, processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object, connect
from regions.sandbox.layout import AWS_REGIONS, kubeconfig_of

POLL_SECONDS: Final = 0.5
PODS_PER_NODE: Final = 250
_NODES: Final = "/api/v1/nodes"
_GROUP_LABEL: Final = "eks.amazonaws.com/nodegroup"
_SIMULATED: Final = {"kwok.x-k8s.io/node": "fake"}
_EFFECTS: Final = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
}


class Machine(BaseModel):
    """The size of one machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: Annotated[int, Field(gt=0)]
    memory_gib: Annotated[int, Field(gt=0)]
    ephemeral_gib: Annotated[int, Field(gt=0)]
    gpus: Annotated[int, Field(ge=0)] = 0
    gpu_product: str | None = None
    simulated: bool = True
    """Whether kwok says that its pods run; else they do, as processes of this machine."""


class StaticNode(Machine):
    """A machine that always stands."""

    name: str
    zone: str
    instance_type: str | None = None


class Inventory(BaseModel):
    """The whole of nodes.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    static: Mapping[str, tuple[StaticNode, ...]]
    zones: Mapping[str, tuple[str, ...]]
    instance_types: Mapping[str, Machine]


@cache
def inventory() -> Inventory:
    """The simulated machines of every region."""
    text = Path(__file__).with_name("nodes.yaml").read_text()
    return Inventory.model_validate(yaml.safe_load(text))


def stand_up(cluster: Cluster) -> str:
    """Create the region's static nodes that are missing, start the agents of all process nodes.

    Existing nodes are left alone: their machine-type labels and taints belong to Pulumi. Returns a
    note of how many stand.
    """
    nodes = inventory().static[cluster.region]
    present = set(_by_name(cluster))
    missing = [static_node(node) for node in nodes if node.name not in present]
    if missing and engine.stack_file(cluster.region).exists():
        # What Pulumi put on a Node of that name went with it; only a refresh finds that out.
        engine.refresh_mark(cluster.region).touch()
    _apply_all(cluster, missing)
    agents = node_agents.start(cluster.region, _by_name(cluster).values())
    return f"{len(nodes)} nodes, {len(missing)} new, {agents} agents started"


def static_node(node: StaticNode) -> Object:
    """A standing machine as a Node, without any machine-type label or taint."""
    labels = {"topology.kubernetes.io/zone": node.zone}
    if node.instance_type:
        labels["node.kubernetes.io/instance-type"] = node.instance_type
    return _node(node.name, node, labels, taints=[])


def group_nodes(region: str, group: Object) -> list[Object]:
    """The Nodes that an EKS node group, as AWS describes it, asks for.

    Raises SandboxError when its instance type isn't in nodes.yaml.
    """
    wanted_type = (group.get("instanceTypes") or ["t3.medium"])[0]
    machine = inventory().instance_types.get(wanted_type)
    if machine is None:
        known = ", ".join(inventory().instance_types)
        raise SandboxError(
            f"node group {group['nodegroupName']}: instance type {wanted_type} isn't simulated; "
            f"add it to regions/sandbox/nodes.yaml (it has {known})"
        )
    zones = inventory().zones[region]
    taints = [
        {"key": one["key"], "value": one.get("value", ""), "effect": _EFFECTS[one["effect"]]}
        for one in group.get("taints") or ()
    ]
    return [
        _node(
            f"{group['nodegroupName']}-{index:02d}",
            machine,
            {
                **(group.get("labels") or {}),
                "topology.kubernetes.io/zone": zones[index % len(zones)],
                "node.kubernetes.io/instance-type": wanted_type,
                _GROUP_LABEL: group["nodegroupName"],
                "eks.amazonaws.com/capacityType": group.get("capacityType") or "ON_DEMAND",
            },
            taints,
        )
        for index in range(group["scalingConfig"]["desiredSize"])
    ]


def _node(
    name: str, machine: Machine, labels: Mapping[str, str], taints: list[dict[str, str]]
) -> Object:
    capacity = {
        "cpu": str(machine.cpu),
        "memory": f"{machine.memory_gib}Gi",
        "ephemeral-storage": f"{machine.ephemeral_gib}Gi",
        "pods": str(PODS_PER_NODE),
    }
    own = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
    }
    if machine.gpus:
        capacity["nvidia.com/gpu"] = str(machine.gpus)
        own["nvidia.com/gpu.product"] = str(machine.gpu_product)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**own, **labels},
            "annotations": _SIMULATED if machine.simulated else node_agents.marks(),
        },
        "spec": {"taints": taints} if taints else {},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def _by_name(cluster: Cluster) -> dict[str, Object]:
    items = (cluster.get(_NODES) or {}).get("items", [])
    return {item["metadata"]["name"]: item for item in items}


def _apply_all(cluster: Cluster, nodes: Iterable[Object]) -> None:
    def apply(node: Object) -> None:
        path = f"{_NODES}/{node['metadata']['name']}"
        cluster.apply(path, {key: node[key] for key in node if key != "status"})
        # Capacity is of the status: the API ignores it in the object itself.
        head = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node["metadata"]["name"]}}
        cluster.apply(path, {**head, "status": node["status"]}, subresource="status")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(apply, nodes))


def join(region: str) -> None:
    """Keep the cluster's Nodes equal to what its node groups ask for, until ended.

    Stands in for EC2, EKS and the cluster autoscaler. What goes wrong is written down, then tried
    again.
    """
    cluster = connect(region, kubeconfig_of(region))
    eks = object_store.client("eks")
    name = object_store.cluster_name(region)
    applied: dict[str, Object] = {}
    complaint = ""
    while True:
        try:
            groups = _groups(eks, name)
            applied = reconcile(cluster, groups, applied)
            _grow(cluster, eks, name, groups, applied)
            complaint = ""
        except (SandboxError, ClientError, BotoCoreError) as reason:
            # Once for every new complaint, not twice a second.
            if str(reason) != complaint:
                complaint = str(reason)
                print(complaint, flush=True)
        time.sleep(POLL_SECONDS)


def reconcile(
    cluster: Cluster, groups: list[Object], applied: dict[str, Object]
) -> dict[str, Object]:
    """Make, change and delete Nodes for the groups; returns what now stands by name.

    `applied` is the answer of the round before: nodes in it aren't sent again.
    """
    wanted = {
        node["metadata"]["name"]: node
        for group in groups
        for node in group_nodes(cluster.region, group)
    }
    if wanted == applied and applied:
        return applied
    new = [node for name, node in wanted.items() if applied.get(name) != node]
    _apply_all(cluster, new)
    node_agents.start(cluster.region, new)
    for name, node in _by_name(cluster).items():
        if _GROUP_LABEL in node["metadata"].get("labels", {}) and name not in wanted:
            cluster.delete(f"{_NODES}/{name}")
    return wanted


def _grow(
    cluster: Cluster, eks: Any, name: str, groups: list[Object], joined: Mapping[str, Object]
) -> None:
    pods = (cluster.get("/api/v1/pods?fieldSelector=status.phase=Pending") or {}).get("items", [])
    of_group = Counter(node["metadata"]["labels"][_GROUP_LABEL] for node in joined.values())
    autoscaler.grow(eks, name, autoscaler.wanted_sizes(pods, groups, of_group))


def _groups(eks: Any, cluster_name: str) -> list[Object]:
    names = eks.list_nodegroups(clusterName=cluster_name)["nodegroups"]
    described = (
        eks.describe_nodegroup(clusterName=cluster_name, nodegroupName=name) for name in names
    )
    return [answer["nodegroup"] for answer in described]


def daemon(region: str) -> str:
    """The name of the process that joins the region's nodes."""
    return f"{region}.nodes"


def start_joining(region: str) -> None:
    """Start the daemon of an AWS-shaped region; the others have static nodes only."""
    if region in AWS_REGIONS:
        argv = [sys.executable, "-m", "regions.sandbox.nodes", "join", region]
        processes.start(daemon(region), argv, processes.python_env())


def stop_joining(region: str) -> bool:
    """End the region's daemon; whether it ran."""
    return processes.stop(daemon(region))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "join" or sys.argv[2] not in AWS_REGIONS:
        sys.exit(f"usage: python -m regions.sandbox.nodes join {{{'|'.join(AWS_REGIONS)}}}")
    join(sys.argv[2])
