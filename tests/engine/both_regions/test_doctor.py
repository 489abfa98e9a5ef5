"""`isoserve doctor` on real clusters: what a sandbox lacks, and one thing broken after the other.

No controller of Gateway API runs in a sandbox, images have an example's names and nobody makes a
certificate: the doctor says so of every sandbox.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, NamedTuple

import pytest

from components.kube import Object
from regions.sandbox.kube import Cluster
from tests.engine.site import until
from tests.engine.world import REGIONS, World, added, body

pytestmark = pytest.mark.engine

AWS: Final = "sandbox-aws"
KNOWN: Final = {
    "sandbox-aws": {"gateways", "secrets"},
    "sandbox-onprem": {"definitions", "gateways", "keys", "secrets"},
}
"""The checks that find something in every sandbox; of onprem also that nothing measures CPU, and
that no proxy could read the keys of the cluster's own issuer."""
UNSEEN: Final = {"envoy-gateway", "images", "names"}


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


PROMETHEUS: Final = "/apis/monitoring.coreos.com/v1/namespaces/monitoring/prometheuses/prometheus"
NO_CERTIFICATE: Final = base64.b64encode(b"no certificate").decode()
BROKEN: Final[dict[str, tuple[Object, str, str]]] = {
    "a certificate that is none": (
        body("v1", "Secret", "isoserve-public-tls", "isoserve-gateway", type="kubernetes.io/tls",
             data={"tls.crt": NO_CERTIFICATE, "tls.key": NO_CERTIFICATE}),
        "secrets", "no certificate",
    ),
    "a class whose controller does not run": (
        body("gateway.networking.k8s.io/v1", "GatewayClass", "envoy",
             spec={"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"}),
        "gateways", "envoy is not Accepted",
    ),
}  # fmt: skip
"""An object that is added, the check that finds it, and what that says."""


@pytest.mark.parametrize("what", BROKEN)
def test_one_thing_that_is_broken_is_found(world: World, what: str) -> None:
    made, check, said = BROKEN[what]
    check_found(world, added(world.cluster(AWS), made), check, said)


def test_a_prometheus_that_selects_nothing_of_ours_is_found(world: World) -> None:
    check_found(world, selecting_others(world.cluster(AWS)), "prometheus", "release")


@contextmanager
def selecting_others(cluster: Cluster) -> Iterator[None]:
    """For a while the region's Prometheus shall read what somebody else's release brings.

    It is paused meanwhile: its operator leaves it alone, and it goes on to read what it has read.
    """

    def change(paused: bool, labels: dict[str, str] | None) -> None:
        fields = ("podMonitorSelector", "ruleSelector")
        selectors = {field: {"matchLabels": labels} for field in fields}
        wanted = {"spec": {"paused": paused, **selectors}}
        cluster.send("PATCH", PROMETHEUS, wanted, "application/merge-patch+json")

    change(True, {"release": "other"})
    try:
        yield
    finally:
        change(False, None)


def check_found(world: World, broken: AbstractContextManager[None], check: str, said: str) -> None:
    """While it is broken a check finds it, with what mends it, and no longer."""
    before, _ = examined(world, AWS)
    with broken:
        found, _ = examined(world, AWS)
    new = [one for one in found - before if said in f"{one.what} {one.mend}"]
    assert {one.check for one in new} == {check}, found - before
    assert all(one.mend for one in new), "and what mends it"
    assert examined(world, AWS)[0] == before, "mended, it is found no more"
