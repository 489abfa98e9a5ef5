"""Who reaches whom: TCP connections between a pod of each workload, beside what rules compute.

Every workload of the examples has a stand-in here: a pod with its labels and its ports, in its
namespace, with all rendered NetworkPolicies in force. Beside them stand a gateway's pod, one of the
monitoring and one of a namespace that nobody knows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from components.kube import Object
from policies.callers import some_pods
from policies.podsets import TCP, PodSet, pod_sets
from policies.reach import Reach
from policies.resources import Resource
from policies.rule import Estate
from policies.walls import LABEL_NAMESPACE, Sender, admits, releases, selects
from tests.engine.real_region import (
    MACHINES,
    RealRegion,
    namespace,
    python_pod,
    real_region,
)
from tests.examples import objects_of, of_kind
from tests.policies.estate import facts, good

pytestmark = pytest.mark.engine

REGION: Final = "sandbox-onprem"
OTHERS: Final = ("envoy-gateway-system", "monitoring", "nobody-knows")
IN_FORCE_SECONDS: Final = 60.0
UNDECLARED: Final = 7777
"""A port on which every stand-in listens and that no workload declares."""

_LISTENS: Final = """
import socket, time
held = [socket.create_server(("", port)) for port in {ports}]
while True:
    time.sleep(60)
"""
_TRIES: Final = """
import concurrent.futures, json, socket, sys
def open_to(place):
    try:
        socket.create_connection((place[1], place[2]), 2).close()
        return True
    except OSError:
        return False
places = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(open_to, places))))
"""


@dataclass(frozen=True, slots=True)
class StandIn:
    """A pod in the place of those of one workload."""

    name: str
    pods: PodSet
    ports: tuple[int, ...]

    @property
    def namespace(self) -> str:
        return self.pods.namespace


def stand_ins(estate: Estate) -> list[StandIn]:
    """One for each workload, and one for each kind of pod that isoserve does not render."""
    found = []
    for index, pods in enumerate(pod_sets(estate)):
        numbers = {number for ports in pods.ports.values() for number, kind in ports if kind == TCP}
        found.append(StandIn(f"pod-{index}", pods, (*sorted(numbers), UNDECLARED)))
    gateway_ports = (10080, 10443, UNDECLARED)
    return [*found, *(StandIn("pod", some_pods(name), gateway_ports) for name in OTHERS)]


def made_of(one: StandIn, machine: str) -> Object:
    """The pod: the workload's labels and its named ports, and a program that listens on them."""
    named = [
        {"name": name, "containerPort": number}
        for name, ports in one.pods.ports.items()
        for number, kind in ports
        if kind == TCP and name
    ]
    program = _LISTENS.format(ports=list(one.ports))
    pod = python_pod(one.namespace, one.name, program, nodeName=machine, container={"ports": named})
    pod["metadata"]["labels"] = dict(one.pods.labels)
    return pod


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegion]:
    with real_region(tmp_path_factory.mktemp("walls") / "tree", MACHINES) as made:
        yield made


@pytest.fixture(scope="module")
def estate() -> Estate:
    return Estate(good(REGION), facts(REGION))


def test_pods_of_each_kind_reach_just_whom_the_rules_compute(
    region: RealRegion, estate: Estate
) -> None:
    spaces = {one["metadata"]["name"]: one for one in of_kind("Namespace", objects_of(REGION))}
    for name in (*spaces, *OTHERS):
        region.make("namespaces", spaces.get(name) or namespace(name))
    standing = stand_ins(estate)
    for index, one in enumerate(standing):
        region.make("pods", made_of(one, MACHINES[index % len(MACHINES)]))
    addresses = {
        (one.namespace, one.name): region.running(one.namespace, one.name)["status"]["podIP"]
        for one in standing
    }
    reached = tried(region, standing, addresses)
    assert all(reached.values()), "before there is a policy everybody reaches everybody"
    for policy in of_kind("NetworkPolicy", objects_of(REGION)):
        region.make("networkpolicies", policy)
    labels = {name: labels_of(spaces.get(name), name) for name in (*spaces, *OTHERS)}
    wanted = computed(estate, standing, labels)
    deadline = time.monotonic() + IN_FORCE_SECONDS
    while wrong := differences(tried(region, standing, addresses), wanted):
        assert time.monotonic() < deadline, f"real pods and the rules disagree: {wrong[:10]}"
    assert 20 < sum(wanted.values()) < len(wanted) / 2, "some pass, and most do not"


Way = tuple[tuple[str, str], tuple[str, str], int]
"""From a pod to a pod's port."""


def ways(standing: list[StandIn]) -> Iterator[tuple[StandIn, StandIn, int]]:
    for sender in standing:
        for target in standing:
            if target is not sender:
                yield from ((sender, target, port) for port in target.ports)


def tried(
    region: RealRegion, standing: list[StandIn], addresses: dict[tuple[str, str], str]
) -> dict[Way, bool]:
    """Every way, by a real connection out of the sender's container."""
    found: dict[Way, bool] = {}
    for sender in standing:
        mine = [(to, port) for one, to, port in ways(standing) if one is sender]
        places = [[to.name, addresses[to.namespace, to.name], port] for to, port in mine]
        command = ("/usr/bin/python3", "-c", _TRIES, json.dumps(places))
        told = json.loads(region.execute(sender.namespace, sender.name, *command))
        for (to, port), is_open in zip(mine, told, strict=True):
            found[(sender.namespace, sender.name), (to.namespace, to.name), port] = is_open
    return found


def computed(
    estate: Estate, standing: list[StandIn], spaces: dict[str, dict[str, str]]
) -> dict[Way, bool]:
    """Every way, by the rules' own reading of the policies."""
    reach = Reach(estate)
    found: dict[Way, bool] = {}
    for sender, to, port in ways(standing):
        who = Sender(sender.namespace, spaces[sender.namespace], sender.pods.labels, "")
        out = releases(reach.walls(sender.pods), sender.pods, to.pods, port, TCP)
        out = out or lets_its_own_out(reach.walls(sender.pods), sender, to, who, port)
        come = admits(reach.walls(to.pods), to.pods, who, port, TCP)
        found[(sender.namespace, sender.name), (to.namespace, to.name), port] = out and come
    return found


def lets_its_own_out(
    walls: list[Resource], sender: StandIn, to: StandIn, who: Sender, port: int
) -> bool:
    """Where kube-router is laxer than Kubernetes: between pods of one policy.

    It keeps a policy's rules of both directions in one chain, which what goes out runs through too:
    a rule by which pods of the policy may come in lets them out to each other
    (cloudnativelabs/kube-router v2.1, pkg/controllers/netpol/policy.go, networkPolicyChainName).
    """
    shared = [
        wall
        for wall in walls
        if selects(wall, sender.pods, "Egress") and selects(wall, to.pods, "Ingress")
    ]
    return any(admits([wall], to.pods, who, port, TCP) for wall in shared)


def labels_of(made: Object | None, name: str) -> dict[str, str]:
    """The labels of a namespace: rendered ones, and the one that the API server sets."""
    rendered = made["metadata"].get("labels") or {} if made else {}
    return {**rendered, LABEL_NAMESPACE: name}


def differences(found: dict[Way, bool], wanted: dict[Way, bool]) -> list[str]:
    """Where the two are not alike, in words."""
    return [
        f"{way}: open {found[way]}, computed {wanted[way]}"
        for way in found
        if found[way] is not wanted[way]
    ]
