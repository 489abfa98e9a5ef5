"""`isoserve doctor` on real clusters: what a sandbox lacks, and one thing broken after the other.

No controller of Gateway API and no Prometheus operator run in a sandbox, images have an example's
names and nobody makes a certificate: the doctor says so of every sandbox.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import pytest

from regions.sandbox.kube import Cluster
from tests.engine.site import until
from tests.engine.world import REGIONS, World

pytestmark = pytest.mark.engine

AWS: Final = "sandbox-aws"
KNOWN: Final = {
    "sandbox-aws": {"gateways", "secrets"},
    "sandbox-onprem": {"definitions", "gateways", "keys", "secrets"},
}
"""The checks that find something in every sandbox; of onprem also that nothing measures CPU, and
that no proxy could read the keys of the cluster's own issuer."""
UNSEEN: Final = {"envoy-gateway", "images", "names", "prometheus"}
TLS: Final = "/api/v1/namespaces/isoserve-gateway/secrets"


class Found(NamedTuple):
    check: str
    what: str
    mend: str


def examined(world: World, region: str) -> tuple[set[Found], set[str]]:
    """What the command finds, and the checks that could not look."""
    done = world.run("isoserve", "doctor", "-r", region, "--json", env=world.engine_env())
    told: dict[str, Any] = json.loads(done.stdout)
    found = {Found(**one) for one in told["findings"]}
    assert done.returncode == (1 if found else 0), done.stderr
    return found, {one["check"] for one in told["not_looked_at"]}


@pytest.mark.parametrize("region", REGIONS)
def test_a_sandbox_is_told_what_it_lacks_and_nothing_else(world: World, region: str) -> None:
    # Prometheus has the agents' series once it has read them for the first time.
    until("its series arrive", lambda: "series" not in checks(examined(world, region)[0]))
    found, unseen = examined(world, region)
    assert checks(found) == KNOWN[region]
    assert unseen == UNSEEN


def checks(found: set[Found]) -> set[str]:
    return {one.check for one in found}


@contextmanager
def a_prometheus(cluster: Cluster) -> Iterator[None]:
    """A Prometheus that selects nothing of ours; no operator runs here that would start it."""
    path = "/apis/monitoring.coreos.com/v1/namespaces/default/prometheuses/other"
    labels = {"matchLabels": {"release": "other"}}
    body = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": "other", "namespace": "default"},
        "spec": {"podMonitorSelector": labels, "ruleSelector": labels},
    }
    cluster.apply(path, body)
    try:
        yield
    finally:
        assert cluster.session.delete(f"{cluster.url}{path}", timeout=30).ok


@contextmanager
def a_wrong_certificate(cluster: Cluster) -> Iterator[None]:
    """A Secret of another type in the place of the gateways' certificate."""
    name = f"{TLS}/isoserve-public-tls"
    text = base64.b64encode(b"no certificate").decode()
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "isoserve-public-tls", "namespace": "isoserve-gateway"},
        "data": {"tls.crt": text, "tls.key": text},
        "type": "kubernetes.io/tls",
    }
    cluster.apply(name, body)
    try:
        yield
    finally:
        assert cluster.session.delete(f"{cluster.url}{name}", timeout=30).ok


@contextmanager
def a_class_that_nobody_accepts(cluster: Cluster) -> Iterator[None]:
    """The GatewayClass of the profile, of a controller that does not run."""
    path = "/apis/gateway.networking.k8s.io/v1/gatewayclasses/envoy"
    body = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "envoy"},
        "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"},
    }
    cluster.apply(path, body)
    try:
        yield
    finally:
        assert cluster.session.delete(f"{cluster.url}{path}", timeout=30).ok


BROKEN: Final[dict[str, tuple[Callable[[Cluster], Any], str, str]]] = {
    "prometheus": (a_prometheus, "prometheus", "release"),
    "certificate": (a_wrong_certificate, "secrets", "no certificate"),
    "class": (a_class_that_nobody_accepts, "gateways", "envoy is not Accepted"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_one_thing_that_is_broken_is_found(world: World, what: str) -> None:
    spoil, check, said = BROKEN[what]
    before, _ = examined(world, AWS)
    with spoil(world.cluster(AWS)):
        found, _ = examined(world, AWS)
    new = [one for one in found - before if said in f"{one.what} {one.mend}"]
    assert {one.check for one in new} == {check}, found - before
    assert all(one.mend for one in new), "and what mends it"
    assert examined(world, AWS)[0] == before, "mended, it is found no more"
