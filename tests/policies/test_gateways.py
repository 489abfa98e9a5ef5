"""The region's two entrances are the platform's, or they are refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest

from policies.gateways import RULES
from tests.examples import REGIONS
from tests.policies.attacks import GATEWAY_API, edited, made, messages
from tests.policies.cases import Failing
from tests.policies.estate import said

(KNOWN,) = RULES
OWN = made(f"{GATEWAY_API}/v1", "Gateway", "search", "own", {}, spec={"listeners": []})
AWS_SCHEME: Final = "service.beta.kubernetes.io/aws-load-balancer-scheme"
AWS_TYPE: Final = "service.beta.kubernetes.io/aws-load-balancer-type"


def balancer(spec: Any) -> Any:
    return spec["infrastructure"]["annotations"]


FAILING: Final[Failing] = {KNOWN.name: partial(said, KNOWN, OWN)}


@pytest.mark.parametrize("region", REGIONS)
def test_the_platforms_own_gateways_are_known(region: str) -> None:
    assert said(KNOWN, region=region) == []


@pytest.mark.parametrize(
    ("gateway", "change", "words"),
    [
        ("public", lambda s: s.update(infrastructure={}), "may stand anywhere"),
        ("public", lambda s: s["infrastructure"].update(parametersRef={"name": "own"}),
         "sets infrastructure.parametersRef, which may move its address"),
        ("internal", lambda s: balancer(s).update({AWS_SCHEME: "internet-facing"}),
         "would not stand on its side, got 'internet-facing'; write 'internal'"),
        ("internal", lambda s: balancer(s).pop(AWS_TYPE), f"lacks annotation {AWS_TYPE}"),
        ("internal", lambda s: balancer(s).pop(AWS_SCHEME),
         f"lacks annotation {AWS_SCHEME}"),
        ("internal", lambda s: balancer(s).update({AWS_TYPE: "nlb"}),
         "and not read its scheme, got 'nlb'"),
        ("internal", lambda s: balancer(s).update({"any.cloud/public": "1"}),
         "has annotation any.cloud/public, which the profile does not give"),
        ("public", lambda s: balancer(s).update({AWS_SCHEME: "internal"}),
         "write 'internet-facing'"),
        ("internal", lambda s: s.update(addresses=[{"value": "1.2.3.4"}]), "sets addresses"),
        ("internal", lambda s: s.update(gatewayClassName="other"), "is of class other"),
        ("internal", lambda s: s["listeners"][0].update(hostname="*.aws.sandbox.example.com"),
         "listens for *.aws.sandbox.example.com"),
        ("public", lambda s: s["listeners"][0].pop("hostname"), "listens for every host"),
        ("public", lambda s: s["listeners"][0]["allowedRoutes"].update(namespaces={"from": "All"}),
         "takes routes from every namespace"),
        ("public", lambda s: s["listeners"][0].update(protocol="HTTP"), "without TLS"),
        ("public", lambda s: s["listeners"][0].update(tls={"mode": "Passthrough"}), "without TLS"),
        ("public", lambda s: s["listeners"][0].update(tls={"certificateRefs": []}), "without TLS"),
        ("public", lambda s: s["listeners"].append({**s["listeners"][0], "protocol": "HTTP"}),
         "without TLS"),
    ],
)  # fmt: skip
def test_a_changed_gateway_is_refused(
    gateway: str, change: Callable[[Any], object], words: str
) -> None:
    label = f"Gateway isoserve-gateway/{gateway}"
    found = said(KNOWN, edited(label, lambda values: change(values["spec"])))
    assert words in messages(found)
    assert found[0].place.file == "regions/sandbox-aws.yaml", "gateways are the region's"


@pytest.mark.parametrize(
    ("namespace", "name"), [("search", "public"), ("isoserve-gateway", "third"), ("chat", "own")]
)
def test_a_third_gateway_is_refused_though_no_route_names_it(namespace: str, name: str) -> None:
    gateway = made(f"{GATEWAY_API}/v1", "Gateway", namespace, name, {}, spec={"listeners": []})
    (finding,) = said(KNOWN, gateway)
    assert "is an entrance of its own; remove it" in finding.place.message
