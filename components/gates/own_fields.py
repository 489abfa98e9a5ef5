"""Finds fields that somebody set under our field manager's name, by what we have rendered.

Whoever applies as `isoserve` owns as we do, and takes our own fields' place in no list of managers.
So what we own in a live object is compared with the object as we apply it: a field more was not
ours, also one inside a value that is owned as a whole, such as a node selector or a route's rule.
A field that is changed or gone is seen by the provider.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from components.gates.managed_fields import Fields, in_names, index, owned, plain
from components.kube import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """A field that the API server adds to a value that we own as a whole."""

    kind: str
    field: str
    value: Any
    source: str


def _default(kind: str, field: str, value: Any, source: str) -> Default:
    return Default(kind=kind, field=field, value=value, source=source)


_PODS: Final = ("CronJob", "DaemonSet", "Deployment", "Job")
_ROUTES: Final = "gateway-api 1.4, apis/v1/shared_types.go and object_reference_types.go"
DEFAULTS: Final[tuple[Default, ...]] = (
    *(_default(kind, "apiVersion", "v1", "kubernetes, pkg/apis/core/v1/defaults.go: fieldRef")
      for kind in _PODS),
    _default("Gateway", "group", "", _ROUTES),
    _default("HTTPRoute", "group", "", _ROUTES),
    _default("HTTPRoute", "group", "gateway.networking.k8s.io", _ROUTES),
    _default("BackendTrafficPolicy", "invert", False, "envoyproxy/gateway 1.6, HeaderMatch"),
    _default("SecurityPolicy", "cacheDuration", "300s", "envoyproxy/gateway 1.6, RemoteJWKS"),
    _default("SecurityPolicy", "valueType", "String", "envoyproxy/gateway 1.6, JWTClaim"),
)  # fmt: skip


Beyond = tuple[str, Any]
"""A field in words, and its value: ours by its manager, but not rendered."""


def _rendered(made: Any, step: str) -> Any:
    """What a step chooses of a rendered value; None where there is nothing. A key that an item of a
    list leaves out has its default."""
    kind, _, rest = step.partition(":")
    if kind == "f":
        return made.get(rest) if isinstance(made, dict) else None
    wanted, items = json.loads(rest), made if isinstance(made, list) else []
    if kind == "k":
        rows = (i for i in items if all(i.get(key, at) == at for key, at in wanted.items()))
        return next(rows, None)
    return wanted if wanted in items else None


def _chosen(live: Any, step: str) -> Any:
    """What a step chooses of a live value; None where there is nothing."""
    if step.startswith("f:"):
        return live.get(step[2:])
    at = index(live, step)
    return None if at is None else live[at]


def _more(kind: str, made: Any, live: Any, path: tuple[str, ...]) -> Iterator[Beyond]:
    """What a live value, owned as a whole, has that was not rendered. What differs without being
    more is seen by the provider."""
    if isinstance(made, dict) and isinstance(live, dict):
        for name, value in live.items():
            if name in made:
                yield from _more(kind, made[name], value, (*path, name))
            elif not any((d.kind, d.field, d.value) == (kind, name, value) for d in DEFAULTS):
                yield in_names((*path, name)), value
    elif isinstance(made, list) and isinstance(live, list):
        for at, value in enumerate(live):
            here = (*path, f"[{at}]")
            if at < len(made):
                yield from _more(kind, made[at], value, here)
            else:
                yield in_names(here), value


@dataclass(frozen=True, slots=True)
class _Compared:
    """One object's kind, and the paths in it that only its creation sets."""

    kind: str
    left_alone: Collection[str]

    def beyond(self, own: Fields, made: Any, live: Any, path: tuple[str, ...]) -> Iterator[Beyond]:
        """What `own` says is ours in a live object and was not rendered."""
        for step, node in own.items():
            here = (*path, plain(step))
            if step == "." or in_names(here) in self.left_alone:
                continue
            mine, theirs = _rendered(made, step), _chosen(live, step)
            if mine is None:
                yield in_names(here), theirs
            elif theirs is None:  # an empty value, which the API server drops
                continue
            elif node:
                yield from self.beyond(node, mine, theirs, here)
            else:
                yield from _more(self.kind, mine, theirs, here)


def beyond(live: Object, row: Mapping[str, Any]) -> list[Beyond]:
    """The fields of a live object that are ours by their manager, and that the object as we apply
    it does not have; `row` is one of `unpacked`."""
    made = row["object"]
    return list(_Compared(made["kind"], row["left_alone"]).beyond(owned(live), made, live, ()))
