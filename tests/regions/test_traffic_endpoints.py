"""Names and addresses: which pods a Service means, and by what names pods find each other."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from regions.sandbox.kube import Object
from regions.sandbox.traffic import addresses, hosts
from regions.sandbox.traffic.endpoints import Endpoints, Target, endpoints
from regions.sandbox.traffic.propagation import PROPAGATION_SECONDS, Propagation
from regions.sandbox.traffic.watch import PATHS
from tests.regions.traffic_objects import SPACE, a_pod, a_service, by_key, came, went
from tests.regions.traffic_servers import Clock

RANKER = (SPACE, "ranker")
HERE = a_pod("here", "127.44.16.1")


def of_ranker(service: Object, *pods: Object) -> Endpoints:
    return endpoints(by_key(service), pods)[RANKER]


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
    assert found.addresses == ("127.44.16.1",), why


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
    assert not of_ranker(a_service("ranker", selector=selector), HERE).addresses


def test_an_external_name_has_no_endpoints() -> None:
    assert endpoints(by_key(a_service("ranker", type="ExternalName")), [HERE]) == {}


# -- addresses -------------------------------------------------------------------------------


def test_a_services_address_depends_on_its_name_alone() -> None:
    names = [f"search/model-{n}" for n in range(2000)]
    shuffled = random.Random(7).sample(names, len(names))
    first = addresses.given({}, names, "127.44")
    assert addresses.given({}, shuffled, "127.44") == first, "nobody's order decides"
    assert len(set(first.values())) == len(names), "no two Services share one"
    subnets = {int(ip.split(".")[2]) for ip in first.values()}
    assert subnets == set(range(1, 16)), "0 is the gateway's, 16 and above are pods'"
    assert {int(ip.split(".")[3]) for ip in first.values()} <= set(range(1, 255))


def test_a_service_keeps_its_address_when_others_come_and_go() -> None:
    before = addresses.given({}, ["a/a", "b/b"], "127.44")
    after = addresses.given(before, ["b/b", *(f"c/{n}" for n in range(500))], "127.44")
    assert before.items() <= after.items(), "a client may still have it"


def test_addresses_of_another_network_are_given_anew() -> None:
    before = addresses.given({}, ["a/a"], "127.44")
    assert addresses.given(before, ["a/a"], "127.45")["a/a"].startswith("127.45.")


def test_a_full_network_takes_back_what_nobody_uses() -> None:
    everybody = addresses.given({}, [f"a/{n}" for n in range(15 * 254)], "127.44")
    now = addresses.given(everybody, ["b/b", "a/1"], "127.44")
    assert now["a/1"] == everybody["a/1"], "who stays, stays"
    assert set(now) == {"b/b", "a/1"}, "there was no free one left"


# -- the hosts file --------------------------------------------------------------------------

OUTSIDE = ("127.44.0.2", "registry.isoserve-system.svc")
THREE = "ranker.search ranker.search.svc ranker.search.svc.cluster.local"


def text_of(service: Object, *pods: Object, routes: tuple[str, ...] = ()) -> list[str]:
    found = endpoints(by_key(service), pods)
    given = {"search/ranker": "127.44.1.9"}
    return hosts.text(OUTSIDE, found, given, ("127.44.0.1", routes)).splitlines()


def test_a_service_is_found_by_its_three_names() -> None:
    assert f"127.44.1.9 {THREE}" in text_of(a_service("ranker")), "with pods or without"


def test_a_headless_service_is_found_as_all_of_its_ready_pods() -> None:
    pods = [HERE, a_pod("late", "127.44.16.3", ready="False"), a_pod("two", "127.44.17.1")]
    lines = text_of(a_service("ranker", clusterIP="None"), *pods)
    assert [line for line in lines if "ranker" in line] == [
        f"127.44.16.1 {THREE}",
        f"127.44.17.1 {THREE}",
    ]


def test_routes_the_registry_and_this_host_have_names() -> None:
    lines = text_of(a_service("ranker"), routes=("b.test", "*.test", "a.test", "b.test"))
    assert lines[-2:] == ["127.44.0.1 a.test", "127.44.0.1 b.test"], "no wildcards, none twice"
    assert "127.0.0.1 localhost" in lines
    name = "registry.isoserve-system"
    assert f"127.44.0.2 {name} {name}.svc {name}.svc.cluster.local" in lines


def test_one_name_is_one_place() -> None:
    service = a_service("ranker")
    text = hosts.text(
        ("127.44.0.2", "ranker.search.svc"),
        endpoints(by_key(service), [HERE]),
        {"search/ranker": "127.44.1.9"},
        ("127.44.0.1", ()),
    )
    assert "127.44.1.9" not in text, "a lookup would give both"


@pytest.mark.parametrize("after", ["short\n", "a much longer text than there was before\n"])
def test_the_hosts_file_stays_the_same_file(tmp_path: Path, after: str) -> None:
    path = tmp_path / "region" / "hosts"
    assert hosts.write_in_place(path, "what there was before\n")
    inode = path.stat().st_ino
    with path.open() as held:  # as a container does
        assert hosts.write_in_place(path, after)
        assert held.read() == after, "who holds it sees the new text"
    assert path.stat().st_ino == inode, "a bind mount would keep showing the old one"
    os.utime(path, ns=(0, 0))
    assert not hosts.write_in_place(path, after)
    assert path.stat().st_mtime_ns == 0, "what is the same isn't written"


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
