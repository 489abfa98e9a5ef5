"""Every namespace of ours has a wall both ways, and pods go out to little."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest

from model_specs.schema import Batch
from policies.judge import judge
from policies.network import RULES
from policies.rule import Rule
from regions.networks import METADATA
from tests.examples import REGIONS, a_model, a_tree, with_capabilities
from tests.policies.attacks import edited, made, messages, of_model, wall
from tests.policies.cases import GONE, Failing, respecified, setting
from tests.policies.estate import NO_WAIVERS, changed, facts, named, said

DEFAULT_DENY, EGRESS, REGISTRY = RULES
KUBE_SYSTEM = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
AGENTS_WALL: Final = "NetworkPolicy isoserve-cache/cache-agent"
FAILING: Final[Failing] = {
    DEFAULT_DENY.name: partial(said, DEFAULT_DENY, without="NetworkPolicy search/default-deny"),
    EGRESS.name: partial(said, EGRESS, wall("search/embedder", "out", egress=[{}])),
    REGISTRY.name: lambda: said(
        REGISTRY,
        changed(named(AGENTS_WALL), setting("spec egress", [])),
    ),
}
DNS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_examples_stand_behind_walls(rule: Rule, region: str) -> None:
    assert said(rule, region=region) == []


@pytest.mark.parametrize(
    ("namespace", "label"),
    [("search", "default-deny"), ("vision", "default-deny"), ("isoserve-cache", "cache-agent")],
)
def test_a_namespace_without_a_wall_for_all_is_refused(namespace: str, label: str) -> None:
    (finding,) = said(DEFAULT_DENY, without=f"NetworkPolicy {namespace}/{label}")
    assert finding.resource == f"NetworkPolicy {namespace}/default-deny"
    assert f"pods of {namespace} may go in and out as they like" in finding.place.message


def test_a_pod_in_a_namespace_of_the_platform_needs_a_wall_too() -> None:
    pod = made("v1", "Pod", "isoserve-system", "tool", {}, spec={"containers": []})
    assert "pods of isoserve-system" in messages(said(DEFAULT_DENY, pod))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.update(policyTypes=["Ingress"]), "may go out as they like"),
        (lambda s: s.update(policyTypes=["Egress"]), "may go in as they like"),
        (lambda s: s.update(podSelector={"matchLabels": {"a": "1"}}), "in and out"),
        (lambda s: s.update(ingress=[{"from": [{"podSelector": {}}]}]), "lets somebody in"),
    ],
)
def test_a_wall_with_a_gap_is_refused(change: Callable[[Any], object], words: str) -> None:
    label = "NetworkPolicy search/default-deny"
    found = said(DEFAULT_DENY, edited(label, lambda values: change(values["spec"])))
    assert words in messages(found)
    assert found[0].place.file == "model_specs/search/project.yaml"


def test_a_pod_on_its_nodes_network_is_refused() -> None:
    pod = edited(
        "DaemonSet isoserve-cache/cache-gpu-l4-1",
        lambda values: values["spec"]["template"]["spec"].update(hostNetwork=True),
    )
    assert "before every wall" in messages(said(DEFAULT_DENY, pod))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "to every address on all ports"),
        ({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}, "to some addresses on all ports"),
        ({"to": [{"namespaceSelector": {}}]}, "to some addresses on all ports"),
        ({"ports": DNS}, "to every address on 53/TCP, 53/UDP"),
        ({"ports": DNS, "to": [{"namespaceSelector": {}}]}, "53/UDP"),
        ({"ports": DNS, "to": [KUBE_SYSTEM, {"ipBlock": {"cidr": "8.8.8.8/32"}}]}, "53/UDP"),
        ({"to": [KUBE_SYSTEM]}, "all ports"),
        ({"ports": [{"port": 80}]}, "80/TCP"),
        ({"ports": [{"port": 443, "endPort": 9000}]}, "a range/TCP"),
        ({"ports": [{"port": 443, "protocol": "UDP"}]}, "443/UDP"),
        ({"ports": [{"port": 443}, {"port": 22}]}, "22/TCP"),
        ({"ports": [{"port": 80}], "to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}]}, "80/TCP"),
    ],
)
def test_a_model_goes_nowhere_else(rule: dict[str, Any], words: str) -> None:
    one = wall("search/embedder", "out", policyTypes=["Egress"], egress=[rule])
    (finding,) = said(EGRESS, one)
    assert words in finding.place.message
    assert finding.place.file == "model_specs/search/embedder.yaml"


V4: Final = tuple(row for row in METADATA if "." in row)
V6: Final = tuple(row for row in METADATA if ":" in row)


def out_to(cidr: str, *holes: str, port: int = 80) -> dict[str, Any]:
    block = {"cidr": cidr, "except": list(holes)}
    return {"ports": [{"port": port}], "to": [{"ipBlock": block}]}


@pytest.mark.parametrize(
    ("rule", "may"),
    [
        (out_to("0.0.0.0/0", *V4), True),
        (out_to("0.0.0.0/0", "169.0.0.0/8", "100.0.0.0/8", "168.0.0.0/8", "192.0.0.0/24"), True),
        *((out_to("0.0.0.0/0", *(row for row in V4 if row != lost)), False) for lost in V4),
        *((out_to("::/0", *(row for row in V6 if row != lost)), False) for lost in V6),
        (out_to("100.64.0.0/10"), False),
        (out_to("168.63.129.0/24"), False),
        (out_to("fd00::/8"), False),
        (out_to("203.0.113.0/24"), True),
        (out_to("0.0.0.0/0"), False),
        (out_to("0.0.0.0/0", "169.254.169.254/32"), False),
        (out_to("169.254.169.0/24"), False),
        (out_to("::/0", "169.254.0.0/16"), False),
        (out_to("::/0", *V6), True),
        (out_to("0.0.0.0/0", *V4, port=22), False),
        ({"to": [{"podSelector": {}}]}, True),
        ({"to": [{"podSelector": {}}, {"namespaceSelector": {}}]}, False),
    ],
)
def test_a_prober_goes_out_but_never_where_credentials_are(rule: dict[str, Any], may: bool) -> None:
    prober = edited("NetworkPolicy chat/prober", lambda v: v["spec"].update(egress=[rule]))
    assert bool(said(EGRESS, prober)) is not may


def test_a_prober_of_private_models_has_no_way_out() -> None:
    private = a_tree(a_model("chat", "assistant"), a_model("search"), a_model("vision", "tagger"))
    found = [f.resource for f in said(EGRESS, wished=private)]
    assert "NetworkPolicy chat/prober" in found, "no route of chat needs the way outside"


AGENTS: Final = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "isoserve-cache"}},
    "podSelector": {"matchLabels": {"isoserve.dev/role": "cache-agent"}},
}


@pytest.mark.parametrize(
    ("rule", "may"),
    [
        ({"ports": [{"port": 9092}], "to": [AGENTS]}, True),
        ({"ports": [{"port": 9092}]}, False),
        ({"ports": [{"port": 9092}], "to": [AGENTS, KUBE_SYSTEM]}, False),
        ({"ports": [{"port": 9092}], "to": [{"namespaceSelector": {}}]}, False),
        ({"ports": [{"port": 9091}], "to": [AGENTS]}, False),
        ({"to": [AGENTS]}, False),
    ],
)
def test_agents_go_to_each_other_and_nowhere_else(rule: dict[str, Any], may: bool) -> None:
    label = "NetworkPolicy isoserve-cache/cache-agent"
    agents = edited(label, lambda v: v["spec"].update(egress=[rule]))
    assert (said(EGRESS, agents) == []) is may
    tenant = wall("search/embedder", "out", policyTypes=["Egress"], egress=[rule])
    assert said(EGRESS, tenant), "a tenant asks no agent"


CALLERS: Final = "NetworkPolicy search/default-callers"
TO: Final = "spec egress 0 to"


def in_namespace(*names: str) -> dict[str, Any]:
    wish = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [*names]}
    return {"namespaceSelector": {"matchExpressions": [wish]}}


@pytest.mark.parametrize(
    ("path", "value", "may", "why"),
    [
        (f"{TO} 4", {"podSelector": {}}, True, "it is their own namespace"),
        (TO, [in_namespace("chat", "vision")], True, "both share with search"),
        (f"{TO} 0 podSelector", {"matchLabels": {"app": "one"}}, True, "it is less"),
        ("spec egress 0 ports", [{"port": 80}], True, "it is less"),
        (f"{TO} 4", in_namespace("kube-system"), False, "nobody shares there"),
        (f"{TO} 4", in_namespace("monitoring"), False, "it reads models, they do not read it"),
        (f"{TO} 4", in_namespace("chat", "isoserve-cache"), False, "one of two is not enough"),
        (f"{TO} 4", in_namespace(), False, "it must be said who"),
        (f"{TO} 4", {"namespaceSelector": {}}, False, "every namespace"),
        (f"{TO} 4", {"namespaceSelector": {"matchLabels": {"a": "1"}}}, False, "people choose it"),
        (f"{TO} 4", {"ipBlock": {"cidr": "10.0.0.0/8"}}, False, "whose address it is is not known"),
        (TO, [], False, "nobody named is everybody"),
        (TO, GONE, False, "likewise"),
        ("spec podSelector", {}, False, "a model's code would get out"),
        ("spec podSelector", {"matchLabels": {"app": "one"}}, False, "a model may have it too"),
        ("spec podSelector matchExpressions 0 operator", "Exists", False, "all models, no others"),
        ("spec podSelector matchExpressions 0 key", "isoserve.dev/track", False, "jobs have none"),
        ("metadata namespace", "isoserve-cache", False, "no project's namespace"),
    ],
)
def test_callers_go_where_they_may_and_nowhere_else(
    path: str, value: Any, may: bool, why: str
) -> None:
    found = said(EGRESS, changed(named(CALLERS), setting(path, value)))
    assert (found == []) is may, why
    if path.startswith(TO) and not may:
        (finding,) = found
        assert "name chat, envoy-gateway-system, search, vision, or have another" in messages(found)
        assert finding.place.file == "model_specs/search/project.yaml"


@pytest.mark.parametrize(("project", "stranger"), [("vision", "search"), ("chat", "vision")])
def test_to_share_lets_in_but_not_out(project: str, stranger: str) -> None:
    wall_of = named(f"NetworkPolicy {project}/default-callers")
    wider = changed(wall_of, setting(f"{TO} 2", in_namespace(stranger)))
    assert said(EGRESS, wider), f"{stranger} shares nothing with {project}"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"share_with": ()}, "it is shared no longer"),
        ({"regions": ("seoul-dc1",)}, "it is served elsewhere"),
        ({"batch": Batch(command=("x",))}, "a job takes no requests"),
    ],
)
def test_a_way_to_who_shares_no_longer_is_refused(fields: dict[str, Any], why: str) -> None:
    (finding,) = said(EGRESS, wished=respecified("chat/helper", **fields))
    assert finding.resource == CALLERS, why


@pytest.mark.parametrize(
    ("rule", "may"),
    [
        ({"ports": [{"port": 8080}]}, True),
        ({"ports": [{"port": 80}]}, False),
        ({"ports": [{"port": 80}, {"port": 8080}]}, False),
        ({"ports": [{"port": 80}], "to": [{"namespaceSelector": {}}]}, True),
        ({"ports": [{"port": 80}], "to": [{}]}, False),
        (out_to("0.0.0.0/0"), False),
        (out_to("0.0.0.0/0", *V4), True),
        (out_to("0.0.0.0/0", "169.254.0.0/16"), False),
        (out_to("::/0"), False),
        (out_to("169.254.169.254/32"), False),
    ],
)
def test_a_store_at_port_80_is_no_way_to_credentials(rule: dict[str, Any], may: bool) -> None:
    profile = facts("seoul-dc1").profile
    store = {"endpoint": "http://rgw.ceph.svc", "pod_port": 8080}
    registry = profile.registry.model_copy(update=store)
    there = dataclasses.replace(facts(), profile=profile.model_copy(update={"registry": registry}))
    one = wall("search/embedder", "out", policyTypes=["Egress"], egress=[rule])
    found = judge([one], there, (EGRESS,), NO_WAIVERS).findings
    assert bool(found) is not may, "clouds answer every pod at port 80 of link-local addresses"


@pytest.mark.parametrize("lost", ["gateway_api", "envoy_gateway"])
def test_a_region_without_gateways_has_no_way_to_them(lost: str) -> None:
    able = [name for name in facts().profile.all_capabilities if name != lost]
    profile = with_capabilities(facts().profile, able)
    lesser = dataclasses.replace(facts(), profile=profile)
    found = judge([named(CALLERS)], lesser, (EGRESS,), NO_WAIVERS).findings
    assert "some addresses" in messages(list(found))


def test_a_wall_that_only_looks_like_the_probers_is_none() -> None:
    labels = {**of_model("search/embedder"), "isoserve.dev/role": "model-server"}
    egress, pods = [out_to("0.0.0.0/0", *V4)], {"matchLabels": labels}
    one = wall("search/embedder", "out", policyTypes=["Egress"], podSelector=pods, egress=egress)
    assert len(said(EGRESS, one)) == 1


# -- who reads the registry, and nobody else ---------------------------------------------------

S3_AT: Final = "10.0.8.0/24"
AT_S3: Final = {"ipBlock": {"cidr": S3_AT}}
WIDE: Final = {"ports": [{"port": 443, "protocol": "TCP"}]}
TO_S3: Final = {**WIDE, "to": [AT_S3]}


def test_a_model_that_the_node_brings_has_no_way_to_the_registry() -> None:
    one = changed(named("NetworkPolicy search/ranker--8080-8082"), setting("spec egress", [WIDE]))
    (finding,) = said(REGISTRY, one)
    assert "gets to the registry on 443/TCP, and nothing of it reads it" in finding.place.message


def test_a_model_that_is_downloaded_has_one() -> None:
    one = changed(named("NetworkPolicy search/embedder--8080"), setting("spec egress", GONE))
    assert "gets to no registry on 443/TCP" in messages(said(REGISTRY, one))


@pytest.mark.parametrize(
    ("rule", "may", "why"),
    [
        (TO_S3, True, "the networks that the profile says"),
        (WIDE, False, "every address"),
        ({**TO_S3, "to": [{"ipBlock": {"cidr": "10.0.9.0/24"}}]}, False, "another network"),
        ({**TO_S3, "to": [AT_S3, {"namespaceSelector": {}}]}, False, "and every pod"),
    ],
)
def test_known_networks_are_the_only_way_out(rule: dict[str, Any], may: bool, why: str) -> None:
    known = facts()
    registry = known.profile.registry.model_copy(update={"addresses": (S3_AT,)})
    told = dataclasses.replace(
        known, profile=known.profile.model_copy(update={"registry": registry})
    )
    one = wall("search/embedder", "out", policyTypes=["Egress"], egress=[rule])
    found = judge([one], told, (EGRESS,), NO_WAIVERS).findings
    assert (not found) is may, why
