"""A control plane with process nodes for one test file, and the pods that its tests put there."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from components.kube import Object
from regions.sandbox.kube import Cluster
from regions.sandbox.process_node.container import end_leftovers
from tests.engine.world import World, copy_tree

REGION: Final = "sandbox-aws"
NODE: Final = "machine-1"
PODS: Final = "/api/v1/namespaces/default/pods"
ACCOUNTS: Final = "/api/v1/namespaces/default/serviceaccounts"
IMAGE: Final = "registry.example.com/isoserve/prober@sha256:" + "0" * 64
"""Any image that a process node knows: the pods here say themselves what is run."""
LIMIT_SECONDS: Final = 40
START: Final = """
from regions.sandbox import control_plane
from regions.sandbox.networks import choose_networks
from regions.sandbox.ports import choose_ports
choose_ports(anything_runs=False)
choose_networks(anything_runs=False)
control_plane.start(control_plane.on_loopback("sandbox-aws"))
"""
STOP: Final = "from regions.sandbox import control_plane; control_plane.stop('sandbox-aws')"


class Bench:
    """A control plane, and whatever nodes and pods a test puts on it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cluster: Cluster = world.cluster(REGION)
        self.agents: list[subprocess.Popen[bytes]] = []

    def home(self, node: str = NODE) -> Path:
        return self.world.root / ".isoserve" / REGION / "nodes" / node

    def network(self) -> str:
        chosen = json.loads((self.world.root / ".isoserve" / "networks.json").read_text())
        return f"127.{chosen[REGION]}"

    def add_node(self, name: str) -> None:
        path = f"/api/v1/nodes/{name}"
        head = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        size = {"cpu": "8", "memory": "16Gi", "pods": "250", "ephemeral-storage": "50Gi"}
        self.cluster.apply(path, head)
        status = {"status": {"capacity": size, "allocatable": size}}
        self.cluster.apply(path, head | status, subresource="status")

    def begin_agent(self, node: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "regions.sandbox.process_node", REGION, node]
        with (self.world.root / f"{node}.log").open("ab") as log:
            agent = subprocess.Popen(argv, cwd=self.world.root, stdout=log, stderr=log)
        self.agents.append(agent)
        self.until(
            lambda: "True" in self.condition(f"/api/v1/nodes/{node}", "Ready"),
            f"node {node} is ready",
        )
        return agent

    def condition(self, path: str, kind: str) -> str:
        found = (self.cluster.get(path) or {}).get("status", {}).get("conditions", ())
        return "".join(one["status"] for one in found if one["type"] == kind)

    def run(self, name: str, script: str, *, node: str = NODE, **more: Any) -> str:
        """Create a pod whose container runs a shell script; its path."""
        own = {key: more.pop(key) for key in list(more) if key in _OF_CONTAINER}
        annotations, finalizers = more.pop("annotations", {}), more.pop("finalizers", [])
        made = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": annotations, "finalizers": finalizers},
            "spec": pod_spec(node, container("main", script, **own), **more),
        }
        answer = self.cluster.session.post(f"{self.cluster.url}{PODS}", json=made, timeout=10)
        assert answer.status_code == 201, answer.text
        return f"{PODS}/{name}"

    def pod(self, path: str) -> Object:
        found = self.cluster.get(path)
        assert found is not None, f"{path} is there"
        return found

    def main(self, path: str) -> Object:
        """The status of the pod's first container; empty before there is one."""
        rows = self.pod(path).get("status", {}).get("containerStatuses") or [{}]
        return dict(rows[0])

    def log(self, name: str, of: str = "main", node: str = NODE) -> str:
        path = self.home(node) / "logs" / f"default_{name}_{of}.log"
        return path.read_text() if path.exists() else ""

    def events(self, name: str) -> set[str]:
        items = (self.cluster.get("/api/v1/namespaces/default/events") or {})["items"]
        return {e["reason"] for e in items if e["involvedObject"]["name"] == name}

    def phase(self, path: str) -> str:
        return str(self.pod(path).get("status", {}).get("phase"))

    def remove(self, path: str) -> None:
        self.cluster.delete(path)

    def until(self, holds: Callable[[], Any], reason: str) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"never: {reason}\n{self.trouble()}"
            time.sleep(0.05)

    def trouble(self) -> str:
        logs = sorted(self.world.root.glob("*.log"))
        return "\n".join(f"{log.name}:\n{log.read_text()[-3000:]}" for log in logs)


_OF_CONTAINER: Final = (
    "args", "env", "lifecycle", "livenessProbe", "ports", "readinessProbe", "resources",
    "startupProbe", "volumeMounts",
)  # fmt: skip


def container(name: str, script: str, **more: Any) -> Object:
    return {"name": name, "image": IMAGE, "command": ["/bin/sh", "-c", script], **more}


def pod_spec(node: str, main: Object, **more: Any) -> Object:
    return {
        "automountServiceAccountToken": False,
        "containers": [main],
        "nodeName": node,
        "terminationGracePeriodSeconds": 1,
        **more,
    }


def processes_with(words: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if words in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                    found.append(int(entry.name))
    return found


RECORD: Final[dict[str, Any]] = {"volumeMounts": [{"mountPath": "/record", "name": "record"}]}


def record_of(name: str) -> list[Object]:
    """A folder on the node's disk, which outlives the pod."""
    path = {"path": f"/records/{name}", "type": "DirectoryOrCreate"}
    return [{"name": "record", "hostPath": path}]


@contextlib.contextmanager
def a_bench(root: Path) -> Iterator[Bench]:
    """A control plane of its own with one node, in a copy of the tree; nothing of it stays."""
    world = copy_tree(root)
    made: Bench | None = None
    try:
        begun = world.run(sys.executable, "-c", START)
        assert begun.returncode == 0, begun.stderr
        made = Bench(world)
        made.add_node(NODE)
        made.begin_agent(NODE)
        account = f"{ACCOUNTS}/default"
        made.until(lambda: made and made.cluster.get(account), "there is a default account")
        yield made
    finally:
        for agent in made.agents if made else ():
            agent.terminate()
            agent.wait(LIMIT_SECONDS)
        # Of an agent that a test killed, when the test itself failed.
        end_leftovers(world.root / ".isoserve" / REGION / "nodes")
        world.run(sys.executable, "-c", STOP)
