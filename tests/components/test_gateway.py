"""The proxies of each gateway are scraped where they stand, and let in from there."""

from __future__ import annotations

import pytest

from components.gateway import objects
from tests.builders import EVERYTHING, a_gateway, a_region_plan
from tests.examples import a_model, a_profile, of_kind, planned, rendered

IN = "kubernetes.io/metadata.name"


def test_envoy_itself_is_scraped_by_the_labels_that_envoy_gateway_gives_its_pods() -> None:
    monitor = objects(a_gateway(name="internal"), a_region_plan())[-1]
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
    found = objects(a_gateway(name="internal", tls_secret=""), a_region_plan(capabilities=able))
    assert [made["kind"] for made in found] == ["Gateway"]


def test_who_asks_without_tls_is_told_the_address_with_it_and_reaches_nothing() -> None:
    made, route, _ = objects(a_gateway(), a_region_plan())
    _, plain = made["spec"]["listeners"]
    assert (plain["port"], plain["protocol"]) == (80, "HTTP")
    assert plain["allowedRoutes"] == {"namespaces": {"from": "Same"}}, "no model's route"
    assert route["metadata"]["namespace"] == made["metadata"]["namespace"]
    (parent,) = route["spec"]["parentRefs"]
    assert parent["sectionName"] == plain["name"], "not at the listener with TLS: a loop"
    (rule,) = route["spec"]["rules"]
    (told,) = rule["filters"]
    assert told["requestRedirect"] == {"scheme": "https", "statusCode": 301}
    assert "backendRefs" not in rule, "a request that could be read on the way goes nowhere"


def test_cert_manager_is_asked_for_the_certificate_that_the_gateway_names() -> None:
    plan = a_gateway(tls_issuer="ClusterIssuer/letsencrypt")
    made, _, certificate, _ = objects(plan, a_region_plan())
    assert certificate["kind"] == "Certificate"
    (named,) = made["spec"]["listeners"][0]["tls"]["certificateRefs"]
    assert certificate["spec"] == {
        "dnsNames": [plan.hostname],
        "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "letsencrypt"},
        "secretName": named["name"],
    }, "of every model's host, into the Secret that Envoy reads"


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
