"""Which pods a Service means, and when the gateway knows it."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest

from regions.sandbox.kube import Object
from regions.sandbox.node.network import POD_RANGE
from regions.sandbox.traffic.endpoints import Endpoints, Target, endpoints
from regions.sandbox.traffic.propagation import PROPAGATION_SECONDS, Propagation
from regions.sandbox.traffic.watch import PATHS
from tests.regions.traffic_objects import SPACE, a_pod, a_service, by_key, came, went
from tests.regions.traffic_servers import Clock

RANKER = (SPACE, "ranker")
LOOPBACK = IPv4Network("127.0.0.0/8")
HERE = a_pod("here", "127.44.16.1")


def of_ranker(service: Object, *pods: Object) -> Endpoints:
    return endpoints(by_key(service), pods, LOOPBACK)[RANKER]


@pytest.mark.parametrize(
    ("why", "pod"),
    [
        ("it isn't ready", a_pod("absent", "127.44.16.2", ready="False")),
        ("it ends", a_pod("absent", "127.44.16.2", ending=True)),
        ("no process stands behind a simulated pod", a_pod("absent", "10.64.0.2")),
        ("it has no address yet", a_pod("absent", "")),
        ("it is somebody else's", a_pod("absent", "127.44.16.2", labels={"model": "other"})),
        ("it lives in another namespace", a_pod("absent", "127.44.16.2", namespace="other")),
    ],
)
def test_only_a_real_ready_pod_of_the_service_takes_traffic(why: str, pod: Object) -> None:
    found = of_ranker(a_service("ranker"), HERE, pod)
    assert found.ports[80] == (Target("search/here", "127.44.16.1", 8000),), why


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": 80, "targetPort": "http"}, 8000),
        ({"port": 80, "targetPort": 9999}, 9999),
        ({"port": 80}, 80),
        ({"port": 80, "targetPort": "unknown"}, None),
    ],
)
def test_a_target_port_is_a_number_a_name_or_the_services_own(
    port: Object, expected: int | None
) -> None:
    found = of_ranker(a_service("ranker", ports=[port]), HERE)
    assert [one.port for one in found.ports[80]] == ([expected] if expected else []), port


@pytest.mark.parametrize("selector", [{}, None])
def test_a_service_without_selector_means_nobody(selector: Any) -> None:
    assert not of_ranker(a_service("ranker", selector=selector), HERE).ports[80]


def test_on_real_machines_pods_have_another_range() -> None:
    pods = [a_pod("here", "10.244.1.7"), a_pod("simulated", "10.64.0.2"), HERE]
    service = a_service("ranker")
    found = endpoints(by_key(service), pods, IPv4Network(POD_RANGE))[RANKER].ports[80]
    assert [one.host for one in found] == ["10.244.1.7"], "nobody listens for a simulated pod"


def test_an_external_name_has_no_endpoints() -> None:
    assert endpoints(by_key(a_service("ranker", type="ExternalName")), [HERE], LOOPBACK) == {}


# -- propagation -----------------------------------------------------------------------------


def test_the_first_lists_count_at_once_and_every_later_change_after_a_while() -> None:
    clock, told = Clock(), []
    seen = Propagation(clock.later, lambda: told.append(clock.now))
    for kind in PATHS:
        assert not seen.complete, f"{kind} is missing"
        seen.hear(came(kind, *([HERE] if kind == "pods" else []), whole=True))
    assert seen.complete
    assert list(seen.objects("pods")) == [(SPACE, "here")], "the first list is what proxies know"
    told.clear()
    seen.hear(went("pods", HERE))
    clock.advance(PROPAGATION_SECONDS / 2)
    seen.hear(came("pods", a_pod("new", "127.44.16.2")))
    assert list(seen.objects("pods")) == [(SPACE, "here")], "a proxy doesn't know yet"
    clock.advance(PROPAGATION_SECONDS / 2)
    assert not seen.objects("pods"), "the removal has come through, what came later hasn't"
    clock.advance(PROPAGATION_SECONDS / 2)
    assert list(seen.objects("pods")) == [(SPACE, "new")]
    assert told == [PROPAGATION_SECONDS, PROPAGATION_SECONDS * 1.5], "each is told once"


def test_changes_of_one_moment_count_in_their_order() -> None:
    clock = Clock()
    seen = Propagation(clock.later, lambda: None)
    seen.hear(came("pods", whole=True))
    seen.hear(came("pods", HERE))
    seen.hear(went("pods", HERE))
    clock.advance(PROPAGATION_SECONDS)
    assert not seen.objects("pods"), "it came, then it went"


def test_a_new_whole_list_forgets_what_is_no_longer_in_it() -> None:
    clock, other = Clock(), a_pod("other", "127.44.16.2")
    seen = Propagation(clock.later, lambda: None)
    seen.hear(came("pods", HERE, whole=True))
    seen.hear(came("pods", other, whole=True))
    clock.advance(PROPAGATION_SECONDS)
    assert list(seen.objects("pods")) == [(SPACE, "other")], "deletions may have been missed"
