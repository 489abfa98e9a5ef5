"""The traffic stand-in beside a real API server: what is applied there, traffic follows."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

import pytest
import requests

from components.kube import Object
from regions.sandbox import crds
from regions.sandbox.kube import Cluster
from tests.engine.world import World, copy_tree
from tests.regions.traffic_objects import a_gateway, a_pod, a_route, a_rule, a_service

pytestmark = pytest.mark.engine

REGION: Final = "sandbox-aws"
PORT: Final = 8081
LIMIT_SECONDS: Final = 30
START: Final = f"""
import sys
from regions.sandbox import control_plane, networks, ports, processes
ports.choose_ports(anything_runs=False)
networks.choose_networks(anything_runs=False)
control_plane.start(control_plane.on_loopback("{REGION}"))
argv = [sys.executable, "-m", "regions.sandbox.traffic", "{REGION}"]
processes.start("{REGION}.traffic", argv, processes.python_env())
"""
RESTART: Final = f"""
from regions.sandbox import control_plane, processes
processes.stop("{REGION}.kube-apiserver")
control_plane.start(control_plane.on_loopback("{REGION}"))
"""
STOP: Final = f"""
from regions.sandbox import control_plane, processes
import time
began = time.monotonic()
print(processes.stop("{REGION}.traffic"), time.monotonic() - began)
control_plane.stop("{REGION}")
"""
_PATHS: Final = {
    "Gateway": "/apis/gateway.networking.k8s.io/v1/namespaces/{}/gateways",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
}


def until(what: str, look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not look():
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_SECONDS} s"
        time.sleep(0.05)


class _Pod(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.server.server_name.encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        super().server_bind()
        self.server_name = str(self.server_address[0])  # not what a resolver makes of it


@dataclass(frozen=True)
class Region:
    """An API server with controllers, the stand-in, and two pods' servers."""

    world: World
    cluster: Cluster
    network: str
    pods: tuple[_Server, _Server]

    def send(self, method: str, path: str, body: Object | None = None) -> None:
        merge = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        answer = self.cluster.session.request(
            method, self.cluster.url + path, json=body, headers=merge, timeout=30
        )
        assert answer.ok, f"{method} {path}: {answer.text}"

    def create(self, kind: str, made: Object) -> None:
        group = "gateway.networking.k8s.io/v1" if "gateway" in _PATHS[kind] else "v1"
        metadata = {k: v for k, v in made["metadata"].items() if k != "creationTimestamp"}
        path = _PATHS[kind].format(metadata.get("namespace", ""))
        self.send("POST", path, {**made, "apiVersion": group, "kind": kind, "metadata": metadata})

    def create_pod(self, name: str, server: _Server) -> None:
        """A ready pod as a node agent would report it; a finalizer keeps it while it ends."""
        ip, port = str(server.server_address[0]), server.server_port
        made = a_pod(name, ip, port)
        made["metadata"]["finalizers"] = ["isoserve.dev/test"]
        made["spec"]["containers"][0]["image"] = "registry.example.com/server:1"
        status = {**made.pop("status"), "podIPs": [{"ip": ip}]}
        self.create("Pod", made)
        self.send("PATCH", f"/api/v1/namespaces/search/pods/{name}/status", {"status": status})

    def resolved(self, name: str) -> list[str]:
        """What a container finds for a name."""
        text = (self.world.root / ".isoserve" / REGION / "hosts").read_text()
        lines = [line.split() for line in text.splitlines()]
        return [address for address, *names in lines if name in names]

    def ask(self, name: str, port: int) -> str:
        """The answer's text, or what went wrong."""
        found = self.resolved(name)
        try:
            answer = requests.get(
                f"http://{found[0]}:{port}/" if found else "http://127.0.0.1:1/",
                headers={"Host": name},
                timeout=10,
            )
        except requests.ConnectionError:
            return "refused"
        return answer.text if answer.ok else str(answer.status_code)

    def get(self, path: str) -> requests.Response:
        """An answer of the admin port."""
        return requests.get(f"http://{self.network}.0.1:9901{path}", timeout=10)


def a_server(host: str) -> _Server:
    server = _Server((host, 0), _Pod)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


def is_ready(network: str) -> bool:
    try:
        return requests.get(f"http://{network}.0.1:9901/healthz", timeout=10).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    world = copy_tree(tmp_path_factory.mktemp("traffic") / "tree")
    done = world.run(sys.executable, "-c", START)
    servers: tuple[_Server, ...] = ()
    try:
        assert done.returncode == 0, done.stderr[-3000:]
        cluster = world.cluster(REGION)
        network = f"127.{json.loads((world.root / '.isoserve/networks.json').read_text())[REGION]}"
        servers = a_server(f"{network}.16.1"), a_server(f"{network}.17.1")
        found = Region(world, cluster, network, (servers[0], servers[1]))
        until("the stand-in is ready", lambda: is_ready(network))
        crds.install(cluster)
        for name, labels in (
            ("search", {"isoserve.dev/project": "search"}),
            ("isoserve-gateway", {}),
        ):
            found.create("Namespace", {"metadata": {"name": name, "labels": labels}})
        account = "/api/v1/namespaces/search/serviceaccounts/default"
        until("pods may be made", lambda: cluster.get(account) is not None)
        yield found
    finally:
        stopped = world.run(sys.executable, "-c", STOP)
        for server in servers:
            server.shutdown()
            server.server_close()
    was_running, seconds = stopped.stdout.split()
    assert was_running == "True", "nothing ended it before"
    assert float(seconds) < 5, "it ends when it is told to, not when it is killed"


def test_traffic_follows_the_api_server_through_its_restart(region: Region) -> None:
    one, two = (str(server.server_address[0]) for server in region.pods)
    name, host = "ranker.search.svc", "ranker--search.internal.test"
    assert region.resolved("registry.isoserve-system.svc") == [f"{region.network}.0.2"]
    inode = os.stat(region.world.root / ".isoserve" / REGION / "hosts").st_ino

    service = a_service("ranker", ports=[{"port": PORT, "targetPort": "http"}])
    headless = a_service("each", clusterIP="None")
    for made in (service, headless):
        if made["spec"]["clusterIP"] != "None":
            del made["spec"]["clusterIP"]
        region.create("Service", made)
    until("the Service has a name", lambda: bool(region.resolved(name)))
    assert region.ask(name, PORT) == "refused", "nobody is ready"
    region.create_pod("one", region.pods[0])
    until("the ready pod is asked", lambda: region.ask(name, PORT) == one)
    assert region.resolved("each.search") == [one], "a headless Service is its pods"

    backend = {"kind": "Service", "name": "ranker", "port": PORT}
    region.create("Gateway", with_class(a_gateway(PORT)))
    region.create("HTTPRoute", a_route("ranker", a_rule(backendRefs=[backend])))
    until("the route is followed", lambda: region.ask(host, PORT) == one)
    rows = region.get("/stats").json()
    assert {row["pod"] for row in rows if row["code_class"] == "2"} == {"search/one"}
    address = region.resolved(name)

    done = region.world.run(sys.executable, "-c", RESTART)
    assert done.returncode == 0, done.stderr[-3000:]
    assert region.ask(host, PORT) == one, "who carries traffic needs no API server"
    region.create_pod("two", region.pods[1])
    until("it hears of pods again", lambda: two in (region.ask(name, PORT), region.ask(host, PORT)))
    region.send("DELETE", "/api/v1/namespaces/search/pods/one")
    until("the ending pod leaves", lambda: region.resolved("each.search") == [two])
    assert {region.ask(name, PORT) for _ in range(20)} == {two}
    assert {region.ask(host, PORT) for _ in range(20)} == {two}
    assert region.resolved(name) == address, "a Service keeps its address"
    assert os.stat(region.world.root / ".isoserve" / REGION / "hosts").st_ino == inode
    log = (region.world.root / ".isoserve" / "log" / f"{REGION}.traffic.log").read_text()
    assert "Traceback" not in log, log
    assert log.count("doesn't answer") <= 5, f"one line for each kind it watches:\n{log}"
    release = {"metadata": {"finalizers": None}}
    region.send("PATCH", "/api/v1/namespaces/search/pods/one", release)


def with_class(gateway: Object) -> Object:
    return {**gateway, "spec": {**gateway["spec"], "gatewayClassName": "envoy"}}
