"""The proxies of each gateway are scraped where they stand, and let in from there."""

from __future__ import annotations

import pytest

from components.gateway import objects
from tests.builders import EVERYTHING, a_gateway, a_region_plan
from tests.examples import a_model, a_profile, of_kind, planned, rendered

IN = "kubernetes.io/metadata.name"


def test_envoy_itself_is_scraped_by_the_labels_that_envoy_gateway_gives_its_pods() -> None:
    _, monitor = objects(a_gateway(name="internal"), a_region_plan())
    assert monitor["kind"] == "PodMonitor"
    assert monitor["spec"]["selector"]["matchLabels"] == {
        "gateway.envoyproxy.io/owning-gateway-name": "internal",
        "gateway.envoyproxy.io/owning-gateway-namespace": "isoserve-gateway",
    }
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["envoy-gateway-system"]}, (
        "the pods stand with the controller, not with the Gateway"
    )
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("metrics", "/stats/prometheus")


def test_without_an_operator_nobody_would_read_a_monitor() -> None:
    able = tuple(name for name in EVERYTHING if name != "prometheus_operator")
    found = objects(a_gateway(), a_region_plan(capabilities=able))
    assert [made["kind"] for made in found] == ["Gateway"]


@pytest.mark.parametrize("where", [("isoserve-gateway",), ("edge-a", "edge-b")])
def test_every_network_policy_follows_where_the_proxies_stand(where: tuple[str, ...]) -> None:
    profile = a_profile(proxy_namespaces=where)
    found = rendered(planned(a_model(access="permissive"), profile=profile))
    policies = {made["metadata"]["name"]: made["spec"] for made in of_kind("NetworkPolicy", found)}

    def named(peers: list[dict[str, dict[str, dict[str, str]]]]) -> set[str]:
        return {
            peer["namespaceSelector"]["matchLabels"][IN]
            for peer in peers
            if "namespaceSelector" in peer
        }

    model, prober = policies["sentiment--8000"], policies["prober"]
    assert named(model["ingress"][0]["from"]) == {"search", "monitoring", *where}, (
        "a request comes from the proxy's pod, wherever its Gateway stands"
    )
    assert named(prober["egress"][1]["to"]) == {*where}, "the prober asks as a user does"
    assert named(policies["default-callers"]["egress"][0]["to"]) == {"search", *where}
