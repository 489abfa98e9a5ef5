"""Rules about walls: nothing comes or goes but what somebody wrote down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from ipaddress import ip_network
from typing import Any, Final

from model_specs.names import (
    CACHE_NAMESPACE,
    LABEL_MODEL,
    LABEL_PROJECT,
    LABEL_ROLE,
    PROBER,
)
from policies.facts import Facts
from policies.label_selectors import only_values, takes_none_with
from policies.legal.asked import blocks
from policies.legal.network import called_ways
from policies.models import registry_readers
from policies.pods import pod
from policies.podsets import TCP, PodSet, pod_set
from policies.reach import Reach
from policies.resources import Resource, absent
from policies.rule import WORKLOADS, Estate, Fault, Rule, each, whole
from policies.walls import LABEL_NAMESPACE, directions, releases
from regions.networks import METADATA

Block = Mapping[str, Any]

_DNS: Final = frozenset({(53, TCP), (53, "UDP")})
_PEERS: Final = frozenset({(9092, TCP)})
_API: Final = frozenset({(443, TCP), (6443, TCP)})
_WEB: Final = frozenset({(80, TCP), (443, TCP)})
_CREDENTIALS: Final = tuple(map(ip_network, METADATA))
"""Where a cloud hands out its nodes' credentials to whoever asks."""
_HANDS_OUT: Final = (80, TCP)
"""The port at which it does."""
_WAYS: Final = {"Egress": "out", "Ingress": "in"}


def _is_for_all(policy: Resource) -> bool:
    return not any((policy.spec.get("podSelector") or {}).values())


def _walled(estate: Estate) -> Iterator[str]:
    """Namespaces that need a wall: where a pod of ours stands, and every project's."""
    projects = estate.facts.projects
    ours = {one.namespace for one in estate.resources if one.namespace in projects}
    yield from sorted(ours | {workload.namespace for workload in estate.of(*WORKLOADS)})


@whole("P28", "netpol-default-deny")
def _default_deny(estate: Estate) -> Iterator[Fault]:
    """Where pods of ours stand, and in every project, one wall is around all pods, both ways.

    In a project it lets nobody in. Without it a pod that no other policy selects is open to
    everybody; and no wall holds for a pod on its node's own network.
    """
    for namespace in _walled(estate):
        walls = [p for p in estate.of("NetworkPolicy") if p.namespace == namespace]
        walls = [policy for policy in walls if _is_for_all(policy)]
        open_ways = set(_WAYS).difference(*map(directions, walls))
        if open_ways:
            what = f"is missing: pods of {namespace} may go {_words(open_ways)} as they like"
            lacking = absent("NetworkPolicy", namespace, "default-deny", {LABEL_PROJECT: namespace})
            yield Fault(lacking, what, "render it with both policyTypes for all pods", "")
        for policy in walls:
            if policy.spec.get("ingress") and namespace in estate.facts.projects:
                what = f"lets somebody in to every pod of {namespace}"
                yield Fault(policy, what, "let each model's own wall do that", "")
    for workload in estate.of(*WORKLOADS):
        if pod(workload).get("hostNetwork"):
            fix = "give its pods a network of their own"
            yield Fault(workload, "stands on its node's network, before every wall", fix, "")


def _words(ways: set[str]) -> str:
    return " and ".join(sorted(_WAYS[way] for way in ways))


def _ports(rule: Block) -> frozenset[tuple[Any, str]]:
    """Ports that a rule names; a range is none of those that are allowed."""
    return frozenset(
        ("a range" if port.get("endPort") else port.get("port"), port.get("protocol") or TCP)
        for port in rule.get("ports") or ()
    )


def _is_of(peer: Block, namespaces: Set[str]) -> bool:
    """Whether a peer is pods of some of these namespaces."""
    names = only_values(peer.get("namespaceSelector") or {}, LABEL_NAMESPACE)
    return "ipBlock" not in peer and bool(names) and names <= namespaces  # type: ignore[operator]


def _only_to(peers: list[Block], *namespaces: str) -> bool:
    """Whether all of the peers are pods of these namespaces."""
    return bool(peers) and all(_is_of(peer, {*namespaces}) for peer in peers)


def _near_or_in(peers: list[Block], *namespaces: str) -> bool:
    """Whether all of the peers are pods of the wall's own namespace or of these."""
    far = [peer for peer in peers if set(peer) != {"podSelector"}]
    return bool(peers) and (not far or _only_to(far, *namespaces))


def _is_harmless(peer: Block) -> bool:
    """Whether a block of addresses leaves out those that hand out credentials."""
    if set(peer) != {"ipBlock"}:
        return False
    block = ip_network(peer["ipBlock"]["cidr"])
    holes = [ip_network(hole) for hole in peer["ipBlock"].get("except") or ()]
    risky = [one for one in _CREDENTIALS if one.version == block.version and one.overlaps(block)]
    return all(
        any(hole.version == one.version and one.subnet_of(hole) for hole in holes)  # type: ignore[arg-type]
        for one in risky
    )


def _of_prober(policy: Resource) -> bool:
    return only_values(policy.spec.get("podSelector") or {}, LABEL_ROLE) == frozenset({PROBER})


def _to_dns(policy: Resource, rule: Block, facts: Facts) -> bool:
    return bool(_ports(rule)) and _ports(rule) <= _DNS and _only_to(_to(rule), "kube-system")


def _to_known(rule: Block, facts: Facts) -> bool:
    """Whether a rule names the registry's addresses alone; true where nobody knows them."""
    known = blocks(facts.profile.registry.addresses)
    return not known or (bool(_to(rule)) and all(peer in known for peer in _to(rule)))


def _to_registry(policy: Resource, rule: Block, facts: Facts) -> bool:
    if policy.namespace != CACHE_NAMESPACE and policy.model not in facts.models:
        return False
    # An agent writes Events, at the ports of API servers and of the Service before them.
    registry = _registry_ports(facts)
    allowed = registry | _API if policy.namespace == CACHE_NAMESPACE else registry
    if not _ports(rule) or not _ports(rule) <= allowed:
        return False
    if _ports(rule) <= registry and not _to_known(rule, facts):
        return False
    addresses = [peer for peer in _to(rule) if "ipBlock" in peer or not peer]
    near_credentials = not _to(rule) or not all(map(_is_harmless, addresses))
    return not (_HANDS_OUT in _ports(rule) and near_credentials)


def _registry_ports(facts: Facts) -> frozenset[tuple[Any, str]]:
    return frozenset((port, TCP) for port in facts.profile.registry.ports)


def _to_called(policy: Resource, rule: Block, facts: Facts) -> bool:
    """A model's way to what its spec calls and the profile lists."""
    model = facts.models.get(policy.model)
    return model is not None and rule in called_ways(facts, model)


def _to_agents(policy: Resource, rule: Block, facts: Facts) -> bool:
    """The cache agents' way to each other."""
    among = policy.namespace == CACHE_NAMESPACE and _only_to(_to(rule), CACHE_NAMESPACE)
    return among and bool(_ports(rule)) and _ports(rule) <= _PEERS


def _to_models(policy: Resource, rule: Block, facts: Facts) -> bool:
    """The prober's way: pods of its own namespace, and the gateways."""
    return _of_prober(policy) and _near_or_in(_to(rule), *facts.profile.proxy_namespaces)


def _of_callers(policy: Resource, facts: Facts) -> bool:
    """Whether a wall is around pods of a project that are no model's."""
    apart = takes_none_with(policy.spec.get("podSelector") or {}, LABEL_MODEL)
    return apart and policy.namespace in facts.projects


def _to_callees(policy: Resource, rule: Block, facts: Facts) -> bool:
    """A caller's way: pods of its own namespace, the gateways, and whoever shares with it."""
    return _of_callers(policy, facts) and _near_or_in(_to(rule), *facts.callees[policy.namespace])


def _to_gateway_outside(policy: Resource, rule: Block, facts: Facts) -> bool:
    """The prober's way to a gateway whose address is a load balancer's, where one is needed."""
    if not (_of_prober(policy) and _to(rule) and all(map(_is_harmless, _to(rule)))):
        return False
    routed = any(
        model.project == policy.namespace and model.spec.access != "private"
        for model in facts.specs.models
    )
    return routed and bool(_ports(rule)) and _ports(rule) <= _WEB


def _to(rule: Block) -> list[Block]:
    return list(rule.get("to") or ())


_MAY_GO: Final[tuple[Callable[[Resource, Block, Facts], bool], ...]] = (
    _to_dns,
    _to_registry,
    _to_called,
    _to_agents,
    _to_models,
    _to_callees,
    _to_gateway_outside,
)


@each("P28", "egress-allow-list", "NetworkPolicy")
def _egress_allow_list(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Pods go out to DNS in kube-system, the registry's own ports and what their spec calls; cache
    agents also to each other and the API server.

    A project's pods that are no model go to its namespace, the gateways and whoever shares with
    it; a prober, where a model has a route, to the web's ports outside. Nobody goes at port 80 to
    link-local addresses: there a cloud hands out credentials.
    """
    for rule in resource.spec.get("egress") or ():
        if not any(may(resource, rule, facts) for may in _MAY_GO):
            ports = ", ".join(sorted(f"{port}/{kind}" for port, kind in _ports(rule)))
            where = "some addresses" if rule.get("to") else "every address"
            what = f"lets pods out to {where} on {ports or 'all ports'}"
            fix = "name DNS in kube-system, or only the registry's ports (80 never link-local)"
            if _of_callers(resource, facts):
                names = ", ".join(sorted(facts.callees[resource.namespace]))
                fix = f"name {names}, or have another project share_with {resource.namespace}"
            yield Fault(resource, what, fix, "access")


@whole("P28", "registry-reachable")
def _registry_reachable(estate: Estate) -> Iterator[Fault]:
    """Whatever reads the registry gets out to it, and no other model's pods do: at its endpoint's
    port and its addresses, and where it is a Service of the cluster at its pods' own port.

    Who reads it are the cache agents, models that are downloaded, and jobs with data.
    """
    reach, registry = estate.once(Reach), estate.facts.profile.registry
    store = PodSet(absent("Pod", "anywhere", "registry", {}), {}, {}, on_node=False)
    places = [str(ip_network(one)[0]) for one in registry.addresses] or [""]
    readers = estate.once(registry_readers)
    for workload in estate.of(*WORKLOADS):
        if workload.namespace != CACHE_NAMESPACE and not workload.model:
            continue
        reads, pods = workload.model in readers or not workload.model, pod_set(workload)
        walls = reach.walls(pods)
        for port in registry.ports:
            out = [releases(walls, pods, store, port, TCP, place) for place in places]
            if reads and not all(out):
                fix = f"let it out on {port}/TCP, as the profile's registry says"
                yield Fault(workload, f"gets to no registry on {port}/TCP", fix, "registry")
            elif any(out) and not reads:
                what = f"gets to the registry on {port}/TCP, and nothing of it reads it"
                yield Fault(workload, what, "take the way out of its policy", "registry")


RULES: Final[tuple[Rule, ...]] = (_default_deny, _egress_allow_list, _registry_reachable)
