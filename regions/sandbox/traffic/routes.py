"""Which rule of which HTTPRoute answers a request: the Gateway API's order of precedence."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from regions.sandbox.kube import Object
from regions.sandbox.traffic.listeners import Attached, covers
from regions.sandbox.traffic.watch import Key, key_of

_UNITS_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION: Final = re.compile(r"(\d+)(h|ms|m|s)")
_PATH_RANKS: Final = {"Exact": 0, "RegularExpression": 1, "PathPrefix": 2}
_EVERYTHING: Final[Object] = {"path": {"type": "PathPrefix", "value": "/"}}


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service's port, and its share of a rule's requests; `wrong` says why it can't be used."""

    service: Key
    port: int
    weight: int
    wrong: str


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where copies of requests go, and how many of a hundred."""

    cluster: str
    backend: Backend
    percent: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: who answers, within what time (None: any), who gets a copy.

    `cluster` is the name by which Envoy counts; `refusal` says why every request gets a 500.
    """

    cluster: str
    backends: tuple[Backend, ...]
    mirrors: tuple[Mirror, ...]
    timeout_seconds: float | None
    refusal: str


@dataclass(frozen=True, slots=True)
class Question:
    """What of a request decides who answers it; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def queries(self) -> dict[str, str]:
        """The first value of each query parameter."""
        pairs = parse_qsl(urlsplit(self.target).query, keep_blank_values=True)
        return dict(reversed(pairs))


@dataclass(frozen=True, slots=True)
class Match:
    """One of a rule's ways to be meant."""

    wanted: Object
    rule: Rule

    def meets(self, question: Question) -> bool:
        """Whether the request is what this match asks for."""
        wanted = self.wanted
        return (
            wanted.get("method", question.method) == question.method
            and _path_meets(wanted.get("path") or {}, question.path)
            and all(
                _value_meets(one, question.headers.get(one["name"].lower()))
                for one in wanted.get("headers") or ()
            )
            and all(
                _value_meets(one, question.queries.get(one["name"]))
                for one in wanted.get("queryParams") or ()
            )
        )


Table = Mapping[str, tuple[Match, ...]]
"""By host name or pattern all matches, first come first served."""


def table(attached: Iterable[Attached], services: Mapping[Key, Object]) -> Table:
    """What one port answers."""
    ranked: dict[str, list[tuple[tuple[object, ...], Match]]] = defaultdict(list)
    for one in attached:
        key = key_of(one.route)
        age = one.route["metadata"].get("creationTimestamp", "")
        for index, written in enumerate(one.route["spec"].get("rules") or ()):
            rule = _rule(key, index, written, services)
            for wanted in filter(_is_sound, written.get("matches") or (_EVERYTHING,)):
                rank = (*_rank(wanted), age, key, index)
                for host in one.hostnames:
                    ranked[host].append((rank, Match(wanted, rule)))
    return {
        host: tuple(match for _, match in sorted(found, key=lambda one: one[0]))
        for host, found in ranked.items()
    }


def choose(found: Table, host: str, question: Question) -> Rule | None:
    """The rule that answers a request to `host`; None when nobody does.

    The closest host name alone decides: when its rules don't meet, no wider pattern is asked.
    """
    hosts = [pattern for pattern in found if covers(pattern, host)]
    if not hosts:
        return None
    closest = max(hosts, key=lambda pattern: (pattern[:1] != "*", len(pattern)))
    return next((one.rule for one in found[closest] if one.meets(question)), None)


def draw(rule: Rule, chance: random.Random) -> Backend | None:
    """One of the rule's backends by weight; None when all weigh nothing."""
    if not any(one.weight for one in rule.backends):
        return None
    return chance.choices(rule.backends, [one.weight for one in rule.backends])[0]


def _rank(wanted: Object) -> tuple[int, int, int, int, int]:
    """Less comes first."""
    path = wanted.get("path") or {}
    kind, value = path.get("type", "PathPrefix"), path.get("value", "/")
    return (
        _PATH_RANKS.get(kind, len(_PATH_RANKS)),
        -len(value),
        0 if wanted.get("method") else 1,
        -len(wanted.get("headers") or ()),
        -len(wanted.get("queryParams") or ()),
    )


def _is_sound(wanted: Object) -> bool:
    """Whether its patterns are regular expressions; one that isn't meets nothing."""
    values = [wanted.get("path") or {}, *(wanted.get("headers") or ())]
    try:
        for one in (*values, *(wanted.get("queryParams") or ())):
            if one.get("type") == "RegularExpression":
                re.compile(one["value"])
    except re.error:
        return False
    return True


def _path_meets(wanted: Object, path: str) -> bool:
    kind, value = wanted.get("type", "PathPrefix"), wanted.get("value", "/")
    if kind == "Exact":
        return bool(path == value)
    if kind == "RegularExpression":
        return re.fullmatch(value, path) is not None
    prefix = value.rstrip("/")  # of whole elements: /a is no prefix of /ab
    return path == prefix or path.startswith(f"{prefix}/")


def _value_meets(wanted: Object, value: str | None) -> bool:
    if value is None:
        return False
    if wanted.get("type", "Exact") == "RegularExpression":
        return re.fullmatch(wanted["value"], value) is not None
    return bool(value == wanted["value"])


def _rule(route: Key, index: int, written: Object, services: Mapping[Key, Object]) -> Rule:
    cluster = f"httproute/{route[0]}/{route[1]}/rule/{index}"
    filters = list(enumerate(written.get("filters") or ()))
    return Rule(
        cluster=cluster,
        backends=tuple(
            _backend(one, route[0], services) for one in written.get("backendRefs") or ()
        ),
        mirrors=tuple(
            Mirror(
                f"{cluster}-mirror-{place}",
                _backend(one["requestMirror"]["backendRef"], route[0], services),
                one["requestMirror"].get("percent", 100),
            )
            for place, one in filters
            if one["type"] == "RequestMirror"
        ),
        timeout_seconds=_seconds((written.get("timeouts") or {}).get("request", "0s")),
        refusal=_refusal(written),
    )


def _backend(written: Object, namespace: str, services: Mapping[Key, Object]) -> Backend:
    space, port = written.get("namespace", namespace), written.get("port", 0)
    service = services.get((space, written["name"]), {"spec": {}})
    wrong = ""
    if written.get("kind", "Service") != "Service" or written.get("group"):
        wrong = f"{written.get('kind')} {written['name']} is no Service"
    elif space != namespace:
        wrong = f"Service {space}/{written['name']} is in another namespace"
    elif port not in [one["port"] for one in service["spec"].get("ports", ())]:
        wrong = f"there is no Service {space}/{written['name']} with port {port}"
    return Backend((space, written["name"]), port, written.get("weight", 1), wrong)


def _refusal(written: Object) -> str:
    every = [*(written.get("filters") or ())]
    for one in written.get("backendRefs") or ():
        every += one.get("filters") or ()
    unknown = {
        one["type"]
        for one in every
        if one["type"] != "RequestMirror" or "fraction" in one["requestMirror"]
    }
    if unknown:
        return f"the stand-in doesn't do the filters {', '.join(sorted(unknown))}"
    return "" if written.get("backendRefs") else "the rule has no backend"


def _seconds(written: str) -> float | None:
    """A duration of the Gateway API (`1h30m`, `500ms`); zero is no limit."""
    total = sum(int(n) * _UNITS_SECONDS[unit] for n, unit in _DURATION.findall(written))
    return total or None
