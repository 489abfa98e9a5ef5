"""Who may call a model from where: three kinds of access, and none of them by accident."""

from __future__ import annotations

from typing import Any

import pytest

from components.gateway import objects as gateway
from components.kube import Object
from components.model_route import objects
from model_specs.names import LABEL_MODEL
from regions.model_plan import BackendPlan, ServerPlan
from tests.builders import a_gateway, a_public_access, a_region_plan, a_server, an_access
from tests.examples import REGIONS, Identity, by_identity, identity, objects_of, plan_of

every_region = pytest.mark.parametrize("region", REGIONS)
INSIDE = an_access(
    mode="permissive", gateway="internal", hostname="sentiment--search.internal.example.com"
)
OUTSIDE = a_public_access()


def routed(access: Any) -> dict[str, Object]:
    return {made["kind"]: made for made in objects(a_server(access=access))}


def is_of_a_model(made: Object) -> bool:
    """Whether it is a model's route, not the gateway's redirect."""
    return made["kind"] == "HTTPRoute" and LABEL_MODEL in made["metadata"]["labels"]


def rendered_by(server: ServerPlan) -> set[str]:
    return {made["kind"] for made in objects(server)}


@every_region
def test_access_decides_what_is_rendered(region: str) -> None:
    wanted = {
        "private": set(),
        "permissive": {"HTTPRoute", "BackendTrafficPolicy"},
        "public": {"HTTPRoute", "BackendTrafficPolicy", "SecurityPolicy"},
    }
    servers = plan_of(region).servers
    assert {server.access.mode for server in servers} >= {"private", "permissive"}
    for server in servers:
        assert rendered_by(server) == wanted[server.access.mode], server.workload.id


def test_the_examples_have_a_public_model() -> None:
    modes = {server.access.mode for region in REGIONS for server in plan_of(region).servers}
    assert "public" in modes, "what nobody shows nobody tests"


@every_region
def test_every_backend_of_a_route_is_there(region: str) -> None:
    found = by_identity(objects_of(region))
    for made in found.values():
        if not is_of_a_model(made):
            continue
        namespace = made["metadata"]["namespace"]
        probe, rule = made["spec"]["rules"]
        assert probe["backendRefs"] == rule["backendRefs"], "a probe takes the way a user takes"
        mirrors = [f["requestMirror"]["backendRef"] for f in rule.get("filters", ())]
        for backend in [*rule["backendRefs"], *mirrors]:
            key = Identity("Service", namespace, backend["name"])
            assert key in found, f"{identity(made)} answers 500"
            ports = [port["port"] for port in found[key]["spec"]["ports"]]
            assert backend["port"] in ports
        assert sum(b["weight"] for b in rule["backendRefs"]) == 100


@every_region
def test_every_policy_targets_a_route_that_is_there(region: str) -> None:
    found = by_identity(objects_of(region))
    policies = [o for o in found.values() if o["apiVersion"].startswith("gateway.envoyproxy.io")]
    assert policies
    for made in policies:
        (target,) = made["spec"]["targetRefs"]
        key = Identity("HTTPRoute", made["metadata"]["namespace"], target["name"])
        assert key in found, f"{identity(made)} guards nothing"


@every_region
def test_no_two_routes_share_a_host(region: str) -> None:
    hosts = [
        host
        for made in objects_of(region)
        if made["kind"] == "HTTPRoute"
        for host in made["spec"]["hostnames"]
    ]
    assert len(hosts) == len(set(hosts)), "one model would answer for another"


def takes_models(listener: dict[str, Any]) -> bool:
    """Whether routes of projects hang on a listener, not the gateway's own redirect alone."""
    return bool(listener["allowedRoutes"]["namespaces"]["from"] == "Selector")


def matches(host: str, pattern: str) -> bool:
    """A Gateway's wildcard stands for one label or more (Gateway API, Hostname)."""
    return host.endswith(pattern.removeprefix("*")) and host != pattern.removeprefix("*.")


@every_region
def test_a_route_hangs_on_a_gateway_that_takes_its_host(region: str) -> None:
    found = by_identity(objects_of(region))
    gateways = [key for key in found if key.kind == "Gateway"]
    for made in found.values():
        if not is_of_a_model(made) or not gateways:
            continue
        (parent,) = made["spec"]["parentRefs"]
        key = Identity("Gateway", parent["namespace"], parent["name"])
        (listener,) = [one for one in found[key]["spec"]["listeners"] if takes_models(one)]
        (host,) = made["spec"]["hostnames"]
        assert matches(host, listener["hostname"]), f"{host} is refused at the gateway"


# -- private ---------------------------------------------------------------------------------


def test_a_private_model_has_no_way_in_from_a_gateway() -> None:
    assert routed(an_access()) == {}


# -- permissive ------------------------------------------------------------------------------


def test_a_permissive_model_is_inside_and_limited() -> None:
    found = routed(INSIDE)
    (parent,) = found["HTTPRoute"]["spec"]["parentRefs"]
    assert parent["name"] == "internal", "nothing anonymous is reached from outside"
    limit = found["BackendTrafficPolicy"]["spec"]["rateLimit"]
    assert limit["type"] == "Local"
    (rule,) = limit["local"]["rules"]
    assert rule["limit"] == {"requests": 600, "unit": "Minute"}
    assert "clientSelectors" not in rule, "who is not asked for a name cannot be told apart"


# -- public ----------------------------------------------------------------------------------


def test_a_public_model_is_signed_in_or_refused() -> None:
    spec = routed(OUTSIDE)["SecurityPolicy"]["spec"]
    assert spec["jwt"]["optional"] is False, "an optional token is an anonymous path"
    assert spec["authorization"]["defaultAction"] == "Deny", "who matches no rule is refused"
    for provider in spec["jwt"]["providers"]:
        assert provider["audiences"] == [OUTSIDE.audience], "a token for another service is none"
        assert provider["issuer"].startswith("https://")
        assert provider["remoteJWKS"]["uri"].startswith("https://")


def test_every_token_that_is_read_has_a_rule_and_no_other_is_let_in() -> None:
    spec = routed(OUTSIDE)["SecurityPolicy"]["spec"]
    providers = {provider["name"]: provider["issuer"] for provider in spec["jwt"]["providers"]}
    allowed = {
        rule["principal"]["jwt"]["provider"]: rule["principal"]["jwt"]["claims"]
        for rule in spec["authorization"]["rules"]
    }
    assert set(allowed) == set(providers) == {"sign-in", "prober"}
    assert allowed["sign-in"] == [{"name": "iss", "values": [OUTSIDE.issuer]}]
    assert allowed["prober"] == [
        {"name": "sub", "values": ["system:serviceaccount:search:prober"]}
    ], "every pod of the cluster can have a token of its issuer, and only the prober may use it"


def test_the_quota_is_counted_by_who_signed_in_and_not_by_what_they_say() -> None:
    found = routed(OUTSIDE)
    limit = found["BackendTrafficPolicy"]["spec"]["rateLimit"]
    assert limit["type"] == "Global", "a limit per proxy grows with the proxies"
    (rule,) = limit["global"]["rules"]
    ((header,),) = (selector["headers"] for selector in rule["clientSelectors"])
    assert header["type"] == "Distinct", "each caller has a quota of their own"
    for provider in found["SecurityPolicy"]["spec"]["jwt"]["providers"]:
        claims = [c for c in provider["claimToHeaders"] if c["header"] == header["name"]]
        assert [c["claim"] for c in claims] == ["sub"], (
            "Envoy writes the header from the token over what the client sent"
        )


def test_callers_with_keys_come_by_a_rule_of_their_own_and_nobody_by_a_token() -> None:
    keys = ("shop", "partner")
    whole, by_key = (
        made["spec"]
        for made in objects(a_server(access=a_public_access(keys=keys)))
        if made["kind"] == "SecurityPolicy"
    )
    assert [one["name"] for one in whole["jwt"]["providers"]] == ["prober"]
    assert "sectionName" not in whole["targetRefs"][0], (
        "it holds for every rule that no other policy is of: without the other, callers are refused"
    )
    auth = by_key["apiKeyAuth"]
    assert [ref["name"] for ref in auth["credentialRefs"]] == [f"api-key--{one}" for one in keys]
    assert auth["sanitize"] is True, "a model does not read its callers' keys"
    (rule,) = by_key["authorization"]["rules"]
    header = {"name": auth["forwardClientIDHeader"], "values": list(keys)}
    assert rule["principal"] == {"headers": [header]}, "an entry more in a Secret lets nobody in"
    assert by_key["authorization"]["defaultAction"] == "Deny"


def test_the_rule_of_callers_has_a_name_only_where_a_policy_is_of_it() -> None:
    for keys, names in (((), [None, None]), (("shop",), [None, "callers"])):
        rules = routed(a_public_access(keys=keys))["HTTPRoute"]["spec"]["rules"]
        assert [rule.get("name") for rule in rules] == names


def test_a_public_model_is_reached_over_tls_only() -> None:
    made = gateway(a_gateway(), a_region_plan())[0]
    (listener,) = [one for one in made["spec"]["listeners"] if takes_models(one)]
    assert (listener["port"], listener["protocol"]) == (443, "HTTPS")
    assert listener["tls"]["certificateRefs"] == [{"kind": "Secret", "name": "models-tls"}]


@every_region
def test_public_models_hang_on_the_gateway_with_tls(region: str) -> None:
    plan = plan_of(region)
    secure = {g.name for g in plan.gateways if g.tls_secret}
    for server in plan.servers:
        if server.access.mode == "public" and plan.gateways:
            assert server.access.gateway in secure
            assert server.access.endpoint.startswith("https://")


def test_the_internal_gateway_is_plain_and_takes_labelled_namespaces_only() -> None:
    made, _ = gateway(a_gateway(name="internal", tls_secret=""), a_region_plan())
    (listener,) = made["spec"]["listeners"]
    assert (listener["port"], listener["protocol"]) == (80, "HTTP")
    namespaces = listener["allowedRoutes"]["namespaces"]
    assert namespaces["from"] == "Selector", "any namespace could claim a model's host"


# -- splitting -------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0, 10, 100])
def test_weights_are_the_plans(share: int) -> None:
    backends = (
        BackendPlan(service="sentiment", role="stable", weight=100 - share),
        BackendPlan(service="sentiment-candidate", role="candidate", weight=share),
    )
    access = an_access(**{**vars_of(INSIDE), "backends": backends})
    _, rule = routed(access)["HTTPRoute"]["spec"]["rules"]
    assert [(b["name"], b["weight"]) for b in rule["backendRefs"]] == [
        ("sentiment", 100 - share),
        ("sentiment-candidate", share),
    ]


def vars_of(access: Any) -> dict[str, Any]:
    return {name: getattr(access, name) for name in access.__dataclass_fields__}


def test_a_shadow_is_a_copy_of_its_share() -> None:
    over = {"mirror_service": "sentiment-candidate", "mirror_percent": 25}
    access = an_access(**{**vars_of(INSIDE), **over})
    _, rule = routed(access)["HTTPRoute"]["spec"]["rules"]
    (copy,) = rule["filters"]
    assert copy["requestMirror"]["percent"] == 25
    assert copy["requestMirror"]["backendRef"]["name"] == "sentiment-candidate"
    assert [b["name"] for b in rule["backendRefs"]] == ["sentiment"], "a copy is never the answer"


def test_without_a_shadow_nothing_is_copied() -> None:
    _, rule = routed(INSIDE)["HTTPRoute"]["spec"]["rules"]
    assert "filters" not in rule
