"""EKS node groups as real machines: they join with what the group says, and leave by a drain."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config

from components.kube import Object
from regions.sandbox.node.network import Network, machines_of
from tests.engine.real_region import RealRegion, eventually, python_pod, real_region
from tests.engine.remains import groups_named
from tests.engine.site import has_condition

pytestmark = pytest.mark.engine

REGION: Final = "sandbox-aws"
GROUP: Final = "isoserve-cpu"
FIRST, SECOND = f"{GROUP}-00", f"{GROUP}-01"
TEAM: Final = {"key": "team", "value": "search", "effect": "NO_SCHEDULE"}
TOLERATION: Final = {"key": "team", "operator": "Exists"}
HOSTNAME: Final = "kubernetes.io/hostname"
_BEFORE: Final = """
from regions.sandbox import object_store, ports
ports.choose_ports(anything_runs=False)
object_store.start()
"""
_JOIN: Final = """
from regions.sandbox import nodes
nodes.start_joining("{region}")
"""
_END: Final = """
from regions.sandbox import nodes, object_store
nodes.stop_joining("{region}")
object_store.stop()
"""
_WAITS: Final = "import signal; signal.pause()"


@dataclass(frozen=True, slots=True)
class Groups:
    """A region whose daemon makes the machines of node groups, and the EKS API of its AWS."""

    region: RealRegion
    eks: Any

    def resize(self, size: int) -> None:
        self.change(scalingConfig={"desiredSize": size})

    def change(self, **fields: Any) -> None:
        self.eks.update_nodegroup_config(**self.names, **fields)

    def size(self, group: str) -> int:
        """The desired size of a group."""
        names = self.names | {"nodegroupName": group}
        found = self.eks.describe_nodegroup(**names)["nodegroup"]
        return int(found["scalingConfig"]["desiredSize"])

    @property
    def names(self) -> dict[str, str]:
        (cluster,) = self.eks.list_clusters()["clusters"]
        return {"clusterName": cluster, "nodegroupName": GROUP}

    def node(self, name: str) -> Object | None:
        return self.region.cluster.get(f"/api/v1/nodes/{name}")

    def ready(self, name: str) -> Object:
        def look() -> Object | None:
            node = self.node(name)
            return node if node and has_condition(node, "Ready") else None

        return eventually(look, f"node {name} is ready", seconds=180)

    def running(self, pod: str) -> str:
        """The machine on which a pod of the project `search` is ready."""

        def look() -> str | None:
            found = self.region.pod("search", pod)
            return found["spec"]["nodeName"] if has_condition(found, "Ready") else None

        return eventually(look, f"{pod} is ready", seconds=120)

    def gone(self, name: str) -> None:
        """Wait until nothing tells of the machine any more: its record goes last."""

        def look() -> bool | None:
            return (self.node(name) is None and not self.record(name).exists()) or None

        eventually(look, f"machine {name} is gone", seconds=180)

    def record(self, name: str) -> Path:
        return self.region.home / "group-machines" / f"{name}.json"

    def index(self, name: str) -> int:
        return int(json.loads(self.record(name).read_text())["index"])

    def left_of(self, name: str, index: int) -> dict[str, list[Any]]:
        """What is there of a machine, by kind."""
        network, root = Network(self.region.number), self.region.world.root
        space, home = network.machine_namespace(index), self.region.home
        routes = self.region.world.run("ip", "-n", network.name, "route").stdout.splitlines()
        files = [home / "machines" / name, *home.glob(f"certs/kubelet-{index}.*")]
        return {
            "namespaces": [one for one in machines_of(network) if one == index],
            "routes": [line for line in routes if network.pod_range(index) in line],
            "control groups": groups_named([space]),
            "files": [path for path in files if path.exists()],
            "processes": [
                line for line in self.region.world.processes() if f"{root}" in line and name in line
            ],
        }

    def kill_daemon(self) -> None:
        """End the daemon as a crash would."""
        path = self.region.world.root / ".isoserve" / "run" / f"{REGION}.nodes.pid"
        os.kill(int(path.read_text().split()[0]), signal.SIGKILL)

    def start_daemon(self) -> None:
        """What a second `up` does."""
        self.region.run_program(_JOIN)


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Groups]:
    """The group has one machine."""
    root = tmp_path_factory.mktemp("groups") / "tree"
    with real_region(root, ("system-01",), REGION, _BEFORE) as region:
        try:
            region.run_program(_JOIN)
            made = Groups(region, _eks(root))
            made.eks.create_nodegroup(
                **made.names,
                scalingConfig={"minSize": 0, "maxSize": 4, "desiredSize": 1},
                subnets=["subnet-sandbox-a"],
                instanceTypes=["c7i.4xlarge"],
                nodeRole="arn:aws:iam::123456789012:role/nodes",
                labels={"isoserve.dev/machine-type": "cpu.4", "old": "1"},
                taints=[TEAM],
            )
            made.ready(FIRST)
            yield made
        finally:
            region.run_program(_END)
            network = Network(region.number)
    assert machines_of(network) == [], "machines of groups end with their region"


def test_a_machine_joins_with_what_its_group_says(groups: Groups) -> None:
    node = groups.ready(FIRST)
    assert (
        node["metadata"]["labels"].items()
        >= {
            "isoserve.dev/machine-type": "cpu.4",
            "eks.amazonaws.com/nodegroup": GROUP,
            "eks.amazonaws.com/capacityType": "ON_DEMAND",
            "node.kubernetes.io/instance-type": "c7i.4xlarge",
            "topology.kubernetes.io/zone": "us-east-1a",
        }.items()
    ), "pods select by these"
    assert ours(node) == [{"key": "team", "value": "search", "effect": "NoSchedule"}]
    size = [node["status"]["capacity"][name] for name in ("cpu", "memory")]
    assert size == ["16", "32Gi"], "that of its type, whatever this host has"
    runtime = node["status"]["nodeInfo"]["containerRuntimeVersion"]
    assert runtime.startswith("containerd://"), "a kubelet says so, no imitation of ours"


def test_a_changed_label_and_taint_reach_a_living_machine(groups: Groups) -> None:
    other = {"key": "somebody", "value": "else", "effect": "PreferNoSchedule"}
    node = groups.ready(FIRST)
    patch = {"spec": {"taints": [*node["spec"].get("taints", ()), other]}}
    merge = "application/merge-patch+json"
    groups.region.cluster.send("PATCH", f"/api/v1/nodes/{FIRST}", patch, merge)
    groups.change(
        labels={"addOrUpdateLabels": {"new": "2"}, "removeLabels": ["old"]},
        taints={"addOrUpdateTaints": [TEAM | {"value": "chat"}]},
    )

    def look() -> Object | None:
        node = groups.ready(FIRST)
        return node if node["metadata"]["labels"].get("new") == "2" else None

    node = eventually(look, "the label is there", seconds=30)
    assert "old" not in node["metadata"]["labels"], "what the group has no more is taken away"
    assert {one["value"] for one in ours(node)} == {"else", "chat"}, "a stranger's taint stays"


def test_a_second_machine_joins_and_leaves_by_a_drain_although_the_daemon_is_killed(
    groups: Groups,
) -> None:
    first = groups.ready(FIRST)["metadata"]["uid"]
    groups.resize(2)
    groups.ready(SECOND)
    index = groups.index(SECOND)
    assert index != groups.index(FIRST), "each has a number of its own"
    guarded_pods(groups)
    there = groups.left_of(SECOND, index)
    assert all(there.values()), f"this is what a machine has: {there}"
    groups.kill_daemon()
    groups.resize(1)
    groups.start_daemon()

    def cordoned() -> bool | None:
        node = groups.node(SECOND)
        return node is None or node["spec"].get("unschedulable") or None

    eventually(cordoned, "no new pod comes to it", seconds=60)
    assert groups.node(SECOND), "its pod may not leave before the other one serves"
    groups.kill_daemon()
    groups.region.cluster.apply(*budget(0))
    groups.start_daemon()
    groups.gone(SECOND)
    left = groups.left_of(SECOND, index)
    assert not any(left.values()), f"the host is as it was before it came: {left}"
    assert groups.ready(FIRST)["metadata"]["uid"] == first, "the other machine never noticed"
    moved = pods(groups)
    assert {pod["spec"]["nodeName"] for pod in moved} == {FIRST}, "its pod runs elsewhere"


def test_a_group_grows_by_one_machine_for_a_pod_that_no_machine_takes(groups: Groups) -> None:
    for name in ("cpu-1", "cpu-2"):
        groups.region.make("pods", lone_pod(name, "cpu.4"))
    places = {groups.running("cpu-1"), groups.running("cpu-2")}
    assert places == {FIRST, SECOND}, "one came for the pod that had no place"
    assert groups.size(GROUP) == 2, "one waiting pod, one machine"


def test_a_simulated_group_grows_beside_it(groups: Groups) -> None:
    groups.eks.create_nodegroup(
        **groups.names | {"nodegroupName": "isoserve-gpu"},
        scalingConfig={"minSize": 0, "maxSize": 4, "desiredSize": 0},
        subnets=["subnet-sandbox-a"],
        instanceTypes=["g6.xlarge"],
        nodeRole="arn:aws:iam::123456789012:role/nodes",
        labels={"isoserve.dev/machine-type": "gpu.l4.1"},
    )
    for index, name in enumerate(("gpu-1", "gpu-2")):
        groups.region.make("pods", lone_pod(name, "gpu.l4.1"))
        assert groups.running(name) == f"isoserve-gpu-{index:02d}", "kwok has these"
    assert groups.size("isoserve-gpu") == 2, "a node that has come is not bought twice"
    assert machines_of(Network(groups.region.number)) == sorted(
        [1, groups.index(FIRST), groups.index(SECOND)]
    ), "no real machine stands for a GPU"


def test_a_dead_machine_of_a_group_is_started_again_as_the_same_node(groups: Groups) -> None:
    before = groups.ready(FIRST)["metadata"]["uid"]
    index = groups.index(FIRST)
    path = groups.region.world.root / ".isoserve" / "run" / f"{REGION}.machine-{index}.pid"
    pid, *_ = path.read_text().split()
    os.kill(int(pid), signal.SIGKILL)

    def look() -> bool | None:
        return (path.exists() and path.read_text().split()[0] != pid) or None

    assert eventually(look, "it runs again", seconds=180)
    began = renewed(groups)
    assert eventually(lambda: renewed(groups) != began or None, "its kubelet says so", seconds=180)
    groups.start_daemon()
    groups.region.start()
    assert groups.ready(FIRST)["metadata"]["uid"] == before, "its Node and its disk are the same"
    assert groups.index(FIRST) == index, "a second `up` leaves it alone"


def renewed(groups: Groups) -> str | None:
    """When its kubelet was heard of; a Node stays Ready for a while without."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{FIRST}"
    found = groups.region.cluster.get(path)
    return str(found["spec"]["renewTime"]) if found else None


def ours(node: Object) -> list[Object]:
    """The taints that Kubernetes did not set by itself."""
    taints: list[Object] = node["spec"].get("taints", [])
    return [one for one in taints if not one["key"].startswith("node.kubernetes.io/")]


def lone_pod(name: str, machine_type: str) -> Object:
    """A pod that shares its node with no other of the machine type."""
    alike = {"matchLabels": {"on": machine_type}}
    terms = [{"labelSelector": alike, "topologyKey": HOSTNAME}]
    pod = python_pod(
        "search",
        name,
        _WAITS,
        nodeSelector={"isoserve.dev/machine-type": machine_type},
        tolerations=[TOLERATION],
        affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
    )
    pod["metadata"]["labels"] = alike["matchLabels"]
    return pod


def guarded_pods(groups: Groups) -> None:
    """A Deployment with one pod, which is on the second machine, and a budget that keeps it."""
    second = {"key": "metadata.name", "operator": "In", "values": [SECOND]}
    preferred = [{"weight": 100, "preference": {"matchFields": [second]}}]
    pod = python_pod(
        "search",
        "server",
        _WAITS,
        restartPolicy="Always",
        tolerations=[TOLERATION],
        nodeSelector={"eks.amazonaws.com/nodegroup": GROUP},
        affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}},
    )
    groups.region.make(
        "deployments",
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"namespace": "search", "name": "server"},
            "spec": {
                "selector": {"matchLabels": {"app": "server"}},
                "template": {"metadata": {"labels": {"app": "server"}}, "spec": pod["spec"]},
            },
        },
    )
    groups.region.cluster.apply(*budget(1))

    def look() -> bool | None:
        return all(has_condition(pod, "Ready") for pod in pods(groups)) or None

    eventually(look, "the pod is ready", seconds=180)
    assert [pod["spec"]["nodeName"] for pod in pods(groups)] == [SECOND]


def pods(groups: Groups) -> list[Object]:
    """Those of the Deployment that have a node and do not end."""
    path = "/api/v1/namespaces/search/pods?labelSelector=app%3Dserver"

    def look() -> list[Object] | None:
        found = groups.region.cluster.get(path)
        assert found is not None
        living = [one for one in found["items"] if "deletionTimestamp" not in one["metadata"]]
        return living if living and all("nodeName" in one["spec"] for one in living) else None

    return eventually(look, "the pods have nodes", seconds=60)


def budget(available: int) -> tuple[str, Object]:
    """A PodDisruptionBudget for the Deployment, and its path."""
    path = "/apis/policy/v1/namespaces/search/poddisruptionbudgets/server"
    return path, {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"namespace": "search", "name": "server"},
        "spec": {"minAvailable": available, "selector": {"matchLabels": {"app": "server"}}},
    }


def _eks(root: Path) -> Any:
    port = json.loads((root / ".isoserve" / "sandbox.json").read_text())["moto"]
    return boto3.client(
        "eks",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
        config=Config(proxies={}),
    )
