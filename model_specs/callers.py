"""Who may call a public model: groups of the identity provider by which callers sign in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from model_specs.errors import refuse, repeated, shown
from model_specs.part import Part

_GROUP: Final = r"^[!-~]([ -~]{0,251}[!-~])?$"
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_ORIGIN: Final = rf"^https://({_LABEL}\.)*{_LABEL}(:[1-9][0-9]{{0,4}})?$"
_MOST_ORIGINS: Final = 64
_MOST_GROUPS: Final = 128
"""Values of one claim (JWTClaim in authorization_types.go of Envoy Gateway 1.9.1)."""


def _check_groups(groups: tuple[str, ...]) -> tuple[str, ...]:
    for index in repeated(groups):
        raise refuse("E301", f"a group is named once, got {shown(groups[index])} again; remove one")
    if not groups:
        raise refuse("E301", "a list of at least 1 group, got none; name one")
    return groups


class Callers(Part):
    """Who of those who sign in may call a public model."""

    groups: Annotated[
        tuple[Annotated[str, Field(pattern=_GROUP)], ...],
        Field(max_length=_MOST_GROUPS),
        AfterValidator(_check_groups),
    ]
    """Groups as the identity provider writes them into tokens (`sign_in.groups_claim` of a region's
    profile); one of them is enough."""


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for index in repeated(origins):
        raise refuse("E301", f"an origin is named once, got {shown(origins[index])} again")
    return origins


Origins = Annotated[
    tuple[Annotated[str, Field(pattern=_ORIGIN)], ...],
    Field(max_length=_MOST_ORIGINS),
    AfterValidator(_check_origins),
]
"""Scheme, host and port of web pages, as browsers send them (RFC 6454, section 6.2): lower case,
no path, no wildcard, and no port where it is 443."""


def uncalled(spec: Any) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Callers of a model that asks nobody who they are; each with its place, code and message."""
    for name, what in (("callers", "sign in"), ("cors_origins", "come from browsers")):
        if getattr(spec, name) and spec.access != "public":
            why = f"only callers of public models {what}, got access {spec.access}"
            yield (name,), "E353", f"{why}; remove it, or use public"
