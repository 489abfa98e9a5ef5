"""Which routes hang on which listener of a Gateway, and under which host names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from regions.sandbox.kube import Object
from regions.sandbox.traffic.watch import Key

ANY_HOST = "*"


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener of a Gateway."""

    gateway: Key
    name: str
    port: int
    protocol: str
    hostname: str
    allowed: Object


@dataclass(frozen=True, slots=True)
class Attached:
    """A route's place: on this listener, for these host names."""

    listener: Listener
    route: Object
    hostnames: tuple[str, ...]


def listeners(gateways: Mapping[Key, Object]) -> list[Listener]:
    """All listeners of all Gateways."""
    return [
        Listener(
            gateway=key,
            name=one["name"],
            port=one["port"],
            protocol=one["protocol"],
            hostname=one.get("hostname", ANY_HOST).lower(),
            allowed=one.get("allowedRoutes", {}).get("namespaces", {"from": "Same"}),
        )
        for key, gateway in sorted(gateways.items())
        for one in gateway["spec"]["listeners"]
    ]


def attach(
    found: Iterable[Listener], routes: Mapping[Key, Object], namespaces: Mapping[Key, Object]
) -> list[Attached]:
    """Every route on every listener that it asks for and that takes it."""
    labels = {key[1]: one["metadata"].get("labels", {}) for key, one in namespaces.items()}
    known = list(found)
    return [
        Attached(listener, route, hostnames)
        for key, route in sorted(routes.items())
        for listener in _asked_for(route, key[0], known)
        if _takes(listener, key[0], labels.get(key[0], {}))
        and (hostnames := _common(listener.hostname, route))
    ]


def _asked_for(route: Object, namespace: str, known: list[Listener]) -> Iterator[Listener]:
    parents = route["spec"].get("parentRefs", ())
    for listener in known:
        if any(_refers(parent, namespace, listener) for parent in parents):
            yield listener


def _refers(parent: Object, namespace: str, listener: Listener) -> bool:
    return (
        parent.get("kind", "Gateway") == "Gateway"
        and (parent.get("namespace", namespace), parent["name"]) == listener.gateway
        and parent.get("sectionName", listener.name) == listener.name
        and parent.get("port", listener.port) == listener.port
    )


def _takes(listener: Listener, namespace: str, labels: Mapping[str, str]) -> bool:
    whence = listener.allowed.get("from", "Same")
    if whence == "Selector":
        return _selects(listener.allowed.get("selector") or {}, labels)
    return whence == "All" or (whence == "Same" and namespace == listener.gateway[0])


def _selects(selector: Object, labels: Mapping[str, str]) -> bool:
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    return wanted.items() <= labels.items() and all(
        _meets(one, labels) for one in selector.get("matchExpressions") or ()
    )


def _meets(expression: Object, labels: Mapping[str, str]) -> bool:
    key, operator = expression["key"], expression["operator"]
    listed = labels.get(key) in (expression.get("values") or ())
    return {
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
        "In": listed,
        "NotIn": not listed,
    }.get(operator, False)


def _common(of_listener: str, route: Object) -> tuple[str, ...]:
    """The host names that both the listener and the route mean."""
    hosts = [host.lower() for host in route["spec"].get("hostnames") or (ANY_HOST,)]
    both = (_narrower(of_listener, host) for host in hosts)
    return tuple(dict.fromkeys(host for host in both if host))


def _narrower(one: str, other: str) -> str:
    """Of two names or patterns the one that the other covers; empty when neither does."""
    if covers(one, other):
        return other
    return one if covers(other, one) else ""


def covers(pattern: str, host: str) -> bool:
    """Whether a host name, or every name of a pattern, belongs to a pattern."""
    if pattern in (ANY_HOST, host):
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[1:]
