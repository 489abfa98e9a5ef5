"""The agent of one process node: a small kubelet that runs its pods as processes of this machine.

An agent that is ended, or dies, takes its node's processes with it: the next one begins all pods
anew, and restart counts begin at nought.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

from requests.adapters import HTTPAdapter

from regions.sandbox.complaints import Complaints
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object, connect
from regions.sandbox.layout import (
    AWS_REGIONS,
    certificates_of,
    hosts_file,
    kubeconfig_of,
    node_home,
)
from regions.sandbox.networks import network, outside_address
from regions.sandbox.process_node import container_logs, credentials, subnets
from regions.sandbox.process_node.container import end_leftovers
from regions.sandbox.process_node.node import Heart
from regions.sandbox.process_node.notices import Notices
from regions.sandbox.process_node.placing import Placing
from regions.sandbox.process_node.pod import POWER_OFF_SECONDS, PodLife
from regions.sandbox.process_node.roles import OUTSIDE_PORT
from regions.sandbox.process_node.setting import Machine
from regions.sandbox.process_node.watch import Changed, Listed, follow

_PODS: Final = "/api/v1/pods"
_NODES: Final = "/api/v1/nodes"
_CONNECTIONS: Final = 64
_PATIENCE_SECONDS: Final = 10.0


class Agent:
    """Runs until its machine is switched off or its Node is deleted."""

    def __init__(self, region: str, name: str) -> None:
        """Nothing happens yet."""
        self._region, self._name = region, name
        self._home = node_home(region, name)
        self._stop, self._node_is_gone = threading.Event(), False
        self._pods: dict[str, PodLife] = {}
        self._lock = threading.Lock()

    def switch_off(self) -> None:
        """End all pods' processes and return from `run`."""
        self._stop.set()

    def run(self) -> None:
        """Be the node. Raises SandboxError when there is no such Node."""
        cluster = _connected(self._region)
        node = self._find(cluster)
        left = end_leftovers(self._home / "pods")
        if left:
            print(f"{left} processes of an agent that died were ended", flush=True)
        if not self._stop.is_set():
            addresses = subnets.Addresses(
                f"{network(self._region)}.{subnets.claim(self._region, self._name)}"
            )
            self._begin(cluster, node, addresses)
            self._stop.wait()
        self._end()

    def _find(self, cluster: Cluster) -> Object:
        complaints = Complaints(f"node {self._name}")
        while not self._stop.is_set():
            try:
                node = cluster.get(f"{_NODES}/{quote(self._name)}")
            except SandboxError as reason:
                complaints.say(reason)
                self._stop.wait(1)
                continue
            if node is None:
                raise SandboxError(f"region {self._region}: there is no Node {self._name}")
            return node
        return {}

    def _begin(self, cluster: Cluster, node: Object, addresses: subnets.Addresses) -> None:
        # Whoever knows the names writes them into this very file; until then there is one.
        with contextlib.suppress(FileExistsError), hosts_file(self._region).open("x") as hosts:
            hosts.write("127.0.0.1 localhost\n")
        if self._region in AWS_REGIONS:
            sts = f"http://{outside_address(self._region)}:{OUTSIDE_PORT}/"
            credentials.serve(cluster, addresses.node, sts)
        try:
            container_logs.serve(self._home, addresses.node, certificates_of(self._region))
        except OSError as reason:
            print(f"nobody can read this node's logs by the API server: {reason}", flush=True)
        allocatable: Mapping[str, str] = (node.get("status") or {}).get("allocatable") or {}
        machine = Machine(
            cluster=cluster,
            region=self._region,
            name=self._name,
            address=addresses.node,
            home=self._home,
            allocatable=allocatable,
            notices=Notices(cluster, self._name),
        )
        heart, placing = Heart(cluster, node, addresses.node), Placing(machine, addresses)
        uid = node["metadata"]["uid"]
        self._listen(
            _NODES, f"metadata.name={self._name}", lambda news: self._on_node(heart, uid, news)
        )
        self._listen(
            _PODS, f"spec.nodeName={self._name}", lambda news: self._on_pods(machine, placing, news)
        )

    def _listen(self, path: str, selector: str, hear: Callable[[Listed | Changed], None]) -> None:
        def listen() -> None:
            for news in follow(_connected(self._region), path, selector):
                try:
                    hear(news)
                except Exception:  # what can't be handled is written down; the next is heard
                    traceback.print_exc()

        threading.Thread(target=listen, name=path, daemon=True).start()

    def _on_node(self, heart: Heart, uid: str, news: Listed | Changed) -> None:
        items = news.items if isinstance(news, Listed) else () if news.gone else (news.item,)
        if [one["metadata"]["uid"] for one in items] != [uid]:
            self._node_is_gone = True
            self._stop.set()
        else:
            heart.seen(items[0])

    def _on_pods(self, machine: Machine, placing: Placing, news: Listed | Changed) -> None:
        with self._lock:
            if self._stop.is_set():
                return
            if isinstance(news, Listed):
                present = {one["metadata"]["uid"] for one in news.items}
                gone = [uid for uid in self._pods if uid not in present]
                self._sweep(present | self._pods.keys())
            else:
                gone = [news.item["metadata"]["uid"]] if news.gone else []
            for uid in gone:
                life = self._pods.pop(uid, None)
                if life is not None:
                    life.vanish()
            for pod in news.items if isinstance(news, Listed) else (news.item,):
                if pod["metadata"]["uid"] not in gone:
                    self._see(machine, placing, pod)

    def _see(self, machine: Machine, placing: Placing, pod: Object) -> None:
        life = self._pods.get(pod["metadata"]["uid"])
        if life is None:
            self._pods[pod["metadata"]["uid"]] = PodLife(machine, placing, pod)
        else:
            life.update(pod)

    def _sweep(self, known: set[str]) -> None:
        """Remove the folders of pods that went while no agent ran."""
        for folder in (self._home / "pods").glob("*"):
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def _end(self) -> None:
        with self._lock:
            lives = list(self._pods.values())
        for life in lives:
            life.switch_off(at_once=self._node_is_gone)
        deadline = time.monotonic() + POWER_OFF_SECONDS + _PATIENCE_SECONDS
        for life in lives:
            life.wait(max(0.0, deadline - time.monotonic()))
        end_leftovers(self._home / "pods")
        if self._node_is_gone:
            # A machine that the cloud takes back comes with a new disk, and under a new number.
            subnets.give_back(self._region, self._name)
            for folder in ("pods", "disk"):
                shutil.rmtree(self._home / folder, ignore_errors=True)


def _connected(region: str) -> Cluster:
    cluster = connect(region, kubeconfig_of(region))
    cluster.session.mount("https://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
    return cluster
