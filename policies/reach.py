"""Who can reach a model's pods: every path there is, computed from what would be made.

A path leads through a door (policies.entrances) or straight through a wall (policies.walls). It
counts when anything would let it be, so that no single thing is all that stands between a model
and a caller who must not come: a route counts though a wall would stop it, a Service with a
NodePort although a firewall might, weights of zero and limits of other ports do not matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Final

from policies.entrances import Door, doors, key
from policies.gateways import unencrypted
from policies.guards import ANY_ROUTE, governing, is_bounded, is_counted, routes_of, sign_in_faults
from policies.label_selectors import takes
from policies.podsets import PodSet, Shelf
from policies.resources import Resource
from policies.rule import Estate
from policies.walls import ANYWHERE, INTERNET, sources

UNENCRYPTED: Final = "without TLS, so that tokens can be read on the way"


@dataclass(frozen=True, slots=True)
class Path:
    """One way to the pods.

    `opener` is what would have to go to close it. `gate` names the platform's gateway it leads
    through, empty for every other way. `unsigned` says why somebody who is nobody gets in, empty
    when nobody does. `counted`: each caller is held to the model's requests_per_minute; `bounded`:
    all of them together are.
    """

    who: str
    steps: tuple[str, ...]
    opener: Resource
    gate: str
    unsigned: str
    counted: bool
    bounded: bool

    def __str__(self) -> str:
        return f"from {self.who}: {' -> '.join((*self.steps, 'pods'))}"


def _bare(who: str, opener: Resource, *steps: str) -> Path:
    return Path(who, steps, opener, "", "without signing in", counted=False, bounded=False)


class Reach:
    """All paths of one region, by where they end."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self._sending: dict[Resource, list[Resource]] = {}

    @cached_property
    def _walls(self) -> Shelf:
        walls = self.estate.of("NetworkPolicy")
        return Shelf((wall, wall.spec.get("podSelector") or {}) for wall in walls)

    @cached_property
    def _services(self) -> Shelf:
        return Shelf(
            (service, {"matchLabels": service.spec["selector"]})
            for service in self.estate.of("Service")
            if service.spec.get("selector")
        )

    @cached_property
    def _doors(self) -> dict[str, list[Door]]:
        found: dict[str, list[Door]] = defaultdict(list)
        for door in doors(self.estate):
            found[door.service].append(door)
        return found

    def _governing(self, kind: str, door: Door) -> list[Resource]:
        route = door.opener
        names = (str(route.metadata.get("name")), ANY_ROUTE)
        near = [one for name in names for one in self._guards[kind, route.namespace, name]]
        return governing(near, route, door.rule)

    @cached_property
    def _guards(self) -> dict[tuple[str, str, str], list[Resource]]:
        found: dict[tuple[str, str, str], list[Resource]] = defaultdict(list)
        for policy in self.estate.of("BackendTrafficPolicy", "SecurityPolicy"):
            for name in routes_of(policy):
                found[policy.kind, policy.namespace, name].append(policy)
        return found

    def walls(self, pods: PodSet) -> list[Resource]:
        """The NetworkPolicies that may be around these pods."""
        return self._walls.near(pods)

    def services(self, pods: PodSet) -> list[Resource]:
        """The Services that send requests to these pods, looked for once a workload."""
        if pods.workload not in self._sending:
            self._sending[pods.workload] = [
                service
                for service in self._services.near(pods)
                if takes({"matchLabels": service.spec["selector"]}, pods.labels)
            ]
        return self._sending[pods.workload]

    def doors(self, pods: PodSet) -> Iterator[Door]:
        """The doors of these Services."""
        for service in self.services(pods):
            yield from self._doors[key(service.namespace, str(service.metadata["name"]))]

    def _unsigned(self, door: Door, signs: Sequence[Resource]) -> str:
        """Why somebody who is nobody gets through a gateway's door; empty when nobody does."""
        if door.opener.kind != "HTTPRoute" or door.gate is None or not door.gate.known:
            return "without signing in"
        if not signs:
            return "without signing in"
        if door.gate.who == INTERNET and unencrypted(door.gate, door.opener.namespace, self.estate):
            return UNENCRYPTED
        profile = self.estate.facts.profile
        faults = (f"{sign} {why}" for sign in signs for why in sign_in_faults(sign, profile))
        return next((f"where {fault}" for fault in faults), "")

    def _through(self, door: Door, most: int) -> Path:
        limits = self._governing("BackendTrafficPolicy", door)
        signs = self._governing("SecurityPolicy", door)
        return Path(
            who=door.who,
            steps=door.steps,
            opener=door.opener,
            gate=door.gate.name if door.gate and door.gate.known else "",
            unsigned=self._unsigned(door, signs),
            counted=bool(limits) and all(is_counted(limit, most, signs) for limit in limits),
            bounded=bool(limits) and all(is_bounded(limit, most) for limit in limits),
        )

    def _direct(self, pods: PodSet) -> Iterator[Path]:
        for source in sources(self.walls(pods), pods):
            if source.policy is None:
                yield _bare(ANYWHERE, pods.workload, "no NetworkPolicy")
            else:
                yield _bare(source.who, source.policy, str(source.policy))
        if pods.on_node:
            yield _bare(INTERNET, pods.workload, "the node's own addresses")

    def paths(self, pods: PodSet, most: int) -> Iterator[Path]:
        """Every path to the pods, each once; `most` is what the model calls its limit a minute."""
        led = (self._through(door, most) for door in self.doors(pods))
        yield from dict.fromkeys(chain(led, self._direct(pods)))
