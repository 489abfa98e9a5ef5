"""What the real scheduler puts where decides what real agents hold, of more than fits a node.

The nodes are kwok's, and their pods run as kwok says; the agents are the real program with the
rendered configuration and rights, one a node, each on a small disk of its own.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from components.kube import Object
from model_specs.names import CACHE_ACCOUNT, CACHE_NAMESPACE, LABEL_CAPACITY, LABEL_MACHINE
from regions.sandbox.kube import Cluster
from regions.sandbox.processes import python_env
from tests import examples
from tests.counted_store import Counted, counted_store
from tests.engine.lone_server import lone_server
from tests.engine.site import until
from tests.engine.world import World, path_of
from tests.examples import GIB, a_profile, an_offer, of_kind, planned

pytestmark = pytest.mark.engine

REGION: Final = "sandbox-aws"
KIB: Final = 1024
MIB: Final = 1024**2
MODEL_BYTES: Final = 512 * KIB
MODELS: Final = 120
SERVED: Final = 10
NODES: Final = tuple(f"l4-{number}" for number in range(4))
ROOM_BYTES: Final = 10 * MIB
"""Of a node, beside the GiB that an agent always leaves free: for fewer than 20 of 120 models."""
KINDS: Final = (
    "Namespace", "PriorityClass", "PersistentVolume", "PersistentVolumeClaim", "ServiceAccount",
    "Role", "RoleBinding",
)  # fmt: skip
PODS: Final = "/api/v1/namespaces/search/pods"


class Site:
    """The cluster, its store, and an agent for each node."""

    def __init__(self, world: World, store: Counted, home: Path) -> None:
        self.world = world
        self.cluster: Cluster = world.cluster(REGION)
        self.store = store
        self.home = home
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        digits = random.Random("sets")
        pushed = [
            store.push({"w.bin": digits.randbytes(MODEL_BYTES)}, f"search/m{number}:v1")
            for number in range(MODELS)
        ]
        models = [
            examples.a_model(name=one.model, image=IMAGE, model=one.address) for one in pushed
        ]
        profile = a_profile(machines={"gpu.l4.1": an_offer(40, 0, 4, cache_disk_gib=120)})
        # To the plan they are large, or pods would download them.
        facts = {one.address: 16 * GIB for one in pushed}
        self.objects = examples.rendered(planned(*models, profile=profile, facts=facts))

    def stand_up(self) -> None:
        """Nodes and all that pods need to be scheduled; the agents run before any pod is there."""
        for kind in KINDS:
            for made in of_kind(kind, self.objects):
                namespace = made["metadata"].get("namespace", "search")
                if namespace in ("search", CACHE_NAMESPACE):
                    self.cluster.apply(path_of(made), made)
        for name in NODES:
            self._add_node(name)
        for name in NODES:
            self._begin(name)

    def _add_node(self, name: str) -> None:
        path = f"/api/v1/nodes/{name}"
        head = {"apiVersion": "v1", "kind": "Node"}
        labels = {
            LABEL_CAPACITY: "on_demand",
            LABEL_MACHINE: "gpu.l4.1",
            "kubernetes.io/hostname": name,
        }
        notes = {"kwok.x-k8s.io/node": "fake"}
        size = {"cpu": "64", "memory": "512Gi", "pods": "50", "ephemeral-storage": "900Gi",
                "nvidia.com/gpu": "4"}  # fmt: skip
        meta = {"name": name, "labels": labels, "annotations": notes}
        self.cluster.apply(path, {**head, "metadata": meta})
        status = {"metadata": {"name": name}, "status": {"capacity": size, "allocatable": size}}
        self.cluster.apply(path, head | status, subresource="status")

    def _begin(self, name: str) -> None:
        disk, folder = self.home / name / "disk", self.home / name / "api"
        disk.mkdir(parents=True)
        folder.mkdir()
        size = f"size={GIB + ROOM_BYTES}"
        mount = ["mount", "-t", "tmpfs", "-o", f"mode=755,{size}", "tmpfs", str(disk)]
        subprocess.run(mount, check=True, timeout=30)
        trust = f"/api/v1/namespaces/{CACHE_NAMESPACE}/configmaps/kube-root-ca.crt"
        until("the cluster says who it is", lambda: self.cluster.get(trust))
        files = {
            "ca.crt": self.get(trust)["data"]["ca.crt"],
            "name": f"agent-{name}",
            "namespace": CACHE_NAMESPACE,
            "token": self.token(),
        }
        for file, text in files.items():
            (folder / file).write_text(text)
        config = self.home / name / "models.json"
        config.write_text(json.dumps(self.config()))
        words = ["hold", "--config", str(config), "--root", str(disk / "models"), "--port", "0",
                 "--host", "127.0.0.1", "--spread-seconds", "0",
                 "--api-folder", str(folder)]  # fmt: skip
        host, port = self.cluster.url.removeprefix("https://").split(":")
        where = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        with (self.world.root / f"agent-{name}.log").open("ab") as log:
            self.agents[name] = subprocess.Popen(
                [sys.executable, "-m", "components.model_cache.agent", *words],
                cwd=self.world.root,
                env={**os.environ, **python_env(), **self.store.env(), **where, "NODE_NAME": name},
                stdout=log,
                stderr=log,
            )

    def config(self) -> dict[str, Any]:
        """What the rendered ConfigMap says, with the sizes that the models have here."""
        configs = of_kind("ConfigMap", self.objects)
        (text,) = (one["data"]["models.json"] for one in configs if "models.json" in one["data"])
        found: dict[str, Any] = json.loads(text)
        found["models"] = [{**row, "bytes": MODEL_BYTES} for row in found["models"]]
        return found | {"disk_free_percent": 0}

    def token(self) -> str:
        """A token of the agents' account, which can do what the rendered roles give it."""
        base = f"/api/v1/namespaces/{CACHE_NAMESPACE}/serviceaccounts/{CACHE_ACCOUNT}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return str(self.cluster.send("POST", base, body, "application/json")["status"]["token"])

    def get(self, path: str) -> Object:
        """What the API server has there."""
        found = self.cluster.get(path)
        assert found is not None, path
        return found

    def serve(self, number: int) -> None:
        """Apply the Deployments of the first so many models, as they are rendered."""
        wanted = {f"m{index}" for index in range(number)}
        for made in of_kind("Deployment", self.objects):
            if made["metadata"]["name"] in wanted:
                self.cluster.apply(path_of(made), made)

    def placed(self) -> dict[str, set[str]]:
        """By node, the digests that its pods need, as the scheduler put them."""
        found: dict[str, set[str]] = {name: set() for name in NODES}
        for pod in self.get(PODS)["items"]:
            node = pod["spec"].get("nodeName")
            if node and not pod["metadata"].get("deletionTimestamp"):
                notes = pod["metadata"]["annotations"]
                found[node].add(notes["isoserve.dev/model-digest"])
        return found

    def held(self) -> dict[str, set[str]]:
        """By node, the digests that its agent shows to pods."""
        return {
            name: {
                path.name
                for path in (self.home / name / "disk" / "models" / "search").glob("*")
                if path.is_dir()
            }
            for name in NODES
        }

    def all_scheduled(self, number: int) -> bool:
        return sum(map(len, self.placed().values())) == number

    def has_what_it_needs(self) -> bool:
        held = self.held()
        return all(need <= held[node] for node, need in self.placed().items())

    def lose(self, name: str) -> None:
        """The node, its agent and its disk are gone; its pods go as the node controller has it."""
        self.agents[name].kill()
        self.agents[name].wait(30)
        self.cluster.delete(f"/api/v1/nodes/{name}")
        for pod in self.get(PODS)["items"]:
            if pod["spec"].get("nodeName") == name:
                path = f"{PODS}/{pod['metadata']['name']}?gracePeriodSeconds=0"
                self.cluster.delete(path)

    def end(self) -> None:
        for agent in self.agents.values():
            agent.kill()
            agent.wait(30)
        for name in NODES:
            disk = self.home / name / "disk"
            if disk.is_mount():
                subprocess.run(["umount", "--lazy", str(disk)], check=True, timeout=30)


IMAGE: Final = "registry.example.com/team/server@sha256:" + "1" * 64


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("sets")
    with lone_server(home / "tree", REGION) as world, counted_store() as store:
        made = Site(world, store, home)
        try:
            made.stand_up()
            yield made
        finally:
            made.end()


def test_nodes_without_pods_hold_what_fits_and_each_something_else(site: Site) -> None:
    until("they fill", lambda: all(len(held) >= 15 for held in site.held().values()))
    sets = list(site.held().values())
    assert all(len(held) < 25 for held in sets), "of 120 models, which fit no node"
    assert len(set.union(*sets)) > 40, "hashing spreads them over the nodes"


def test_what_the_scheduler_puts_on_a_node_is_what_its_agent_holds(site: Site) -> None:
    site.serve(SERVED)
    until("the scheduler has placed all pods", lambda: site.all_scheduled(SERVED))
    until("every node holds what its pods need", site.has_what_it_needs)
    assert all(len(held) < 25 for held in site.held().values()), "others have made room"


def test_a_lost_nodes_models_are_fetched_where_their_pods_come_up(site: Site) -> None:
    until("the scheduler has placed all pods", lambda: site.all_scheduled(SERVED))
    until("every node holds what its pods need", site.has_what_it_needs)
    placed = site.placed()
    lost = max(NODES, key=lambda name: len(placed[name]))
    assert placed[lost], "or losing it proves nothing"
    before = site.held()
    site.lose(lost)
    until("its pods are on other nodes", lambda: site.all_scheduled(SERVED))
    assert not site.placed()[lost]
    until("and their models with them", site.has_what_it_needs)
    for name, needed in placed.items():
        if name != lost:
            assert needed <= site.held()[name], "what runs on is never let go"
            assert len(site.held()[name]) <= len(before[name]) + len(placed[lost])


def asked(site: Site, path: str, **headers: str) -> requests.Response:
    """What the API server answers the agents' account."""
    told = {"Authorization": f"Bearer {site.token()}", **headers}
    trust = str(site.home / NODES[0] / "api" / "ca.crt")
    return requests.get(f"{site.cluster.url}{path}", headers=told, verify=trust, timeout=10)


def test_the_agents_right_is_to_see_pods_and_no_more(site: Site) -> None:
    assert asked(site, PODS).status_code == 200
    for path in ("secrets", "configmaps", "pods/x/log"):
        assert asked(site, f"/api/v1/namespaces/search/{path}").status_code == 403
    assert asked(site, "/api/v1/pods").status_code == 403, "only where they hold models"
    assert asked(site, "/api/v1/namespaces/default/pods").status_code == 403


def test_the_answer_to_an_agent_holds_no_pods_environment(site: Site) -> None:
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    rows: list[Object] = asked(site, PODS, Accept=accept).json()["items"]
    assert rows
    assert all(set(row) <= {"apiVersion", "kind", "metadata"} for row in rows)
