"""One region with real machines and no Pulumi, from a copy of the tree; and its pods."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from components.kube import Object
from regions.sandbox.kube import Cluster, execute
from regions.sandbox.node.network import Network, claimed, processes_in
from tests.engine.site import has_condition
from tests.engine.world import World, copy_tree

REGION: Final = "sandbox-onprem"
MACHINES: Final = ("machine-1", "machine-2")
PYTHON_IMAGE: Final = "isoserve.dev/python:1"
T = TypeVar("T")
_START: Final = """
from regions.sandbox import toolchain
from regions.sandbox.node import region
from regions.sandbox.node.machine import Machine
toolchain.prepare_node(print)
names = enumerate({machines}, 1)
machines = [
    Machine(region="{region}", index=index, name=name, disk_gib={disk_gib})
    for index, name in names
]
region.start("{region}", machines, print)
"""
_STOP: Final = """
from regions.sandbox.node import region
region.stop("{region}")
"""


@dataclass(frozen=True, slots=True)
class RealRegion:
    """A region whose machines are real."""

    world: World
    name: str
    machines: tuple[str, ...]
    disk_gib: int = 0
    """The size of each machine's own disk; 0 where it shares the host's."""

    @property
    def cluster(self) -> Cluster:
        """Its API server."""
        return self.world.cluster(self.name)

    @property
    def number(self) -> int:
        """The number that its namespaces and addresses have."""
        network = claimed(self.home)
        assert network is not None, "the region is up"
        return network.number

    @property
    def home(self) -> Path:
        """Its folder."""
        return self.world.root / ".isoserve" / self.name

    def start(self) -> str:
        """Bring it up, or what is missing of it."""
        return self.run_program(_START)

    def stop(self) -> str:
        """Take it down."""
        return self.run_program(_STOP)

    def run_program(self, program: str) -> str:
        """What a program of the tree prints; the region's fields in braces are filled in."""
        words = program.format(region=self.name, machines=self.machines, disk_gib=self.disk_gib)
        done = self.world.run(sys.executable, "-c", words)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def make(self, plural: str, made: Object) -> None:
        """Apply an object of a namespace, or a namespace."""
        metadata = made["metadata"]
        space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
        group = made["apiVersion"]
        base = f"/apis/{group}" if "/" in group else f"/api/{group}"
        self.cluster.apply(f"{base}{space}/{plural}/{metadata['name']}", made)

    def pod(self, namespace: str, name: str) -> Object:
        """A pod as it is."""
        found = self.cluster.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
        assert found is not None, f"{namespace}/{name} was made"
        return found

    def run(self, namespace: str, name: str, program: str, **fields: Any) -> None:
        """Make a pod of a tenant that runs a Python program; `fields` go into its spec."""
        self.make("pods", python_pod(namespace, name, program, **fields))

    def running(self, namespace: str, name: str) -> Object:
        """The pod, once it is ready."""

        def ready() -> Object | None:
            pod = self.pod(namespace, name)
            return pod if has_condition(pod, "Ready") else None

        return eventually(ready, f"{namespace}/{name} is ready", seconds=180)

    def log(self, namespace: str, name: str) -> str:
        """What `kubectl logs` prints."""
        cluster = self.cluster
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/log"
        answer = cluster.session.get(cluster.url + path, timeout=30)
        return answer.text if answer.ok else ""

    def execute(self, namespace: str, name: str, *command: str) -> str:
        """What a command prints in the pod's container, as by `kubectl exec`."""
        return execute(self.home / "kubeconfig", namespace, name, *command)

    def said(self, namespace: str, name: str) -> Any:
        """The one line of JSON that a pod printed before it ended."""

        def ended() -> str | None:
            phase = self.pod(namespace, name)["status"]["phase"]
            return self.log(namespace, name) if phase in ("Succeeded", "Failed") else None

        text = eventually(ended, f"{namespace}/{name} has ended", seconds=180)
        return json.loads(text.splitlines()[-1])


def python_pod(namespace: str, name: str, program: str, **fields: Any) -> Object:
    """A pod that Pod Security's `restricted` admits: one container, which runs the program."""
    container = {
        "name": "main",
        "image": PYTHON_IMAGE,
        "args": ["-u", "-c", program],
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"memory": "64Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **fields.pop("container", {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            **fields,
        },
    }


def eventually(look: Callable[[], T | None], what: str, *, seconds: float) -> T:
    """What `look` sees, once it sees something."""
    deadline = time.monotonic() + seconds
    while (seen := look()) is None:
        assert time.monotonic() < deadline, f"not after {seconds:.0f} s: {what}"
        time.sleep(0.25)
    return seen


@contextmanager
def real_region(
    root: Path,
    machines: tuple[str, ...],
    region: str = REGION,
    before: str = "pass",
    disk_gib: int = 0,
) -> Iterator[RealRegion]:
    """The region with machines of these names, up; tenants' namespaces held to `restricted`.

    `before` is a program of the tree that runs first.
    """
    made = RealRegion(copy_tree(root), region, machines, disk_gib)
    try:
        made.run_program(before)
        made.start()
        for name in ("search", "chat"):
            made.make("namespaces", namespace(name))
        yield made
    finally:
        made.stop()
        made.world.forget()


def namespace(name: str) -> Object:
    """A tenant's namespace as isoserve renders it, as far as pods are concerned."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }


def programs_of(region: RealRegion, index: int, name: str) -> list[int]:
    """The machine's processes whose command names the program, by the host's ids."""
    found = []
    for pid in processes_in(Network(region.number).machine_namespace(index)):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if (
            any(word.endswith(f"/{name}".encode()) for word in words[:5])
            and b"unshare" not in words
        ):
            found.append(pid)
    return found
