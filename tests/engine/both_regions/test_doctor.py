"""`isoserve doctor` on real clusters: what a sandbox lacks, and one thing broken after the other.

Images have an example's names there, and this machine resolves no host of the regions' domains.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, NamedTuple

import pytest

from regions.sandbox.kube import Cluster
from tests.engine.site import until
from tests.engine.world import REGIONS, World, added, body

pytestmark = pytest.mark.engine

AWS: Final = "sandbox-aws"
KNOWN: Final = {"sandbox-aws": {"names"}, "sandbox-onprem": {"definitions", "names"}}
"""The checks that find something in every sandbox; of onprem also that nothing measures CPU."""
UNSEEN: Final = {"sandbox-aws": {"images", "names"}, "sandbox-onprem": {"images", "keys", "names"}}
"""Those that cannot look at all; of onprem whether proxies trust its API server's certificate."""


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
    assert unseen == UNSEEN[region]


def checks(found: set[Found]) -> set[str]:
    return {one.check for one in found}


PROMETHEUS: Final = "/apis/monitoring.coreos.com/v1/namespaces/monitoring/prometheuses/prometheus"
TLS: Final = "/api/v1/namespaces/isoserve-gateway/secrets/isoserve-public-tls"
ENVOY: Final = "/api/v1/namespaces/envoy-gateway-system/configmaps/envoy-gateway-config"
BROKEN: Final = {
    "a certificate that is none": (
        TLS, {"tls.crt": base64.b64encode(b"no certificate").decode()}, "secrets", "no certificate",
    ),
    "a controller without the rate limit": (
        ENVOY, {"envoy-gateway.yaml": "provider: {type: Kubernetes}"}, "envoy-gateway", "rateLimit",
    ),
}  # fmt: skip
"""Another content of an object, the check that finds it, and what that says."""


@pytest.mark.parametrize("what", BROKEN)
def test_one_thing_that_is_broken_is_found(world: World, what: str) -> None:
    path, data, check, said = BROKEN[what]
    check_found(world, holding(world.cluster(AWS), path, data), check, said)


@contextmanager
def holding(cluster: Cluster, path: str, data: dict[str, str]) -> Iterator[None]:
    """For a while an object has other data."""
    found = cluster.get(path)
    assert found is not None, path
    merge = "application/merge-patch+json"
    cluster.send("PATCH", path, {"data": data}, merge)
    try:
        yield
    finally:
        cluster.send("PATCH", path, {"data": {key: found["data"][key] for key in data}}, merge)


def test_a_proxy_where_no_policy_lets_it_in_is_found(world: World) -> None:
    labels = {"gateway.envoyproxy.io/owning-gateway-namespace": "isoserve-gateway"}
    container = {"name": "proxy", "image": "isoserve.dev/pause:1"}
    # On no node, so that it goes as soon as it is deleted.
    nowhere = {"containers": [container], "nodeSelector": {"nobody": "has-it"}}
    stray = body("v1", "Pod", "stray", "default", spec=nowhere)
    stray["metadata"]["labels"] = labels
    check_found(world, added(world.cluster(AWS), stray), "gateways", "default")


def test_a_chart_whose_upgrade_was_killed_is_found(world: World) -> None:
    name = "sh.helm.release.v1.envoy-gateway.v2"
    record = body("v1", "Secret", name, "envoy-gateway-system")
    record["metadata"]["labels"] = {
        "owner": "helm", "name": "envoy-gateway", "status": "pending-upgrade", "version": "2"
    }  # fmt: skip
    check_found(world, added(world.cluster(AWS), record), "workloads", f"delete secret {name}")


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
