"""The machines of a region: those that always stand, and those that node groups ask for."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field

from regions.sandbox import autoscaler, engine, object_store, processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object, connect
from regions.sandbox.layout import AWS_REGIONS, kubeconfig_of
from regions.sandbox.node import groups as node_groups
from regions.sandbox.node.machine import LABEL, Machine
from regions.sandbox.node.network import Network, network_of

POLL_SECONDS: Final = 0.5
PODS_PER_NODE: Final = 250
_NODES: Final = "/api/v1/nodes"
_ZONE_LABEL: Final = "topology.kubernetes.io/zone"
_TYPE_LABEL: Final = "node.kubernetes.io/instance-type"
_GROUP_LABEL: Final = "eks.amazonaws.com/nodegroup"
_SIMULATED: Final = {"kwok.x-k8s.io/node": "fake"}
_EFFECTS: Final = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
}


class Size(BaseModel):
    """The size of one machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: Annotated[int, Field(gt=0)]
    memory_gib: Annotated[int, Field(gt=0)]
    ephemeral_gib: Annotated[int, Field(gt=0)]
    gpus: Annotated[int, Field(ge=0)] = 0
    gpu_product: str | None = None
    simulated: bool = True
    """Whether kwok says that its pods run; else they do, on a machine of node/machine.py. In a
    region without a network kwok has every machine that the cluster lacks."""


class StaticNode(Size):
    """A machine that always stands."""

    name: str
    zone: str
    instance_type: str | None = None


class Inventory(BaseModel):
    """The whole of nodes.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    static: Mapping[str, tuple[StaticNode, ...]]
    zones: Mapping[str, tuple[str, ...]]
    instance_types: Mapping[str, Size]


@dataclass(frozen=True, slots=True)
class _Member:
    """A machine that a node group asks for."""

    name: str
    size: Size
    labels: Mapping[str, str]
    taints: list[dict[str, str]]


@cache
def inventory() -> Inventory:
    """The machines of every region."""
    text = Path(__file__).with_name("nodes.yaml").read_text()
    return Inventory.model_validate(yaml.safe_load(text))


def stand_up(cluster: Cluster) -> str:
    """Create the region's static nodes that are missing, simulated.

    Those of `static_machines` join by themselves where the region has a network. Existing nodes are
    left alone: their machine-type labels and taints belong to Pulumi. Returns a note of how many
    stand.
    """
    has_machines = network_of(cluster.region) is not None
    standing = inventory().static[cluster.region]
    nodes = [one for one in standing if one.simulated or not has_machines]
    present = set(_by_name(cluster))
    missing = [static_node(node) for node in nodes if node.name not in present]
    if missing and engine.stack_file(cluster.region).exists():
        # What Pulumi put on a Node of that name went with it; only a refresh finds that out.
        engine.refresh_mark(cluster.region).touch()
    _apply_all(cluster, missing)
    return f"{len(nodes)} nodes, {len(missing)} new"


def static_machines(region: str) -> list[Machine]:
    """The standing machines that are real where the region has a network, numbered from 1."""
    real = [node for node in inventory().static[region] if not node.simulated]
    return [
        _machine(region, _Member(node.name, node, _static_labels(node), []), index)
        for index, node in enumerate(real, 1)
    ]


def static_node(node: StaticNode) -> Object:
    """A standing machine as a Node, without any machine-type label or taint."""
    return _node(_Member(node.name, node, _static_labels(node), []))


def _static_labels(node: StaticNode) -> dict[str, str]:
    labels = {_ZONE_LABEL: node.zone}
    if node.instance_type:
        labels[_TYPE_LABEL] = node.instance_type
    return labels


def group_nodes(region: str, group: Object) -> list[Object]:
    """The Nodes that an EKS node group, as AWS describes it, asks for.

    Raises SandboxError when its instance type isn't in nodes.yaml.
    """
    return [_node(member) for member in _members(region, group)]


def group_machines(region: str, group: Object) -> list[Machine]:
    """Those of them that are real where the region has a network, without a number yet.

    Raises SandboxError when the instance type isn't in nodes.yaml.
    """
    members = _members(region, group)
    return [_machine(region, member) for member in members if not member.size.simulated]


def _members(region: str, group: Object) -> list[_Member]:
    wanted_type = (group.get("instanceTypes") or ["t3.medium"])[0]
    size = inventory().instance_types.get(wanted_type)
    if size is None:
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
        _Member(
            f"{group['nodegroupName']}-{index:02d}",
            size,
            {
                **(group.get("labels") or {}),
                _ZONE_LABEL: zones[index % len(zones)],
                _TYPE_LABEL: wanted_type,
                _GROUP_LABEL: group["nodegroupName"],
                "eks.amazonaws.com/capacityType": group.get("capacityType") or "ON_DEMAND",
            },
            taints,
        )
        for index in range(group["scalingConfig"]["desiredSize"])
    ]


def _machine(region: str, member: _Member, index: int = 0) -> Machine:
    return Machine(
        region=region,
        index=index,
        name=member.name,
        cpu=member.size.cpu,
        memory_gib=member.size.memory_gib,
        labels=member.labels,
        taints=member.taints,
    )


def _node(member: _Member) -> Object:
    size = member.size
    capacity = {
        "cpu": str(size.cpu),
        "memory": f"{size.memory_gib}Gi",
        "ephemeral-storage": f"{size.ephemeral_gib}Gi",
        "pods": str(PODS_PER_NODE),
    }
    own = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": member.name,
    }
    if size.gpus:
        capacity["nvidia.com/gpu"] = str(size.gpus)
        own["nvidia.com/gpu.product"] = str(size.gpu_product)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": member.name,
            "labels": {**own, **member.labels},
            "annotations": _SIMULATED,
        },
        "spec": {"taints": member.taints} if member.taints else {},
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
    joined: set[str] = set()
    complaint = ""
    while True:
        try:
            groups = _groups(eks, name)
            applied = reconcile(cluster, groups, applied, network_of(region))
            joined = _grow(cluster, eks, name, groups, joined)
            complaint = ""
        except (SandboxError, ClientError, BotoCoreError, OSError, ValueError) as reason:
            # Once for every new complaint, not twice a second.
            if str(reason) != complaint:
                complaint = str(reason)
                print(complaint, flush=True)
        time.sleep(POLL_SECONDS)


def reconcile(
    cluster: Cluster, groups: list[Object], applied: dict[str, Object], network: Network | None
) -> dict[str, Object]:
    """Make, change and delete Nodes for the groups; returns by name those that now stand.

    `applied` is the answer of the round before: nodes in it aren't sent again. In a `network` real
    machines join and leave as the groups say, and their Nodes are their own.
    """
    region = cluster.region
    wanted = {
        node["metadata"]["name"]: node for group in groups for node in group_nodes(region, group)
    }
    if network:
        machines = [one for group in groups for one in group_machines(region, group)]
        node_groups.keep(cluster, network, machines)
        for one in machines:
            del wanted[one.name]
    if wanted == applied and applied:
        return applied
    _apply_all(cluster, (node for name, node in wanted.items() if applied.get(name) != node))
    for name, node in _by_name(cluster).items():
        labels = node["metadata"].get("labels", {})
        if _GROUP_LABEL in labels and LABEL not in labels and name not in wanted:
            cluster.delete(f"{_NODES}/{name}")
    return wanted


def _grow(
    cluster: Cluster, eks: Any, name: str, groups: list[Object], before: set[str]
) -> set[str]:
    """Grow the groups of waiting pods; the names of the nodes that have joined.

    Those that had not done so `before` do not count yet: the scheduler has only just seen them.
    """
    nodes = _by_name(cluster)
    now = {one for one, node in nodes.items() if has_joined(node)}
    of_group = (nodes[one]["metadata"]["labels"].get(_GROUP_LABEL, "") for one in now & before)
    pods = (cluster.get("/api/v1/pods?fieldSelector=status.phase=Pending") or {}).get("items", [])
    autoscaler.grow(eks, name, autoscaler.wanted_sizes(pods, groups, Counter(of_group)))
    return now


def has_joined(node: Object) -> bool:
    """Whether pods may come to it or could once: a machine is not ready as soon as it starts.

    One that was lost since counts, so that its group grows for what waits because of that.
    """
    conditions = node.get("status", {}).get("conditions") or ()
    ready = {one["status"] for one in conditions if one["type"] == "Ready"}
    taints = {one["key"] for one in node["spec"].get("taints") or ()}
    return bool(ready & {"True", "Unknown"}) and "node.kubernetes.io/not-ready" not in taints


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
