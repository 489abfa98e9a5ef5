"""What a node says of itself: its status, and the lease by which others see that it is alive."""

from __future__ import annotations

import platform
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from regions.sandbox.complaints import Complaints
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.process_node import api
from regions.sandbox.process_node.status import moment

LEASE_SECONDS: Final = 40
BEAT_SECONDS: Final = 10.0
STATUS_SECONDS: Final = 300.0
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_GOOD: Final = {
    "Ready": ("True", "KubeletReady", "the node agent runs its pods"),
    "MemoryPressure": ("False", "KubeletHasSufficientMemory", "there is memory"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure", "there is disk"),
    "PIDPressure": ("False", "KubeletHasSufficientPID", "there are process ids"),
}


class Heart:
    """Beats on a thread of its own."""

    def __init__(self, cluster: Cluster, node: Object, address: str) -> None:
        """Begin; `node` is the Node as it was found."""
        self._cluster, self._node, self._address = cluster, node, address
        self._complaints = Complaints(f"heartbeat of {node['metadata']['name']}")
        self._report = threading.Event()
        self._report.set()
        self._reported = 0.0
        threading.Thread(target=self._beat, name="heart", daemon=True).start()

    def seen(self, node: Object) -> None:
        """The Node as it is now: when others think it dead, they are told better."""
        self._node = node
        if not is_ready(node):
            self._report.set()

    def _beat(self) -> None:
        beaten = -BEAT_SECONDS
        while True:
            now = time.monotonic()
            try:
                if self._report.is_set() or now - self._reported >= STATUS_SECONDS:
                    self._report.clear()
                    self._send_status()
                    self._reported = now
                if now - beaten >= BEAT_SECONDS:
                    self._renew()
                    beaten = now
                self._complaints.settled()
            except SandboxError as reason:
                self._complaints.say(reason)
                self._report.set()
                time.sleep(1)
                continue
            self._report.wait(BEAT_SECONDS / 4)

    def _send_status(self) -> None:
        name = self._node["metadata"]["name"]
        version = str((self._cluster.get("/version") or {}).get("gitVersion", ""))
        path = f"/api/v1/nodes/{name}/status"
        api.patch(self._cluster, path, {"status": status(self._node, self._address, version)})

    def _renew(self) -> None:
        made = lease(self._node)
        self._cluster.apply(f"{_LEASES}/{made['metadata']['name']}", made)


def is_ready(node: Object) -> bool:
    """Whether the Node's status says so."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def status(node: Object, address: str, version: str) -> Object:
    """What the agent knows of the node; capacity was given to it."""
    now = moment()
    before = {one["type"]: one for one in (node.get("status") or {}).get("conditions") or ()}
    conditions = []
    for kind, (value, reason, message) in _GOOD.items():
        same = before.get(kind, {}).get("status") == value
        since = before[kind]["lastTransitionTime"] if same else now
        conditions.append(
            {
                "type": kind,
                "status": value,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": now,
                "lastTransitionTime": since,
            }
        )
    return {
        "addresses": [
            {"type": "InternalIP", "address": address},
            {"type": "Hostname", "address": node["metadata"]["name"]},
        ],
        "conditions": conditions,
        "nodeInfo": _machine(version),
    }


def lease(node: Object) -> Object:
    """The node's lease, held from now on."""
    meta = node["metadata"]
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": meta["name"],
            "namespace": "kube-node-lease",
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": meta["name"], "uid": meta["uid"]}
            ],
        },
        "spec": {
            "holderIdentity": meta["name"],
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }


def _machine(version: str) -> Object:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(
            platform.machine(), platform.machine()
        ),
        "bootID": boot,
        "containerRuntimeVersion": "process://1",
        "kernelVersion": platform.release(),
        "kubeProxyVersion": "",
        "kubeletVersion": version,
        "machineID": boot,
        "operatingSystem": "linux",
        "osImage": "isoserve sandbox",
        "systemUUID": boot,
    }
