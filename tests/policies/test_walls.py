"""NetworkPolicies let pass what Kubernetes would: held against an evaluator of its own."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.podsets import PodSet, pod_set
from policies.resources import Resource
from policies.walls import ANYWHERE, INSIDE, INTERNET, Sender, admits, releases, sources
from tests.policies.estate import added

NAME = "kubernetes.io/metadata.name"
HOME = "chat"


def policy(spec: dict[str, Any], namespace: str = HOME) -> Resource:
    metadata = {"name": "wall", "namespace": namespace}
    return added(
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata}
        | {"spec": spec}
    )


def pods(namespace: str = HOME, **labels: str) -> PodSet:
    ports = [{"name": "http", "containerPort": 8000}, {"name": "dns", "containerPort": 53,
             "protocol": "UDP"}]  # fmt: skip
    spec = {"containers": [{"name": "a", "ports": ports}]}
    metadata = {"name": "pod", "namespace": namespace, "labels": labels}
    return pod_set(added({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))


def pod_of(namespace: str, **labels: str) -> Sender:
    return Sender(namespace, {NAME: namespace}, labels, "")


def comes_in(spec: dict[str, Any], sender: Sender, port: int = 8000, protocol: str = "TCP") -> bool:
    return admits([policy(spec)], pods(app="a"), sender, port, protocol)


ALL: dict[str, Any] = {"podSelector": {}}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"podSelector": {"matchLabels": {"app": "b"}}}, "no policy selects the pods"),
        ({**ALL, "policyTypes": ["Egress"]}, "it bounds only what goes out"),
        ({**ALL, "ingress": [{}]}, "a rule without from takes everybody"),
        ({**ALL, "ingress": [{"from": []}]}, "an empty from is none at all"),
        ({**ALL, "ingress": [{"from": [{"namespaceSelector": {}}]}]}, "every namespace"),
        ({**ALL, "ingress": [{"ports": [{"port": 7000, "endPort": 9000}]}]}, "in the range"),
        ({**ALL, "ingress": [{"ports": [{"port": "http"}]}]}, "the port's name"),
        ({**ALL, "ingress": [{"ports": [{"protocol": "TCP"}]}]}, "every port of a protocol"),
    ],
)
def test_a_stranger_comes_in(spec: dict[str, Any], why: str) -> None:
    assert comes_in(spec, pod_of("vision")), why


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (ALL, "without policyTypes a policy bounds what comes in"),
        ({**ALL, "egress": [{}]}, "also when it speaks of going out"),
        ({**ALL, "ingress": []}, "no rule lets nobody in"),
        ({**ALL, "ingress": [{"from": [{"podSelector": {}}]}]}, "pods of its own namespace"),
        ({**ALL, "ingress": [{"ports": [{"port": 80}]}]}, "another port"),
        ({**ALL, "ingress": [{"ports": [{"port": 8000, "protocol": "UDP"}]}]}, "UDP only"),
        ({**ALL, "ingress": [{"ports": [{"port": "dns", "protocol": "UDP"}]}]}, "another name"),
        ({**ALL, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}, "no pod's way"),
    ],
)
def test_a_stranger_stays_out(spec: dict[str, Any], why: str) -> None:
    assert not comes_in(spec, pod_of("vision")), why


def test_addresses_come_in_but_for_the_exceptions() -> None:
    block = {"cidr": "203.0.113.0/24", "except": ["203.0.113.128/25"]}
    spec = {**ALL, "ingress": [{"from": [{"ipBlock": block}]}]}
    assert comes_in(spec, Sender("", {}, {}, "203.0.113.5"))
    assert not comes_in(spec, Sender("", {}, {}, "203.0.113.200"))
    assert not comes_in(spec, Sender("", {}, {}, "198.51.100.1"))


def test_a_policy_of_another_namespace_guards_nothing_here() -> None:
    assert admits([policy(ALL, "search")], pods(), pod_of("vision"), 8000, "TCP")


@pytest.mark.parametrize(
    ("ingress", "who"),
    [
        ([], set()),
        ([{}], {ANYWHERE}),
        ([{"from": [{"podSelector": {}}]}], {HOME}),
        ([{"from": [{"namespaceSelector": {}}]}], {INSIDE}),
        ([{"from": [{"namespaceSelector": {"matchLabels": {NAME: "search"}}}]}], {"search"}),
        ([{"from": [{"namespaceSelector": {"matchLabels": {"team": "search"}}}]}], {INSIDE}),
        ([{"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["0.0.0.0/1"]}}]}], {INTERNET}),
        ([{"from": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}], {INSIDE}),
        ([{"from": [{"ipBlock": {"cidr": "::/0"}}]}], {INTERNET}),
        ([{"from": [{}]}], {ANYWHERE}),
        ([{"from": [{"podSelector": {}}], "ports": [{"port": 1}]}], {HOME}),
    ],
)
def test_who_may_come_is_told_by_the_one_label_nobody_chooses(
    ingress: list[Any], who: set[str]
) -> None:
    found = sources([policy({**ALL, "policyTypes": ["Ingress"], "ingress": ingress})], pods())
    assert {source.who for source in found} == who


# -- against an evaluator written from the documentation -------------------------------------

KEYS, VALUES = st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"])
LABELS = st.dictionaries(KEYS, VALUES, max_size=2)
EXPRESSIONS = st.builds(
    lambda key, operator, values: (
        {"key": key, "operator": operator, "values": values}
        if operator in ("In", "NotIn")
        else {"key": key, "operator": operator}
    ),
    KEYS,
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(VALUES, min_size=1, max_size=2),
)
SELECTORS = st.fixed_dictionaries(
    {}, optional={"matchLabels": LABELS, "matchExpressions": st.lists(EXPRESSIONS, max_size=2)}
)
SPACES = st.one_of(
    SELECTORS,
    st.sampled_from([HOME, "search"]).map(lambda name: {"matchLabels": {NAME: name}}),
)
BLOCKS = st.sampled_from([
    {"cidr": "0.0.0.0/0"},
    {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]},
    {"cidr": "10.0.0.0/8"},
    {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/28"]},
])  # fmt: skip
PEERS = st.one_of(
    BLOCKS.map(lambda block: {"ipBlock": block}),
    SELECTORS.map(lambda one: {"podSelector": one}),
    SPACES.map(lambda one: {"namespaceSelector": one}),
    st.builds(lambda s, p: {"namespaceSelector": s, "podSelector": p}, SPACES, SELECTORS),
)
PORTS = st.one_of(
    st.sampled_from(["http", "dns", "none"]).map(lambda name: {"port": name}),
    st.builds(lambda p, n: {"protocol": p, "port": n}, st.sampled_from(["TCP", "UDP"]),
              st.sampled_from([53, 80, 8000])),
    st.just({"port": 80, "endPort": 8000}),
    st.just({"protocol": "UDP"}),
)  # fmt: skip
RULES = st.fixed_dictionaries(
    {}, optional={"from": st.lists(PEERS, max_size=2), "ports": st.lists(PORTS, max_size=2)}
)
SPECS = st.fixed_dictionaries(
    {"podSelector": SELECTORS},
    optional={
        "policyTypes": st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
        "ingress": st.lists(RULES, max_size=2),
        "egress": st.lists(st.just({}), max_size=1),
    },
)
SENDERS = st.one_of(
    st.builds(
        lambda name, space, labels: Sender(name, {NAME: name, **space}, labels, ""),
        st.sampled_from([HOME, "search", "vision"]),
        LABELS,
        LABELS,
    ),
    st.sampled_from(["10.1.2.3", "203.0.113.3", "203.0.113.77", "8.8.8.8"]).map(
        lambda address: Sender("", {}, {}, address)
    ),
)


def naive_selects(selector: dict[str, Any], labels: Any) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if key not in labels or labels[key] != value:
            return False
    for one in selector.get("matchExpressions") or []:
        has, value = one["key"] in labels, labels.get(one["key"])
        if one["operator"] == "In" and not (has and value in one["values"]):
            return False
        if one["operator"] == "NotIn" and has and value in one["values"]:
            return False
        if one["operator"] == "Exists" and not has:
            return False
        if one["operator"] == "DoesNotExist" and has:
            return False
    return True


def naive_block(block: dict[str, Any], address: str) -> bool:
    number = ipaddress.ip_address(address)
    inside = number in ipaddress.ip_network(block["cidr"])
    for hole in block.get("except", []):
        inside = inside and number not in ipaddress.ip_network(hole)
    return inside


def naive_peer(peer: dict[str, Any], sender: Sender) -> bool:
    if "ipBlock" in peer:
        return sender.address != "" and naive_block(peer["ipBlock"], sender.address)
    if sender.address != "":
        return False
    if "namespaceSelector" in peer:
        if not naive_selects(peer["namespaceSelector"], sender.namespace_labels):
            return False
    elif sender.namespace != HOME:
        return False
    return "podSelector" not in peer or naive_selects(peer["podSelector"], sender.labels)


def naive_from(rule: dict[str, Any], sender: Sender) -> bool:
    if "from" not in rule or rule["from"] == []:
        return True
    return any(naive_peer(peer, sender) for peer in rule["from"])


def naive_port(rule: dict[str, Any], number: int, protocol: str) -> bool:
    if "ports" not in rule or rule["ports"] == []:
        return True
    names = {"http": (8000, "TCP"), "dns": (53, "UDP")}
    for port in rule["ports"]:
        if port.get("protocol", "TCP") != protocol:
            continue
        wish = port.get("port")
        if wish is None:
            return True
        if isinstance(wish, str):
            if names.get(wish) == (number, protocol):
                return True
        elif wish <= number <= port.get("endPort", wish):
            return True
    return False


def naive_admits(
    specs: list[dict[str, Any]], labels: dict[str, str], sender: Sender, port: int, protocol: str
) -> bool:
    guarded = False
    for spec in specs:
        bounds_ingress = "Ingress" in spec["policyTypes"] if "policyTypes" in spec else True
        if not bounds_ingress or not naive_selects(spec["podSelector"], labels):
            continue
        guarded = True
        for rule in spec.get("ingress", []):
            if naive_from(rule, sender) and naive_port(rule, port, protocol):
                return True
    return not guarded


@given(
    specs=st.lists(SPECS, max_size=3),
    labels=LABELS,
    sender=SENDERS,
    port=st.sampled_from([53, 80, 443, 8000]),
    protocol=st.sampled_from(["TCP", "UDP"]),
)
def test_two_evaluators_agree_and_whoever_comes_in_was_foreseen(
    specs: list[dict[str, Any]], labels: dict[str, str], sender: Sender, port: int, protocol: str
) -> None:
    policies, target = [policy(spec) for spec in specs], pods(**labels)
    found = admits(policies, target, sender, port, protocol)
    assert found is naive_admits(specs, labels, sender, port, protocol)
    if found:
        who = {source.who for source in sources(policies, target)}
        near = {INSIDE, sender.namespace} if not sender.address else {INTERNET}
        if sender.address.startswith("10."):
            near.add(INSIDE)
        assert who & (near | {ANYWHERE}), "a path that nobody foresaw is a hole in the judge"


# -- going out -------------------------------------------------------------------------------


def goes_out(*specs: dict[str, Any], to: PodSet, port: int = 8000, protocol: str = "TCP") -> bool:
    return releases([policy(spec) for spec in specs], pods(app="a"), to, port, protocol)


OUT: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Egress"]}
TO_SEARCH = {"namespaceSelector": {"matchLabels": {NAME: "search"}}}


@pytest.mark.parametrize(
    ("specs", "why"),
    [
        ([], "no policy selects the pods"),
        ([{**OUT, "policyTypes": ["Ingress"]}], "it bounds only what comes in"),
        ([{**OUT, "podSelector": {"matchLabels": {"app": "b"}}}], "it is around others"),
        ([{**OUT, "egress": [{}]}], "a rule without to goes everywhere"),
        ([{**OUT, "egress": [{"to": [TO_SEARCH]}]}], "the namespace"),
        ([OUT, {**OUT, "egress": [{"to": [TO_SEARCH]}]}], "what one of two lets out goes out"),
        ([{**OUT, "egress": [{"to": [{**TO_SEARCH, "podSelector": {}}]}]}], "all pods there"),
        ([{**OUT, "egress": [{"ports": [{"port": "http"}]}]}], "the other's name of its port"),
    ],
)
def test_pods_go_out(specs: list[dict[str, Any]], why: str) -> None:
    assert goes_out(*specs, to=pods("search", app="there")), why


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (OUT, "no rule lets nobody out"),
        ({**ALL, "egress": [{"ports": [{"port": 53}]}]}, "to speak of going out is to bound it"),
        ({**OUT, "egress": [{"to": [{"podSelector": {}}]}]}, "pods of its own namespace"),
        ({**OUT, "egress": [{"ports": [{"port": 80}], "to": [TO_SEARCH]}]}, "another port"),
        ({**OUT, "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}, "no pod's way"),
        ({**OUT, "ingress": [{}]}, "to let in is not to let out"),
    ],
)
def test_pods_stay_in(spec: dict[str, Any], why: str) -> None:
    assert not goes_out(spec, to=pods("search", app="there")), why


def mirrored(spec: dict[str, Any]) -> dict[str, Any]:
    """The same wall, for what goes out."""
    rules = [
        {"to" if key == "from" else key: value for key, value in rule.items()}
        for rule in spec.get("ingress", [])
    ]
    return {"podSelector": spec["podSelector"], "policyTypes": ["Egress"], "egress": rules}


@given(
    specs=st.lists(SPECS, max_size=3),
    labels=LABELS,
    there=st.sampled_from([HOME, "search"]),
    theirs=LABELS,
    port=st.sampled_from([53, 80, 8000]),
)
def test_what_goes_out_is_what_the_same_words_would_let_in(
    specs: list[dict[str, Any]],
    labels: dict[str, str],
    there: str,
    theirs: dict[str, str],
    port: int,
) -> None:
    other = Sender(there, {NAME: there}, theirs, "")
    inward = [{**spec, "policyTypes": ["Ingress"]} for spec in specs]
    outward = [policy(mirrored(spec)) for spec in specs]
    found = releases(outward, pods(**labels), pods(there, **theirs), port, "TCP")
    assert found is naive_admits(inward, labels, other, port, "TCP")
