"""Holds what a profile opens for pods to go to against all else that it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from model_specs.errors import dotted, shown
from regions.namespaces import platform_of
from regions.networks import MOST_NETWORKS
from regions.reachable import Reachable

Where = tuple[str | int, ...]
Finding = tuple[Where, str, str]
_Named = tuple[Where, str]
"""A network, and where the profile says it."""

_OF_PLATFORM, _OF_STORE, _OF_CODE = "platform", "registry", "reachable"
_CURES: Final[dict[tuple[str, str], str]] = {
    (_OF_STORE, _OF_STORE): "name each address once",
    (_OF_CODE, _OF_CODE): "a call of one would open the other: name each address once at a port",
    (_OF_STORE, _OF_CODE): "models' own code never reads the registry; remove it",
    (_OF_PLATFORM, _OF_CODE): "the platform's own addresses are nobody's to call; remove it",
    (_OF_PLATFORM, _OF_STORE): "the store is outside of the cluster; remove it",
}
"""By whose the two networks are that share an address, what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a region has beside its ways out.

    `inhabited` says who lives in a namespace, `hosts` which field of the profile names a host.
    `networks` are those of the cluster and of the platform's parts, by the place that names them;
    `addresses` the registry's, at its `ports`. `is_store_within` says that the registry is a
    Service of the cluster.
    """

    inhabited: Mapping[str, str]
    hosts: Mapping[str, str]
    domain: str
    networks: Mapping[Where, str]
    addresses: Sequence[str]
    ports: Sequence[int]
    is_store_within: bool


def misled(rows: Sequence[Reachable], ground: Ground) -> Iterator[Finding]:
    """Ways out to what no model's own code, or no reader of the registry, may be let out to."""
    networks = sum(len(row.networks) for row in rows)
    if networks > MOST_NETWORKS:
        why = f"the admission guard holds {MOST_NETWORKS} networks of all rows, got {networks}"
        yield (_OF_CODE,), "E371", f"{why}; name wider ones, or fewer hosts"
    yield from _unheld(rows, ground)
    yield from _places(rows, ground)
    yield from _repeated(rows)
    yield from dict.fromkeys(_shared(rows, ground))


def _unheld(rows: Sequence[Reachable], ground: Ground) -> Iterator[Finding]:
    """Private networks that are opened where nobody says which of them are the cluster's own.

    One that holds the Services' or the API server's would open those to models' code.
    """
    if any(where[:2] == ("cluster", "networks") for where in ground.networks):
        return
    opened = [one for row in rows for one in row.networks]
    opened += () if ground.is_store_within else ground.addresses
    private = [one for one in opened if ip_network(one).is_private]
    if private:
        why = f"pods get out to {shown(private[0])}, and it is not said what the cluster has itself"
        cure = "name the networks of pods, Services and the API server"
        yield ("cluster", "networks"), "E371", f"{why}; {cure}"


def _places(rows: Sequence[Reachable], ground: Ground) -> Iterator[Finding]:
    """Rows that lead to the platform, or to the models."""
    for index, row in enumerate(rows):
        field = "host" if row.host else "service"
        whose = _owner(row, ground)
        if whose:
            why = f"what models call is no part of the platform, got {shown(row.target)}, {whose}"
            yield (_OF_CODE, index, field), "E371", f"{why}; remove it"


def _owner(row: Reachable, ground: Ground) -> str:
    if row.namespace:
        return platform_of(row.namespace, ground.inhabited)
    if row.target in ground.hosts:
        return f"to which {ground.hosts[row.target]} leads"
    served = f".{row.target}".endswith(f".{ground.domain}")
    return "where models of this region answer, which share_with opens" if served else ""


def _repeated(rows: Sequence[Reachable]) -> Iterator[Finding]:
    """Rows of which one would open what only another is to open."""
    targets: dict[tuple[str, int], int] = {}
    for index, row in enumerate(rows):
        first = targets.setdefault((row.target, row.port), index)
        if first != index:
            got = shown(f"{row.target}:{row.port}")
            why = f"a way out is listed once, got {got} of {_OF_CODE}[{first}] again"
            yield (_OF_CODE, index), "E371", f"{why}; remove one"
    homes: dict[tuple[str, int], list[int]] = {}
    for index, row in enumerate(rows):
        if row.namespace and targets[row.target, row.port] == index:
            others = homes.setdefault((row.namespace, row.port), [])
            for other in others:
                if not (row.pods and rows[other].pods) or row.pods == rows[other].pods:
                    why = f"a call of it opens {_OF_CODE}[{other}] too, {rows[other].target}, got "
                    why += f"{shown(row.pods) if row.pods else 'no pods'} at port {row.port}"
                    cure = "tell the Services of one namespace apart by `pods`"
                    yield (_OF_CODE, index, "pods"), "E371", f"{why}; {cure}"
            others.append(index)


def _shared(rows: Sequence[Reachable], ground: Ground) -> Iterator[Finding]:
    """Networks that two ways out have in common at one port, or one of them with the cluster."""
    store = [((_OF_STORE, "addresses", i), one) for i, one in enumerate(ground.addresses)]
    for port in sorted({*ground.ports, *(row.port for row in rows)}):
        named = [*ground.networks.items(), *(store if port in ground.ports else ())]
        for index, row in enumerate(rows):
            if row.port == port:
                named += [((_OF_CODE, index, "networks", i), n) for i, n in enumerate(row.networks)]
        for first, second in _overlapping(named):
            whose = _whose(first), _whose(second)
            within = ground.is_store_within and whose == (_OF_PLATFORM, _OF_STORE)
            if whose in _CURES and not within:
                got = f"got {shown(second[1])} beside {shown(first[1])} of {dotted(first[0])}"
                yield (
                    second[0],
                    "E371",
                    f"a network is one way out and nothing else, {got}; {_CURES[whose]}",
                )


def _whose(named: _Named) -> str:
    field = str(named[0][0])
    return field if field in (_OF_STORE, _OF_CODE) else _OF_PLATFORM


def _order(named: _Named) -> tuple[object, ...]:
    """The platform's first, then the registry's, then what models call, each in its order."""
    numbers = [part for part in named[0] if isinstance(part, int)]
    return (_OF_PLATFORM, _OF_STORE, _OF_CODE).index(_whose(named)), *numbers


def _overlapping(named: Iterable[_Named]) -> Iterator[tuple[_Named, _Named]]:
    """The networks within others, each with the widest around it, the one that is earlier first.

    Of two networks one holds the other or they share nothing, so that one pass of the sorted ones
    finds all: a profile of thousands is judged at once.
    """

    def start(one: _Named) -> tuple[int, int, int]:
        network = ip_network(one[1])
        return network.version, int(network.network_address), network.prefixlen

    around: _Named | None = None
    for one in sorted(named, key=start):
        if around is not None and _holds(around[1], one[1]):
            first, second = sorted((around, one), key=_order)
            yield first, second
        else:
            around = one


def _holds(wide: str, narrow: str) -> bool:
    one, other = ip_network(wide), ip_network(narrow)
    return one.version == other.version and other.subnet_of(one)  # type: ignore[arg-type]
