"""What a team's `access` allows: which path to its model may be, and what to change if not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from model_specs.names import GATEWAY_NAMESPACE
from policies.facts import Facts
from policies.podsets import PodSet
from policies.reach import UNENCRYPTED, Path

_PUBLIC: Final = f"{GATEWAY_NAMESPACE}/public"
_INTERNAL: Final = f"{GATEWAY_NAMESPACE}/internal"
PROMISED: Final = {"permissive": _INTERNAL, "private": "", "public": _PUBLIC}
"""The gateway that each access promises."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a team asked for: who may call its model (namespaces), and how often a minute.

    `directly` are the namespaces whose pods may come without a route.
    """

    access: str
    callers: frozenset[str]
    directly: frozenset[str]
    most: int
    serves: bool


def wish_of(pods: PodSet, facts: Facts) -> Wish:
    """What was asked for these pods. Where nobody asked for anything, only their own project."""
    model, scraper = facts.models.get(pods.model), {facts.profile.scraper_namespace}
    if model is None:
        own = frozenset({pods.namespace})
        return Wish("private", own, own | scraper, 0, serves=False)
    spec, callers = model.spec, facts.callers(model)
    if spec.batch is not None:
        return Wish("private", callers, callers | scraper, 0, serves=False)
    routed = {*facts.profile.proxy_namespaces} if PROMISED[spec.access] else set()
    directly = callers | routed | scraper
    return Wish(spec.access, callers, directly, spec.requests_per_minute, serves=True)


def _uncounted(path: Path, wish: Wish) -> str:
    return "" if path.counted else f"without a quota of {wish.most} a minute for each caller"


def _unbounded(path: Path, wish: Wish) -> str:
    return "" if path.bounded else f"without a limit of {wish.most} a minute for all together"


def _of_private(path: Path, wish: Wish) -> str | None:
    return "although its access is private"


def _of_permissive(path: Path, wish: Wish) -> str | None:
    if path.gate == _INTERNAL:
        return _unbounded(path, wish) or None
    return f"although {_INTERNAL} is the only way in"


def _of_public(path: Path, wish: Wish) -> str | None:
    if path.gate == _PUBLIC:
        return path.unsigned or _uncounted(path, wish) or None
    return path.unsigned or f"although {_PUBLIC} is the only way in"


_REFUSAL: Final[dict[str, Callable[[Path, Wish], str | None]]] = {
    "permissive": _of_permissive,
    "private": _of_private,
    "public": _of_public,
}
"""What is wrong with a path that is none of a namespace that may come directly, if anything."""


def refusal(path: Path, wish: Wish) -> str | None:
    """What is wrong with a path to a model, in words; None where it may be."""
    return None if path.who in wish.directly else _REFUSAL[wish.access](path, wish)


def _route_remedy(path: Path, wish: Wish, model: str) -> str:
    route = path.opener
    if route.model != model:
        return f"take {path.steps[-1]} out of {route}"
    if path.gate and path.gate == PROMISED[wish.access]:
        if path.unsigned == UNENCRYPTED:
            return f"have Gateway {path.gate} speak TLS alone"
        return f"guard {route} by policies of its own, or remove it"
    others = [access for access, gate in PROMISED.items() if gate and gate == path.gate]
    other = f" or set access: {others[0]}" if others and route.kind == "HTTPRoute" else ""
    return f"remove {route}{other}"


def remedy(path: Path, wish: Wish, facts: Facts, model: str) -> str:
    """What to change; where another `access` would allow the path, that too."""
    opener = path.opener
    if opener.kind == "NetworkPolicy":
        shared = f", or add {path.who} to share_with" if path.who in facts.projects else ""
        return f"take {path.who} out of {opener}{shared}"
    if opener.kind == "Service":
        return f"make {opener} a ClusterIP without externalIPs"
    if opener.kind.endswith("Route"):
        return _route_remedy(path, wish, model)
    mend = {"Ingress": f"remove {opener}"}
    return mend.get(opener.kind, f"let {opener} have a NetworkPolicy, no hostNetwork, no hostPort")
