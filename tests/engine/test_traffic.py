"""The gateway's program beside a real API server: what is applied there, traffic follows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest
import requests

from components.kube import Object
from regions.sandbox.kube import Cluster
from regions.sandbox.processes import python_env
from tests.engine.lone_server import lone_server
from tests.engine.world import World
from tests.regions.traffic_objects import a_gateway, a_pod, a_route, a_rule, a_service
from tests.regions.traffic_servers import free_network

pytestmark = pytest.mark.engine

REGION: Final = "sandbox-aws"
PORT: Final = 8081
LIMIT_SECONDS: Final = 180
HOST: Final = "ranker--search.internal.test"
CARRY: Final = """
import asyncio, ssl, sys
from ipaddress import IPv4Network
import aiohttp
from regions.sandbox.traffic.carrier import Carrier, carry
address, url, trust, signed = sys.argv[1:]
async def run():
    later = asyncio.get_running_loop().call_later
    carrier = Carrier(address, IPv4Network("127.0.0.0/8"), lambda port: port, later)
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=trust))
    headers = {"Authorization": signed}
    await carry(carrier, aiohttp.ClientSession(url, connector=connector, headers=headers), address)
asyncio.run(run())
"""
"""regions/sandbox/traffic/in_cluster.py, for pods on loopback and without a pod's account."""
RESTART: Final = f"""
from regions.sandbox import control_plane, processes
processes.stop("{REGION}.kube-apiserver")
control_plane.start(control_plane.on_loopback("{REGION}"))
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
    """An API server with controllers, the gateway's program, and two pods' servers."""

    world: World
    cluster: Cluster
    gateway: str
    log: Path
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
        """A ready pod as a kubelet would report it; a finalizer keeps it while it ends."""
        ip, port = str(server.server_address[0]), server.server_port
        made = a_pod(name, ip, port)
        made["metadata"]["finalizers"] = ["isoserve.dev/test"]
        made["spec"]["containers"][0]["image"] = "registry.example.com/server:1"
        status = {**made.pop("status"), "podIPs": [{"ip": ip}]}
        self.create("Pod", made)
        self.send("PATCH", f"/api/v1/namespaces/search/pods/{name}/status", {"status": status})

    def ask(self) -> str:
        """The text of the model's answer at the gateway, or what went wrong."""
        try:
            answer = requests.get(
                f"http://{self.gateway}:{PORT}/", headers={"Host": HOST}, timeout=10
            )
        except requests.ConnectionError:
            return "refused"
        return answer.text if answer.ok else str(answer.status_code)

    def counted(self) -> set[str]:
        """The pods whose right answers the gateway has counted."""
        rows = requests.get(f"http://{self.gateway}:9901/stats", timeout=10).json()
        return {row["pod"] for row in rows if row["code_class"] == "2"}


def a_server(host: str) -> _Server:
    server = _Server((host, 0), _Pod)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


def is_ready(address: str) -> bool:
    try:
        return requests.get(f"http://{address}:9901/healthz", timeout=10).ok
    except requests.ConnectionError:
        return False


@contextmanager
def carried(cluster: Cluster, address: str, log: Path) -> Iterator[None]:
    """While it lasts, the gateway's program runs."""
    session = cluster.session
    words = (address, cluster.url, str(session.verify), str(session.headers["Authorization"]))
    with (
        log.open("ab") as file,
        subprocess.Popen(
            [sys.executable, "-c", CARRY, *words], env=python_env(), stdout=file, stderr=file
        ) as process,
    ):
        try:
            until("it is ready", lambda: is_ready(address))
            yield
            assert process.poll() is None, "nothing ended it before"
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert process.returncode == 0, "it ends when it is told to"


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    folder = tmp_path_factory.mktemp("traffic")
    network, log = free_network(), folder / "gateway.log"
    servers = a_server(f"{network}.16.1"), a_server(f"{network}.17.1")
    try:
        with lone_server(folder / "tree", REGION) as world:
            cluster, gateway = world.cluster(REGION), f"{network}.0.1"
            with carried(cluster, gateway, log):
                found = Region(world, cluster, gateway, log, servers)
                for name, labels in (
                    ("search", {"isoserve.dev/project": "search"}),
                    ("isoserve-gateway", {}),
                ):
                    found.create("Namespace", {"metadata": {"name": name, "labels": labels}})
                account = "/api/v1/namespaces/search/serviceaccounts/default"
                until("pods may be made", lambda: cluster.get(account) is not None)
                yield found
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def test_traffic_follows_the_api_server_through_its_restart(region: Region) -> None:
    one, two = (str(server.server_address[0]) for server in region.pods)
    service = a_service("ranker", ports=[{"port": PORT, "targetPort": "http"}])
    del service["spec"]["clusterIP"]
    backend = {"kind": "Service", "name": "ranker", "port": PORT}
    assert region.ask() == "refused", "there is no Gateway yet"
    region.create("Service", service)
    region.create("Gateway", with_class(a_gateway(PORT)))
    region.create("HTTPRoute", a_route("ranker", a_rule(backendRefs=[backend])))
    until("the route is followed", lambda: region.ask() == "503")
    region.create_pod("one", region.pods[0])
    until("the ready pod is asked", lambda: region.ask() == one)
    assert region.counted() == {"search/one"}

    done = region.world.run(sys.executable, "-c", RESTART)
    assert done.returncode == 0, done.stderr[-3000:]
    assert region.ask() == one, "who carries traffic needs no API server"
    region.create_pod("two", region.pods[1])
    until("it hears of pods again", lambda: region.ask() == two)
    region.send("DELETE", "/api/v1/namespaces/search/pods/one")
    until("the ending pod leaves", lambda: {region.ask() for _ in range(20)} == {two})
    log = region.log.read_text()
    assert "Traceback" not in log, log
    # It refuses, then times out: a kind that is watched tells each reason, and not each try.
    assert log.count("doesn't answer") <= 20, log
    release = {"metadata": {"finalizers": None}}
    region.send("PATCH", "/api/v1/namespaces/search/pods/one", release)


def with_class(gateway: Object) -> Object:
    return {**gateway, "spec": {**gateway["spec"], "gatewayClassName": "envoy"}}
