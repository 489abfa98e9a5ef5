"""What NetworkPolicies let in and out, by Kubernetes' own rules.

A pod that no policy selects takes everything, and goes everywhere; of several that do, what any
one lets pass passes.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from policies.label_selectors import Labels, only_values, takes
from policies.podsets import TCP, PodSet
from policies.resources import Resource

Block = Mapping[str, Any]

INTERNET: Final = "the internet"
ANYWHERE: Final = "every address"
INSIDE: Final = "every project"
"""Who comes in, where it is no single namespace; no namespace's name holds a space."""

LABEL_NAMESPACE: Final = "kubernetes.io/metadata.name"
"""The one label of a namespace that nobody can choose: the API server sets it."""
_WITHIN: Final = tuple(
    ipaddress.ip_network(block)
    for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
"""Addresses that no packet from the internet comes from."""
_PEER: Final = frozenset({"ipBlock", "namespaceSelector", "podSelector"})


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends a packet: a pod of `namespace`, or with an `address` something that is no pod.

    For a packet that goes out, the pod at its other end.
    """

    namespace: str
    namespace_labels: Labels
    labels: Labels
    address: str


@dataclass(frozen=True, slots=True)
class Source:
    """Who may come in at some port, and the policy that says so; None where none stands."""

    who: str
    policy: Resource | None


def directions(policy: Resource) -> frozenset[str]:
    """What a policy bounds; without policyTypes, going out only when it says something of it."""
    given = policy.spec.get("policyTypes")
    return frozenset(given or ("Ingress", *(("Egress",) if policy.spec.get("egress") else ())))


def selects(policy: Resource, pods: PodSet, direction: str) -> bool:
    """Whether a policy bounds these pods in one direction."""
    return (
        policy.namespace == pods.namespace
        and direction in (policy.spec.get("policyTypes") or directions(policy))
        and takes(policy.spec.get("podSelector") or {}, pods.labels)
    )


def _is_in(block: Block, address: str) -> bool:
    if not address:
        return False
    here = ipaddress.ip_address(address)
    holes = (ipaddress.ip_network(hole) for hole in block.get("except") or ())
    return here in ipaddress.ip_network(block["cidr"]) and not any(here in hole for hole in holes)


def _is_peer(peer: Block, home: str, sender: Sender) -> bool:
    """Whether the sender is one that a rule of `home` names."""
    if set(peer) - _PEER or not peer:
        raise ValueError(f"a NetworkPolicy's peer is no {dict(peer)}")
    if "ipBlock" in peer:
        return _is_in(peer["ipBlock"], sender.address)
    if sender.address:
        return False
    spaces = peer.get("namespaceSelector")
    near = sender.namespace == home if spaces is None else takes(spaces, sender.namespace_labels)
    return near and takes(peer.get("podSelector") or {}, sender.labels)


def _is_port(given: Block, pods: PodSet, port: int, protocol: str) -> bool:
    if (given.get("protocol") or TCP) != protocol:
        return False
    number = given.get("port")
    if number is None:
        return True
    if isinstance(number, str):
        return (port, protocol) in pods.ports.get(number, ())
    return bool(number <= port <= (given.get("endPort") or number))


def _is_named(peers: Sequence[Block], home: str, other: Sender) -> bool:
    """Whether a list of peers has this one; an empty list has everybody."""
    return not peers or any(_is_peer(peer, home, other) for peer in peers)


def _is_open(rule: Block, pods: PodSet, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(_is_port(given, pods, port, protocol) for given in ports)


def admits(
    policies: Sequence[Resource], pods: PodSet, sender: Sender, port: int, protocol: str
) -> bool:
    """Whether a packet of this sender to this port of the pods comes in."""
    guards = [policy for policy in policies if selects(policy, pods, "Ingress")]
    rules = [rule for policy in guards for rule in policy.spec.get("ingress") or ()]
    return not guards or any(
        _is_named(rule.get("from") or (), pods.namespace, sender)
        and _is_open(rule, pods, port, protocol)
        for rule in rules
    )


def releases(
    policies: Sequence[Resource],
    pods: PodSet,
    to: PodSet,
    port: int,
    protocol: str,
    address: str = "",
) -> bool:
    """Whether a packet of these pods to this port of those others goes out.

    With an `address` the others are no pods of the cluster.
    """
    there = Sender(to.namespace, {LABEL_NAMESPACE: to.namespace}, to.labels, address)
    guards = [policy for policy in policies if selects(policy, pods, "Egress")]
    rules = [rule for policy in guards for rule in policy.spec.get("egress") or ()]
    return not guards or any(
        _is_named(rule.get("to") or (), pods.namespace, there)
        and _is_open(rule, to, port, protocol)
        for rule in rules
    )


def _block_source(block: Block) -> str:
    """Without regard to its exceptions: who is almost everybody is everybody."""
    network = ipaddress.ip_network(block["cidr"])
    inside = any(network.version == n.version and network.subnet_of(n) for n in _WITHIN)  # type: ignore[arg-type]
    return INSIDE if inside else INTERNET


def _who(peer: Block, home: str) -> Iterator[str]:
    """Whom a peer stands for; labels of namespaces that people choose bound nobody."""
    if set(peer) - _PEER or not peer:
        yield ANYWHERE
    elif "ipBlock" in peer:
        yield _block_source(peer["ipBlock"])
    elif peer.get("namespaceSelector") is None:
        yield home
    else:
        names = only_values(peer["namespaceSelector"], LABEL_NAMESPACE)
        yield from sorted(names) if names is not None else (INSIDE,)


def sources(policies: Iterable[Resource], pods: PodSet) -> Iterator[Source]:
    """Everybody who may come in at whatever port: what a container declares binds no program."""
    guards = [policy for policy in policies if selects(policy, pods, "Ingress")]
    if not guards:
        yield Source(ANYWHERE, None)
    for policy in guards:
        for rule in policy.spec.get("ingress") or ():
            peers = rule.get("from") or ()
            found = {who for peer in peers for who in _who(peer, pods.namespace)}
            yield from (Source(who, policy) for who in sorted(found if peers else {ANYWHERE}))
