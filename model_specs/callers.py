"""Who may call a public model: groups of the identity provider, or callers with API keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, model_validator

from model_specs.errors import refuse, refuse_all, repeated, shown
from model_specs.names import Name
from model_specs.part import Part

_GROUP: Final = r"^[!-~]([ -~]{0,251}[!-~])?$"
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_ORIGIN: Final = rf"^https://({_LABEL}\.)*{_LABEL}(:[1-9][0-9]{{0,4}})?$"
_MOST_ORIGINS: Final = 64
_MOST_GROUPS: Final = 128
"""Values of one claim (JWTClaim in authorization_types.go of Envoy Gateway 1.9.1)."""
_MOST_KEYS: Final = 100
"""Each is a Secret that people make and renew by hand."""


def _some(what: str) -> AfterValidator:
    """Refuses a list that names nobody, or somebody twice; `what` is one entry in words."""

    def check(names: tuple[str, ...]) -> tuple[str, ...]:
        for index in repeated(names):
            why = f"a {what} is named once, got {shown(names[index])} again; remove one"
            raise refuse("E301", why)
        if not names:
            raise refuse("E301", f"a list of at least 1 {what}, got none; name one")
        return names

    return AfterValidator(check)


class Callers(Part):
    """Who may call a public model: of those who sign in, or by keys of their own."""

    groups: Annotated[
        tuple[Annotated[str, Field(pattern=_GROUP)], ...],
        Field(max_length=_MOST_GROUPS),
        _some("group"),
    ] = ()
    """Groups as the identity provider writes them into tokens (`sign_in.groups_claim` of a region's
    profile); one of them is enough."""
    keys: Annotated[
        tuple[Name, ...],
        Field(max_length=_MOST_KEYS),
        _some("caller"),
    ] = ()
    """Callers with API keys, which they send as `Authorization: Bearer KEY`; nobody's token counts
    then. The key of NAME is the value of NAME in the Secret `api-key--NAME` of the project."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.groups and self.keys:
            # Envoy asks for all that a policy names: a request would need a key and a token, both
            # in one header (internal/xds/translator/httpfilters.go of Envoy Gateway 1.9.1: each is
            # a filter of its own, and each refuses what it does not know).
            why = "callers sign in by tokens or by keys, got groups too; write one of them"
            refuse_all([(("keys",), "E353", why)])
        if not self.groups and not self.keys:
            why = "it names groups or keys, got neither; write one of them, or remove it"
            refuse_all([(("groups",), "E203", why)])
        return self


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
