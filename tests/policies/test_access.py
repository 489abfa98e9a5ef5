"""No path leads to a model that its `access` does not allow, and every path that it promises does.

Each attack is the good corpus with one change, and each must be refused in words that name it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pytest

from policies.access import RULES
from policies.resources import Resource, Unknown
from policies.rule import Rule
from tests.examples import REGIONS
from tests.policies.attacks import (
    ENVOY,
    GATEWAY_API,
    edited,
    made,
    messages,
    of_model,
    route,
    service,
    wall,
)
from tests.policies.cases import Failing
from tests.policies.estate import named, said

PUBLIC, PRIVATE, PERMISSIVE, SIDE_DOOR = RULES
ASSISTANT, EMBEDDER, HELPER = "chat/assistant", "search/embedder", "chat/helper"


@dataclass(frozen=True)
class Attack:
    """A change, the rule that must see it, and words that its message must hold."""

    name: str
    rule: Rule
    words: tuple[str, ...]
    others: tuple[Resource, ...] = ()
    without: str = ""


def attack(name: str, rule: Rule, *words: str, with_: Any = (), without: str = "") -> Attack:
    others = with_ if isinstance(with_, tuple) else (with_,)
    return Attack(name, rule, words, others, without)


def spec_of(label: str, **fields: Any) -> Resource:
    """A good resource with some fields of its spec replaced, or removed by None."""

    def change(values: Any) -> None:
        values["spec"].update(fields)
        values["spec"] = {k: v for k, v in values["spec"].items() if v is not None}

    return edited(label, change)


def pod_of(label: str, change: Callable[[Any], object]) -> Resource:
    return edited(label, lambda values: change(values["spec"]["template"]["spec"]))


def opened(label: str, peer: dict[str, Any]) -> Resource:
    """A wall with one more peer."""
    return edited(label, lambda values: values["spec"]["ingress"][0]["from"].append(peer))


def jwt(change: Callable[[Any], object]) -> Resource:
    return edited(f"SecurityPolicy {ASSISTANT}", lambda values: change(values["spec"]))


def limits(model: str, change: Callable[[Any], object]) -> Resource:
    label = f"BackendTrafficPolicy {model}"
    return edited(label, lambda values: change(values["spec"]["rateLimit"]))


def allow_all(spec: Any) -> None:
    spec["authorization"]["rules"].append({"name": "all", "action": "Allow", "principal": {}})


def any_pod_of_the_cluster(spec: Any) -> None:
    token = spec["authorization"]["rules"][1]["principal"]["jwt"]
    token["claims"] = [{"name": "iss", "values": [spec["jwt"]["providers"][1]["issuer"]]}]


def cors_only(section: str) -> Resource:
    """A policy for one rule of the route, which hides the one for the whole route."""
    target = {"group": GATEWAY_API, "kind": "HTTPRoute", "name": "assistant"}
    spec = {"targetRefs": [{**target, "sectionName": section}], "cors": {"allowOrigins": ["*"]}}
    return made(ENVOY, "SecurityPolicy", "chat", "cors", of_model(ASSISTANT), spec=spec)


def name_first_rule(values: Any) -> None:
    values["spec"]["rules"][0]["name"] = "probe"


def ingress_to(model: str) -> Resource:
    project, name = model.split("/")
    backend = {"service": {"name": name, "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    spec = {"rules": [{"host": "a.example.com", "http": {"paths": [path]}}]}
    return made("networking.k8s.io/v1", "Ingress", project, "door", of_model(model), spec=spec)


def guarded_like_the_other(kind: str) -> tuple[Resource, ...]:
    """A second way of another kind, with copies of the policies that guard the first."""
    guards = []
    for policy in ("SecurityPolicy", "BackendTrafficPolicy"):
        target = [{"group": GATEWAY_API, "kind": kind, "name": "backdoor"}]
        spec = {**named(f"{policy} {ASSISTANT}").spec, "targetRefs": target}
        guards.append(made(ENVOY, policy, "chat", "backdoor", of_model(ASSISTANT), spec=spec))
    return route(ASSISTANT, "public", kind=kind), *guards


def at_listener(name: str) -> Resource:
    def change(values: Any) -> None:
        values["spec"]["parentRefs"][0]["sectionName"] = name

    return edited(f"HTTPRoute {HELPER}", change)


MIRROR: Final = {
    "type": "RequestMirror",
    "requestMirror": {"backendRef": {"kind": "Service", "name": "embedder", "namespace": "search",
                                     "port": 80}},
}  # fmt: skip
EVERY_NAMESPACE: Final[dict[str, Any]] = {"namespaceSelector": {}}
GATEWAY_NAMESPACE: Final = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "isoserve-gateway"}}
}
OTHER_PROJECT: Final = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "vision"}}
}
CROSS: Final = [{"backendRefs": [{"kind": "Service", "name": "embedder", "namespace": "search"}]}]
SLICE: Final = {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.7"]}]}

PATHS: Final = (
    # -- routes ------------------------------------------------------------------------------
    attack("a route to a private model, public", PRIVATE, "from the internet: Gateway "
           "isoserve-gateway/public -> HTTPRoute search/backdoor -> Service search/embedder -> "
           "pods", "remove HTTPRoute search/backdoor or set access: public",
           with_=route(EMBEDDER, "public")),
    attack("a route to a private model, internal", PRIVATE, "from every project: Gateway "
           "isoserve-gateway/internal", "or set access: permissive",
           with_=route(EMBEDDER, "internal")),
    attack("a route of another project to a private model", PRIVATE,
           "HTTPRoute chat/backdoor -> Service search/embedder",
           with_=route(ASSISTANT, "public", rules=CROSS)),
    attack("a second route to a public model", PUBLIC, "HTTPRoute chat/backdoor",
           "without signing in", "guard HTTPRoute chat/backdoor", with_=route(ASSISTANT, "public")),
    attack("a public model on the internal gateway", PUBLIC, "from every project: Gateway "
           "isoserve-gateway/internal", "without signing in", with_=route(ASSISTANT, "internal")),
    attack("a permissive model on the public gateway", PERMISSIVE,
           "from the internet: Gateway isoserve-gateway/public",
           "isoserve-gateway/internal is the only way in", with_=route(HELPER, "public")),
    attack("a gateway of the tenant's own", PRIVATE, "from the internet: Gateway search/own",
           "although its access is private; remove HTTPRoute search/backdoor",
           with_=route(EMBEDDER, "public", parentRefs=[{"name": "own"}])),
    attack("a route that names no gateway", PRIVATE, "from the internet",
           with_=route(EMBEDDER, "public", parentRefs=[])),
    attack("a copy of requests to a private model", PRIVATE,
           "HTTPRoute chat/assistant -> a copy to Service search/embedder",
           "take a copy to Service search/embedder out of HTTPRoute chat/assistant",
           with_=edited(f"HTTPRoute {ASSISTANT}",
                        lambda v: v["spec"]["rules"][1].update(filters=[MIRROR]))),
    attack("a copy in a backend's filter", PRIVATE, "a copy to Service search/embedder",
           with_=edited(f"HTTPRoute {ASSISTANT}", lambda v: v["spec"]["rules"][1]["backendRefs"][0]
                        .update(filters=[MIRROR]))),
    attack("a TCPRoute", PUBLIC, "TCPRoute chat/backdoor", "without signing in",
           with_=route(ASSISTANT, "public", kind="TCPRoute")),
    attack("a GRPCRoute with policies like the HTTPRoute's", PUBLIC, "GRPCRoute chat/backdoor",
           "without signing in", with_=guarded_like_the_other("GRPCRoute")),
    attack("an internal gateway with an address of somebody's choice", PERMISSIVE,
           "from the internet: Gateway isoserve-gateway/internal", with_=edited(
               "Gateway isoserve-gateway/internal",
               lambda v: v["spec"].update(addresses=[{"value": "203.0.113.7"}]))),
    attack("a GRPCRoute", PRIVATE, "GRPCRoute search/backdoor",
           with_=route(EMBEDDER, "internal", kind="GRPCRoute")),
    attack("an Ingress", PRIVATE, "from the internet: Ingress search/door -> Service",
           "remove Ingress search/door", with_=ingress_to(EMBEDDER)),
    attack("an Ingress beside a public model's route", PUBLIC, "Ingress chat/door",
           with_=ingress_to(ASSISTANT)),
    # -- Services ----------------------------------------------------------------------------
    attack("a NodePort", PRIVATE, "from the internet: NodePort of Service search/embedder -> pods",
           "make Service search/embedder a ClusterIP",
           with_=spec_of(f"Service {EMBEDDER}", type="NodePort")),
    attack("a NodePort of a public model", PUBLIC, "NodePort of Service chat/door",
           "without signing in", with_=service(ASSISTANT, "door", type="NodePort")),
    attack("a LoadBalancer", PERMISSIVE, "from the internet: LoadBalancer of Service chat/door",
           with_=service(HELPER, "door", type="LoadBalancer")),
    attack("externalIPs", PRIVATE, "externalIPs of Service search/embedder",
           with_=spec_of(f"Service {EMBEDDER}", externalIPs=["203.0.113.7"])),
    attack("a wider selector", PRIVATE, "Deployment search/sentiment", "NodePort of Service",
           with_=service(EMBEDDER, "wide", type="NodePort",
                         selector={"isoserve.dev/project": "search"})),
    attack("a Service that selects the prober", PRIVATE, "Deployment search/prober",
           with_=service(EMBEDDER, "probe", type="NodePort",
                         selector={"isoserve.dev/role": "prober"})),
    # -- walls -------------------------------------------------------------------------------
    attack("a wall with an empty from", PRIVATE, "from every address: NetworkPolicy search/open",
           with_=wall(EMBEDDER, "open", {"from": []})),
    attack("a wall without from", PRIVATE, "from every address", "take every address out",
           with_=wall(EMBEDDER, "open", {"ports": [{"port": 8000}]})),
    attack("every namespace", PRIVATE, "from every project: NetworkPolicy search/embedder--8080",
           with_=opened(f"NetworkPolicy {EMBEDDER}--8080", EVERY_NAMESPACE)),
    attack("every namespace, public model", PUBLIC, "from every project: NetworkPolicy",
           "without signing in", with_=opened(f"NetworkPolicy {ASSISTANT}--8000", EVERY_NAMESPACE)),
    attack("every namespace, permissive model", PERMISSIVE, "from every project: NetworkPolicy",
           with_=opened(f"NetworkPolicy {HELPER}--8000", EVERY_NAMESPACE)),
    attack("namespaces by a label that people choose", PRIVATE, "from every project",
           with_=opened(f"NetworkPolicy {EMBEDDER}--8080",
                        {"namespaceSelector": {"matchLabels": {"team": "search"}}})),
    attack("the whole internet's addresses", PRIVATE, "from the internet: NetworkPolicy",
           with_=opened(f"NetworkPolicy {EMBEDDER}--8080", {"ipBlock": {"cidr": "0.0.0.0/0"}})),
    attack("the cluster's addresses", PRIVATE, "from every project",
           with_=opened(f"NetworkPolicy {EMBEDDER}--8080", {"ipBlock": {"cidr": "10.0.0.0/8"}})),
    attack("another project", PRIVATE, "from vision", "or add vision to share_with",
           with_=opened(f"NetworkPolicy {EMBEDDER}--8080", OTHER_PROJECT)),
    attack("the gateway, needlessly", PRIVATE, "from isoserve-gateway",
           with_=opened(f"NetworkPolicy {EMBEDDER}--8080", GATEWAY_NAMESPACE)),
    attack("a wall around the whole project that opens it", PRIVATE, "from every project",
           with_=wall(EMBEDDER, "all", {"from": [EVERY_NAMESPACE]}, podSelector={})),
    attack("a wall around a job that opens it", PRIVATE, "CronJob search/nightly-index",
           with_=wall("search/nightly-index", "open", {"from": [EVERY_NAMESPACE]})),
    attack("no wall at all", PRIVATE, "from every address: no NetworkPolicy -> pods",
           without="NetworkPolicy search/default-deny",
           with_=spec_of(f"NetworkPolicy {EMBEDDER}--8080", policyTypes=["Egress"])),
    # -- the node ----------------------------------------------------------------------------
    attack("hostNetwork", PRIVATE, "from the internet: the node's own addresses", "no hostNetwork",
           with_=pod_of(f"Deployment {EMBEDDER}", lambda pod: pod.update(hostNetwork=True))),
    attack("hostPort", PUBLIC, "the node's own addresses", with_=pod_of(
        f"Deployment {ASSISTANT}", lambda pod: pod["containers"][0]["ports"][0].update(hostPort=80)
    )),
    # -- signing in --------------------------------------------------------------------------
    attack("no SecurityPolicy", PUBLIC, "HTTPRoute chat/assistant", "without signing in",
           without=f"SecurityPolicy {ASSISTANT}"),
    attack("a SecurityPolicy for another route", PUBLIC, "without signing in",
           with_=jwt(lambda s: s["targetRefs"][0].update(name="helper"))),
    attack("a SecurityPolicy for a thing of another group", PUBLIC, "without signing in",
           with_=jwt(lambda s: s["targetRefs"][0].update(group="example.com"))),
    attack("a SecurityPolicy for one rule of two", PUBLIC, "without signing in",
           with_=(edited(f"HTTPRoute {ASSISTANT}", name_first_rule),
                  jwt(lambda s: s["targetRefs"][0].update(sectionName="probe")))),
    attack("a SecurityPolicy that hides the other for one rule", PUBLIC,
           "where SecurityPolicy chat/cors does not insist on a token",
           with_=(edited(f"HTTPRoute {ASSISTANT}", name_first_rule), cors_only("probe"))),
    attack("two SecurityPolicies for a route", PUBLIC, "SecurityPolicy chat/cors",
           with_=cors_only("")),
    attack("jwt optional", PUBLIC, "does not insist on a token",
           with_=jwt(lambda s: s["jwt"].update(optional=True))),
    attack("no jwt", PUBLIC, "does not insist on a token", with_=jwt(lambda s: s.pop("jwt"))),
    attack("allow by default", PUBLIC, "does not deny by default",
           with_=jwt(lambda s: s["authorization"].update(defaultAction="Allow"))),
    attack("no authorization", PUBLIC, "does not deny by default",
           with_=jwt(lambda s: s.pop("authorization"))),
    attack("an Allow for everybody", PUBLIC, "allows all without a token's claims",
           with_=jwt(allow_all)),
    attack("every pod's token of the cluster", PUBLIC, "than the project's prober",
           with_=jwt(any_pod_of_the_cluster)),
    attack("a foreign issuer", PUBLIC, "takes tokens of https://evil.example.com",
           with_=jwt(lambda s: s["jwt"]["providers"][0].update(issuer="https://evil.example.com"))),
    attack("foreign keys", PUBLIC, "from elsewhere", with_=jwt(
        lambda s: s["jwt"]["providers"][0]["remoteJWKS"].update(uri="https://evil.example.com"))),
    attack("tokens for others", PUBLIC, "made for others",
           with_=jwt(lambda s: s["jwt"]["providers"][0].update(audiences=[]))),
    attack("a public listener without TLS", PUBLIC, "without TLS", "speak TLS alone", with_=edited(
        "Gateway isoserve-gateway/public",
        lambda v: v["spec"]["listeners"][0].update(protocol="HTTP", port=80))),
    # -- how often ---------------------------------------------------------------------------
    attack("no quota", PUBLIC, "without a quota of 120 a minute for each caller",
           without=f"BackendTrafficPolicy {ASSISTANT}"),
    attack("a higher quota", PUBLIC, "without a quota", with_=limits(
        ASSISTANT, lambda r: r["global"]["rules"][0]["limit"].update(requests=121))),
    attack("a quota by the second", PUBLIC, "without a quota", with_=limits(
        ASSISTANT, lambda r: r["global"]["rules"][0]["limit"].update(unit="Second"))),
    attack("a quota for some requests", PUBLIC, "without a quota", with_=limits(
        ASSISTANT, lambda r: r["global"]["rules"][0]["clientSelectors"][0]["headers"]
        .append({"name": "x-slow", "value": "1"}))),
    attack("a quota by a header of the caller's choice", PUBLIC, "without a quota", with_=jwt(
        lambda s: s["jwt"]["providers"][0].pop("claimToHeaders"))),
    attack("a quota counted by each proxy", PUBLIC, "without a quota", with_=limits(
        ASSISTANT, lambda r: r.update(type="Local", local=r.pop("global")))),
    attack("requests that cost nothing", PUBLIC, "without a quota", with_=limits(
        ASSISTANT, lambda r: r["global"]["rules"][0].update(cost={"request": {"number": 0}}))),
    attack("no limit", PERMISSIVE, "from every project: Gateway isoserve-gateway/internal",
           "without a limit of 600 a minute", without=f"BackendTrafficPolicy {HELPER}"),
    attack("a limit without a number", PERMISSIVE, "without a limit", with_=limits(
        HELPER, lambda r: r["local"]["rules"][0].pop("limit"))),
    attack("a limit for some callers", PERMISSIVE, "without a limit", with_=limits(
        HELPER, lambda r: r["local"]["rules"][0].update(clientSelectors=[{"headers": []}]))),
    # -- promised, and not kept --------------------------------------------------------------
    attack("a permissive model without a route", PERMISSIVE, "cannot be reached through Gateway "
           "isoserve-gateway/internal, which access: permissive promises",
           without=f"HTTPRoute {HELPER}"),
    attack("a public model without a route", PUBLIC, "cannot be reached through Gateway",
           without=f"HTTPRoute {ASSISTANT}"),
    attack("a route that no listener takes", PERMISSIVE, "cannot be reached through Gateway",
           with_=spec_of(f"HTTPRoute {HELPER}", hostnames=["helper.example.com"])),
    attack("a route to a listener that is not there", PERMISSIVE,
           "cannot be reached through Gateway", with_=at_listener("other")),
    attack("a project that no listener selects", PERMISSIVE, "cannot be reached through Gateway",
           with_=edited("Namespace chat",
                        lambda v: v["metadata"]["labels"].pop("isoserve.dev/project"))),
    attack("a gateway that nobody makes", PUBLIC, "cannot be reached through Gateway",
           without="Gateway isoserve-gateway/public"),
    attack("a wall that keeps the gateway out", PERMISSIVE, "cannot be reached through Gateway",
           with_=spec_of(f"NetworkPolicy {HELPER}--8000",
                         ingress=[{"from": [{"podSelector": {}}]}])),
    attack("a project that shares and keeps the sharer out", PERMISSIVE,
           "cannot be reached from search, which its spec allows", with_=edited(
               "NetworkPolicy vision/tagger--8000-8002",
               lambda v: v["spec"]["ingress"][0]["from"].pop(0))),
    attack("a private model's wall that is gone", PRIVATE, "cannot be reached from search",
           without=f"NetworkPolicy {EMBEDDER}--8080"),
    attack("a wall open at another port", PRIVATE, "cannot be reached from search",
           with_=edited(f"NetworkPolicy {EMBEDDER}--8080",
                        lambda v: v["spec"]["ingress"][0].update(ports=[{"port": 1}]))),
    attack("a model without its Service", PRIVATE, "cannot be reached from search",
           without=f"Service {EMBEDDER}"),
    # -- what nobody can judge ---------------------------------------------------------------
    attack("an ExternalName", SIDE_DOOR, "is of type ExternalName", with_=service(
        EMBEDDER, "alias", type="ExternalName", externalName="embedder.search.svc")),
    attack("a Service with hand-written endpoints", SIDE_DOOR, "selects no pods",
           with_=service(EMBEDDER, "alias", selector={})),
    attack("an EndpointSlice", SIDE_DOOR, "no rule reads it", with_=made(
        "discovery.k8s.io/v1", "EndpointSlice", "search", "own", of_model(EMBEDDER), **SLICE)),
    attack("Endpoints", SIDE_DOOR, "no rule reads it", with_=made(
        "v1", "Endpoints", "search", "own", of_model(EMBEDDER), subsets=[])),
    attack("a mesh's route", SIDE_DOOR, "no rule reads it", with_=made(
        "networking.istio.io/v1", "VirtualService", "search", "own", of_model(EMBEDDER), spec={})),
    attack("another maker's NetworkPolicy", SIDE_DOOR, "no rule reads it", with_=made(
        "crd.projectcalico.org/v1", "NetworkPolicy", "search", "own", of_model(EMBEDDER), spec={})),
    attack("a patch of the proxy", SIDE_DOOR, "no rule reads it", with_=made(
        ENVOY, "EnvoyPatchPolicy", "isoserve-gateway", "own", {}, spec={})),
    attack("a backend that is no Service", SIDE_DOOR, "leads to a Backend", with_=route(
        EMBEDDER, "public",
        rules=[{"backendRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend",
                                 "name": "x"}]}])),
    attack("pods of an unknown kind", SIDE_DOOR, "makes pods in a way", with_=made(
        "apps/v1", "ReplicaSet", "search", "own", of_model(EMBEDDER), spec={"template": {}})),
    attack("a Helm chart", SIDE_DOOR, "no rule reads it", with_=Resource(
        "kubernetes:helm.sh/v3:Release", "own", {"chart": "nginx"}, False, "cluster")),
    attack("a file of manifests", SIDE_DOOR, "no rule reads it", with_=Resource(
        "kubernetes:yaml:ConfigFile", "own", {"file": "own.yaml"}, False, "cluster")),
    attack("a public DNS record", SIDE_DOOR, "public DNS record", with_=edited(
        f"Service {EMBEDDER}", lambda v: v["metadata"]["annotations"].update(
            {"external-dns.alpha.kubernetes.io/hostname": "a.example.com"}))),
)  # fmt: skip
FAILING: Final[Failing] = {
    one.rule.name: partial(said, one.rule, *one.others, without=one.without) for one in PATHS
}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_examples_open_what_they_say_and_no_more(rule: Rule, region: str) -> None:
    assert said(rule, region=region) == []


@pytest.mark.parametrize("one", PATHS, ids=lambda one: one.name)
def test_a_path_that_access_does_not_allow_is_refused(one: Attack) -> None:
    found = said(one.rule, *one.others, without=one.without)
    assert found, "nothing was said"
    told = messages(found)
    for words in one.words:
        assert words in told, "a person must see which way it is, and what closes it"
    assert "cannot be judged" not in told, "a rule that fails says nothing about the path"


def test_a_refusal_stands_at_the_line_that_would_allow_it() -> None:
    (finding,) = said(PUBLIC, route(ASSISTANT, "public"))
    assert finding.resource == "Deployment chat/assistant"
    assert (finding.place.file, finding.place.path) == ("model_specs/chat/assistant.yaml", "access")
    assert finding.place.line == 5


def test_a_model_with_two_deployments_is_told_once() -> None:
    assert len(said(PERMISSIVE, route(HELPER, "public"))) == 1


def test_a_second_route_with_policies_of_its_own_is_as_good_as_the_first() -> None:
    assert said(PUBLIC, *guarded_like_the_other("HTTPRoute")) == []


def test_a_route_may_name_its_listener() -> None:
    assert said(PERMISSIVE, at_listener("models")) == []


def test_what_cannot_be_read_is_refused_not_skipped() -> None:
    peer = {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}
    (finding,) = said(PRIVATE, opened(f"NetworkPolicy {EMBEDDER}--8080", peer))
    assert "cannot be judged" in finding.place.message


@pytest.mark.parametrize(
    ("label", "path"),
    [
        (f"Service {EMBEDDER}", ("spec", "type")),
        (f"Service {EMBEDDER}", ("spec", "selector")),
        (f"NetworkPolicy {EMBEDDER}--8080", ("spec", "ingress")),
        (f"NetworkPolicy {EMBEDDER}--8080", ("spec", "podSelector")),
        (f"NetworkPolicy {EMBEDDER}--8080", ("spec", "policyTypes")),
        (f"Deployment {EMBEDDER}", ("spec", "template", "metadata", "labels")),
        (f"Deployment {EMBEDDER}", ("spec", "template", "spec", "hostNetwork")),
        (f"HTTPRoute {ASSISTANT}", ("spec", "parentRefs")),
        (f"HTTPRoute {ASSISTANT}", ("spec", "rules")),
        (f"SecurityPolicy {ASSISTANT}", ("spec", "jwt")),
        (f"SecurityPolicy {ASSISTANT}", ("spec", "jwt", "optional")),
        (f"SecurityPolicy {ASSISTANT}", ("spec", "targetRefs")),
        (f"BackendTrafficPolicy {ASSISTANT}", ("spec", "rateLimit")),
        ("Gateway isoserve-gateway/public", ("spec", "listeners")),
    ],
    ids=str,
)
def test_a_value_that_is_not_known_yet_is_refused(label: str, path: tuple[str, ...]) -> None:
    def forget(values: Any) -> None:
        for step in path[:-1]:
            values = values[step]
        values[path[-1]] = Unknown(".".join(path))

    changed = edited(label, forget)
    assert any(said(rule, changed) for rule in RULES), "a guess would let a path pass unseen"
