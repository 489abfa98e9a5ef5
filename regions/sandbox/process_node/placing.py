"""Where a pod is put: its address, its role, its volumes."""

from __future__ import annotations

import threading
import time
from typing import Final

from regions.sandbox.kube import Object
from regions.sandbox.layout import AWS_REGIONS
from regions.sandbox.networks import outside_address
from regions.sandbox.object_store import AWS_REGION
from regions.sandbox.process_node import roles, volumes
from regions.sandbox.process_node.setting import Machine, Setting, pod_folder
from regions.sandbox.process_node.subnets import Addresses

_NO_ACCOUNT: Final[Object] = {"metadata": {}}


class Placing:
    """Gives a node's pods what they need before their containers; for any number of threads."""

    def __init__(self, machine: Machine, addresses: Addresses) -> None:
        """All addresses are free."""
        self._machine, self._addresses = machine, addresses
        self._held: dict[str, str] = {}
        self._lock = threading.Lock()

    def place(self, pod: Object) -> Setting:
        """Prepare everything; the pod keeps its address when that fails and it is tried again.

        Raises VolumeError, and SandboxError when the API server is away.
        """
        machine, address = self._machine, self._address(pod["metadata"]["uid"])
        known = {
            "hostIP": machine.address,
            "hostIPs": [{"ip": machine.address}],
            "podIP": address,
            "podIPs": [{"ip": address}],
        }
        placed = self._with_role({**pod, "status": {**(pod.get("status") or {}), **known}})
        folder = pod_folder(machine, pod)
        folder.mkdir(parents=True, exist_ok=True)
        paths = volumes.prepare(placed, folder, machine.home / "disk", machine.cluster)
        return Setting(machine=machine, pod=placed, address=address, volumes=paths)

    def free(self, uid: str) -> None:
        """The pod has ended."""
        with self._lock:
            address = self._held.pop(uid, "")
            if address:
                self._addresses.free(address, time.monotonic())

    def _address(self, uid: str) -> str:
        with self._lock:
            if uid not in self._held:
                self._held[uid] = self._addresses.take(time.monotonic())
            return self._held[uid]

    def _with_role(self, pod: Object) -> Object:
        machine = self._machine
        if machine.region not in AWS_REGIONS:
            return pod
        namespace, name = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName")
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name or 'default'}"
        if not roles.role_of(machine.cluster.get(path) or _NO_ACCOUNT):
            return pod
        outside = outside_address(machine.region)
        return roles.with_role(pod, AWS_REGION, machine.address, outside)
