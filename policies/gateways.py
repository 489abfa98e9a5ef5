"""The two entrances of a region, and what any other Gateway counts as.

What stands behind a Gateway (the load balancer, its address) is not rendered, only the annotations
that decide on which side of the internet it stands. Assumed where no cloud is asked: whoever runs
the gateway class gives `internal` an address that only the inside reaches, and `public` one that
the internet reaches. Everything that could decide otherwise makes a Gateway count as internet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from model_specs.names import GATEWAY_NAMESPACE, LABEL_PROJECT
from policies.facts import Facts
from policies.label_selectors import Labels, takes
from policies.resources import Resource
from policies.rule import Estate, Fault, Rule, each
from policies.walls import INSIDE, INTERNET, LABEL_NAMESPACE
from regions.exposure import DECIDING, DEFAULTS, misdirects
from regions.profile import RegionProfile

Block = Mapping[str, Any]

_WHO: Final = {"internal": INSIDE, "public": INTERNET}
HOSTS: Final = {"internal": "*.internal.{domain}", "public": "*.{domain}"}
_UNDERSTOOD: Final = frozenset({"gatewayClassName", "infrastructure", "listeners"})
"""Parts of a Gateway that cannot move its address, or are judged for it."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A Gateway as a route names it: who stands before it, and whether it is one of the two."""

    name: str
    who: str
    known: bool
    made: Resource | None

    def __str__(self) -> str:
        return f"Gateway {self.name}"


def is_ours(namespace: str, name: str) -> bool:
    """Whether these are namespace and name of one of the region's two entrances."""
    return namespace == GATEWAY_NAMESPACE and name in _WHO


def _strange(gateway: Resource, profile: RegionProfile) -> Iterator[tuple[str, str]]:
    """What makes a Gateway another than the platform's, and what would mend it."""
    name = str(gateway.metadata["name"])
    if not is_ours(gateway.namespace, name):
        fix = f"remove it; routes go through {GATEWAY_NAMESPACE}/public or /internal"
        yield "is an entrance of its own", fix
        return
    for part in sorted(set(gateway.spec) - _UNDERSTOOD):
        yield f"sets {part}, which may move its address", f"remove {part}"
    if gateway.spec.get("gatewayClassName") != profile.gateway_class:
        given = gateway.spec.get("gatewayClassName")
        yield f"is of class {given}", f"use gateway_class {profile.gateway_class}"
    yield from _exposed(gateway.spec.get("infrastructure") or {}, name, profile)
    host = HOSTS[name].format(domain=profile.domain)
    for listener in gateway.spec.get("listeners") or ():
        if listener.get("hostname") != host:
            yield f"listens for {listener.get('hostname') or 'every host'}", f"listen for {host}"
        spaces = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
        if spaces.get("from") == "All":
            yield "takes routes from every namespace", f"select namespaces by {LABEL_PROJECT}"


def _exposed(infrastructure: Block, name: str, profile: RegionProfile) -> Iterator[tuple[str, str]]:
    """What would move a gateway's load balancer to the other side of the internet."""
    fix = f"take the annotations of gateways.{name} and the provider's"
    for part in sorted(set(infrastructure) - {"annotations"}):
        yield f"sets infrastructure.{part}, which may move its address", f"remove {part}"
    found = dict(infrastructure.get("annotations") or {})
    own = getattr(profile.gateways, name).annotations
    for key in sorted(set(found) - set(own) - set(DEFAULTS[profile.provider, name])):
        yield f"has annotation {key}, which the profile does not give", fix
    for key, value in sorted(found.items()):
        why = misdirects(profile.provider, name, key, str(value))
        if why:
            yield f"has annotation {key}: {why}", fix
    for key in DECIDING[profile.provider]:
        if key not in found:
            yield f"lacks annotation {key}, so its load balancer may stand anywhere", fix


def _is_plain(listener: Block) -> bool:
    """Whether what comes in there can be read on the way."""
    tls = listener.get("tls") or {}
    ends_here = tls.get("mode", "Terminate") == "Terminate" and tls.get("certificateRefs")
    return listener.get("protocol") != "HTTPS" or not ends_here


def unencrypted(gate: Gate, namespace: str, estate: Estate) -> bool:
    """Whether a listener of a gateway takes routes of a namespace without TLS; a gateway that is
    not rendered is trusted."""
    listeners = (gate.made.spec.get("listeners") or ()) if gate.made else ()
    return any(_is_plain(one) and _takes_from(one, namespace, estate) for one in listeners)


def _entrance(name: str, estate: Estate) -> Gate:
    label = f"{GATEWAY_NAMESPACE}/{name}"
    found = [made for made in estate.of("Gateway") if str(made) == f"Gateway {label}"]
    strange = any(any(_strange(made, estate.facts.profile)) for made in found)
    made = found[0] if found else None
    return Gate(label, INTERNET if strange else _WHO[name], not strange, made)


_ENTRANCES: Final = {name: partial(_entrance, name) for name in _WHO}
"""What finds each of the two, once for all routes."""


def gate(estate: Estate, reference: Block, home: str) -> Gate:
    """What a route's parentRef names; `home` is the route's namespace."""
    namespace, name = reference.get("namespace") or home, str(reference.get("name", "?"))
    if reference.get("kind", "Gateway") != "Gateway" or not is_ours(namespace, name):
        return Gate(f"{namespace}/{name}", INTERNET, False, None)
    return estate.once(_ENTRANCES[name])


def _meets(listener: str, host: str) -> bool:
    return not listener or host == listener or host.endswith(listener.removeprefix("*"))


def _namespace_labels(estate: Estate) -> dict[str, Labels]:
    """Labels by the name of a Namespace; of two of one name, the first one's."""
    return {one.metadata["name"]: one.labels for one in reversed(estate.of("Namespace"))}


def _takes_from(listener: Block, namespace: str, estate: Estate) -> bool:
    """Whether a listener takes routes of a namespace; as the API has it, by default of its own."""
    spaces = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
    labels = {LABEL_NAMESPACE: namespace, **estate.once(_namespace_labels).get(namespace, {})}
    return {
        "All": True,
        "Same": namespace == GATEWAY_NAMESPACE,
        "Selector": takes(spaces.get("selector") or {}, labels),
    }[spaces.get("from") or "Same"]


def attaches(estate: Estate, route: Resource, reference: Block) -> bool:
    """Whether a listener of the named gateway would take the route.

    A gateway that the region may not make (no cluster_scope) is there by agreement.
    """
    found = gate(estate, reference, route.namespace)
    if found.made is None:
        return found.known and "cluster_scope" not in estate.facts.profile.capabilities
    wish = reference.get("sectionName")
    hosts = route.spec.get("hostnames") or [""]
    return any(
        (not wish or listener.get("name") == wish)
        and reference.get("port", listener.get("port")) == listener.get("port")
        and any(_meets(listener.get("hostname") or "", host) for host in hosts)
        and _takes_from(listener, route.namespace, estate)
        for listener in found.made.spec.get("listeners") or ()
    )


@each("P04", "known-gateways", "Gateway")
def _known_gateways(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """The region has two entrances, `public` and `internal`, both the platform's.

    `public` takes models' routes by TLS only; what it takes without are routes of its own
    namespace, where no model is. A Gateway that somebody else makes has an address and rules that
    nobody here can judge.
    """
    for what, fix in _strange(resource, facts.profile):
        yield Fault(resource, what, fix, "access")
    if is_ours(resource.namespace, name := resource.metadata["name"]) and name == "public":
        for listener in resource.spec.get("listeners") or ():
            spaces = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
            if _is_plain(listener) and spaces.get("from") != "Same":
                fix = "terminate TLS with the profile's certificate on every listener"
                yield Fault(resource, "listens without TLS", fix, "tls_secret")
                return


RULES: Final[tuple[Rule, ...]] = (_known_gateways,)
