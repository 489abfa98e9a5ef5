"""Pods on real machines: what runs, who reaches whom, what a machine survives, what it leaves."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from regions.sandbox.kube import own_session
from regions.sandbox.node.network import Network, processes_in
from tests.engine.real_images import built_images
from tests.engine.real_region import MACHINES, RealRegion, eventually, programs_of, real_region
from tests.engine.remains import left_of, names_of, printed

pytestmark = pytest.mark.engine

_SELF: Final = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
try:
    open("/written", "w"); written = True
except OSError:
    written = False
print(json.dumps({
    "uid": os.getuid(),
    "seccomp": status["Seccomp"].strip(),
    "capabilities": status["CapEff"].strip(),
    "no new privileges": status["NoNewPrivs"].strip(),
    "written": written,
}))
"""
_SERVER: Final = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(self.client_address[0].encode())
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
_READY: Final = {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1}
_ASK: Final = """
import json, os, time, urllib.request
deadline = time.monotonic() + {patience_seconds}
while True:
    try:
        said = urllib.request.urlopen("{url}", timeout=2).read().decode()
        break
    except OSError as reason:
        said = f"refused: {{reason}}"
    if time.monotonic() > deadline:
        break
    time.sleep(0.2)
print(json.dumps({{"said": said, "own": os.environ["OWN"]}}))
"""
_OWN: Final = {"name": "OWN", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


KERNEL: Final = {
    name: Path("/proc/sys", name)
    for name in ("kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "vm/panic_on_oom")
}


@pytest.fixture(scope="module")
def own_settings() -> Iterator[dict[str, str]]:
    """Settings of the whole kernel, other ones than a kubelet wants."""
    before = {name: path.read_text() for name, path in KERNEL.items()}
    KERNEL["kernel/panic"].write_text("7")
    KERNEL["vm/overcommit_memory"].write_text("0")
    yield {name: path.read_text() for name, path in KERNEL.items()}
    for name, path in KERNEL.items():
        path.write_text(before[name])


@pytest.fixture(scope="module")
def region(
    tmp_path_factory: pytest.TempPathFactory, own_settings: dict[str, str]
) -> Iterator[RealRegion]:
    with real_region(tmp_path_factory.mktemp("real") / "tree", MACHINES) as made:
        yield made


@pytest.fixture(scope="module")
def server(region: RealRegion) -> str:
    """A server of the project `search` on the first machine, and the address of its Service."""
    region.run(
        "search",
        "server",
        _SERVER,
        nodeName=MACHINES[0],
        container={"readinessProbe": _READY},
        restartPolicy="Always",
    )
    ports = [{"port": 80, "targetPort": 8000}]
    region.make(
        "services",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": "search", "name": "server"},
            "spec": {"selector": {"app": "server"}, "ports": ports},
        },
    )
    region.running("search", "server")
    return "http://server.search.svc.cluster.local"


def asked(
    region: RealRegion,
    namespace: str,
    name: str,
    url: str,
    machine: str,
    *,
    patience_seconds: int = 20,
) -> dict[str, Any]:
    """What a pod on the machine is told by the address, and which address it has itself.

    It asks again while nobody answers: Services and policies reach a machine a moment later.
    """
    program = _ASK.format(url=url, patience_seconds=patience_seconds)
    region.run(namespace, name, program, nodeName=machine, container={"env": [_OWN]})
    said: dict[str, Any] = region.said(namespace, name)
    return said


def test_a_tenants_pod_has_no_more_than_its_spec_gives(region: RealRegion) -> None:
    region.run("search", "self", _SELF)
    assert region.said("search", "self") == {
        "uid": 10001,
        "seccomp": "2",
        "capabilities": "0000000000000000",
        "no new privileges": "1",
        "written": False,
    }, "the kernel holds what the spec says, no imitation of ours"


def test_a_container_over_its_memory_limit_is_ended_by_the_kernel(region: RealRegion) -> None:
    region.run("search", "greedy", "held = [bytearray(b'x' * (1 << 20)) for _ in range(200)]")

    def ended() -> dict[str, Any] | None:
        statuses = region.pod("search", "greedy")["status"].get("containerStatuses") or [{}]
        found: dict[str, Any] | None = statuses[0].get("state", {}).get("terminated")
        return found

    state = eventually(ended, "the container has ended", seconds=60)
    assert (state["reason"], state["exitCode"]) == ("OOMKilled", 137), "64Mi is its limit"


@pytest.mark.parametrize("machine", MACHINES)
def test_a_service_answers_by_its_name_on_every_machine(
    region: RealRegion, server: str, machine: str
) -> None:
    told = asked(region, "search", f"asks-{machine}", server, machine)
    assert told["said"] == told["own"], "policies judge by the caller's own address: none is hidden"


def test_a_network_policy_refuses_at_once_and_lets_in_whom_it_names(
    region: RealRegion, server: str
) -> None:
    before = asked(region, "chat", "before", server, MACHINES[1])
    assert before["said"] == before["own"], "without a policy everybody is let in"
    allowed = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "search"}}}
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": "search", "name": "own-project"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [allowed]}]},
    }
    region.make("networkpolicies", policy)
    try:

        def refused() -> dict[str, Any] | None:
            region.cluster.delete("/api/v1/namespaces/chat/pods/other")
            eventually(
                lambda: region.cluster.get("/api/v1/namespaces/chat/pods/other") is None or None,
                "the last pod of that name is gone",
                seconds=30,
            )
            told = asked(region, "chat", "other", server, MACHINES[1], patience_seconds=0)
            return told if told["said"].startswith("refused") else None

        assert eventually(refused, "another project is refused", seconds=30)
        for machine in MACHINES:
            own = asked(region, "search", f"own-{machine}", server, machine)
            assert own["said"] == own["own"], f"the project's own pods reach it from {machine}"
    finally:
        path = "/apis/networking.k8s.io/v1/namespaces/search/networkpolicies/own-project"
        region.cluster.delete(path)


def test_a_command_runs_in_a_container_from_outside(region: RealRegion, server: str) -> None:
    told = region.execute("search", "server", "/bin/cat", "/etc/hostname")
    assert told.strip() == "server", "`kubectl exec` goes through API server and kubelet"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nobody"}])
def test_a_kubelet_tells_nobody_without_a_known_name(
    region: RealRegion, headers: dict[str, str]
) -> None:
    network = Network(region.number)
    address = f"https://{network.machine_address(1)}:10250/pods"
    with own_session() as session:
        session.verify = str(region.home / "certs" / "authority.crt")
        answer = session.get(address, headers=headers, timeout=10)
        assert answer.status_code == 401, "a kubelet asks who is there"


def test_a_killed_kubelet_comes_back_and_its_pods_never_notice(
    region: RealRegion, server: str
) -> None:
    before = region.running("search", "server")["status"]["containerStatuses"][0]["containerID"]
    (old,) = programs_of(region, 1, "kubelet")
    os.kill(old, signal.SIGKILL)

    def replaced() -> int | None:
        return next((pid for pid in programs_of(region, 1, "kubelet") if pid != old), None)

    assert eventually(replaced, "the kubelet was started again", seconds=30)
    told = asked(region, "search", "after-kubelet", server, MACHINES[0])
    assert told["said"] == told["own"], "new pods start there"
    after = region.running("search", "server")["status"]["containerStatuses"][0]["containerID"]
    assert after == before, "containers are not the kubelet's children"


def test_a_killed_machine_leaves_no_process_and_starts_again_with_its_pods(
    region: RealRegion, server: str
) -> None:
    namespace = Network(region.number).machine_namespace(1)
    started = region.running("search", "server")["status"]["containerStatuses"][0]["restartCount"]
    (first,) = programs_of(region, 1, "init.py")
    os.kill(first, signal.SIGKILL)
    assert eventually(
        lambda: not processes_in(namespace) or None, "all of it has ended", seconds=20
    ), "the kernel ends a PID namespace with its first process"
    region.start()

    def restarted() -> bool | None:
        status = region.pod("search", "server")["status"]["containerStatuses"][0]
        return (status["restartCount"] > started and status["ready"]) or None

    assert eventually(restarted, "the pod runs again on its machine", seconds=60)
    told = asked(region, "search", "after-machine", server, MACHINES[1])
    assert told["said"] == told["own"], "its Service leads to it again"


@pytest.fixture(scope="module")
def our_images(region: RealRegion, image_storage: Path) -> dict[str, str]:
    """Our own images, built twice over the base of the sandbox: their addresses in its registry."""
    made = [built_images(region, image_storage) for _ in range(2)]
    assert made[0] == made[1], "the same tree over the same base gives the same digests"
    return made[0]


@pytest.mark.parametrize(
    ("image", "asks_for"),
    [
        ("prober", "prober: /etc/prober/config.json"),
        ("cache-agent", "the following arguments are required: VERB"),
    ],
)
def test_our_own_images_start_as_restricted_pods(
    region: RealRegion, our_images: dict[str, str], image: str, asks_for: str
) -> None:
    path = our_images[image].partition("/")[2]
    region.run("search", image, "", container={"image": f"registry.example.com/{path}", "args": []})
    eventually(
        lambda: region.pod("search", image)["status"]["phase"] == "Failed" or None,
        "it ended: nobody gave it a configuration",
        seconds=60,
    )
    assert asks_for in region.log("search", image), "all that the program imports is in its image"


def test_a_region_sees_the_host_by_one_address_and_nothing_behind_it(region: RealRegion) -> None:
    network = Network(region.number)
    program = """
import json, socket
def way(host, port):
    try:
        socket.create_connection((host, port), 2).close()
        return "open"
    except OSError as reason:
        return type(reason).__name__
print(json.dumps([way(host, port) for host, port in {asked}]))
"""
    own = [line.split()[3].split("/")[0] for line in printed("ip", "-4", "-o", "address")]
    others = [(address, 22) for address in own if not address.startswith(("127.", "198.18."))]
    beyond = [(f"198.18.{network.number % 254 + 1}.2", 6443), *others]
    places = [(network.api_address, 5000), (network.host_address, 9), *beyond]
    region.run("search", "looks", program.format(asked=places))
    registry, host, *rest = region.said("search", "looks")
    assert registry == "open", "images come from the region's registry"
    assert host == "ConnectionRefusedError", "the host is there, and nothing listens at that port"
    assert set(rest) == {"OSError"}, "there is no route to other regions and addresses of the host"


def test_nothing_is_left_when_a_region_is_taken_down_after_a_kill(
    region: RealRegion, own_settings: dict[str, str]
) -> None:
    """The last one: nothing of the region stands after it."""
    network = Network(region.number)
    names = names_of(network)
    running = [pid for name in names for pid in processes_in(name)]
    assert running
    for pid in running:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    region.stop()
    now = {name: path.read_text() for name, path in KERNEL.items()}
    assert now == own_settings, "a kubelet's settings are its machine's alone"
    left = left_of(network, names, region.world)
    assert not any(left.values()), f"a laptop is as it was: {left}"
