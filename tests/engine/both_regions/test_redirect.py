"""Who asks the public gateway without TLS is told the address with it, and reaches no model."""

from __future__ import annotations

from http.client import HTTPConnection
from typing import Final

import pytest

from components.kube import Object
from regions.sandbox.kube import Cluster
from tests.engine.both_regions.test_access import PATH, Caller, every_region
from tests.engine.site import until
from tests.engine.world import World, added, body, path_of

pytestmark = pytest.mark.engine

_TIMEOUT_SECONDS: Final = 10


def asked(world: World, region: str, host: str) -> tuple[int, str | None]:
    """Status and Location of a request without TLS."""
    address = world.network(region).gateway_address("public")
    connection = HTTPConnection(address, 80, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST", PATH, "{}", {"Host": host})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("location")
    finally:
        connection.close()


@every_region
def test_without_tls_a_caller_is_told_the_address_with_it(world: World, region: str) -> None:
    host = Caller(world, region).host("public")
    assert asked(world, region, host) == (301, f"https://{host}{PATH}")
    assert asked(world, region, "models.example.net")[0] == 404, "only for hosts of the region"


@every_region
def test_no_models_route_hangs_where_tokens_could_be_read(world: World, region: str) -> None:
    cluster, host = world.cluster(region), f"plain--search.{Caller(world, region).domain()}"
    rule = {"backendRefs": [{"kind": "Service", "name": "ranker", "port": 80}]}
    gateway = {"kind": "Gateway", "name": "public", "namespace": "isoserve-gateway"}
    spec = {"hostnames": [host], "parentRefs": [{**gateway, "sectionName": "redirect"}],
            "rules": [rule]}  # fmt: skip
    route = body("gateway.networking.k8s.io/v1", "HTTPRoute", "plain", "search", spec=spec)
    with added(cluster, route):
        until("the gateway has judged it", lambda: reasons(cluster, route) != set())
        assert reasons(cluster, route) == {"NotAllowedByListeners"}
        assert asked(world, region, host) == (301, f"https://{host}{PATH}"), "and not the model"


def reasons(cluster: Cluster, route: Object) -> set[str]:
    """Why a gateway does not take a route."""
    found = cluster.get(path_of(route)) or {}
    parents = found.get("status", {}).get("parents", ())
    conditions = (one for parent in parents for one in parent["conditions"])
    return {one["reason"] for one in conditions if one["type"] == "Accepted"}
