"""Who may call a public model: groups of the identity provider by which callers sign in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from model_specs.errors import refuse, repeated, shown
from model_specs.part import Part

_GROUP: Final = r"^[!-~]([ -~]{0,251}[!-~])?$"
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


def uncalled(spec: Any) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Callers of a model that asks nobody who they are; each with its place, code and message."""
    if spec.callers is not None and spec.access != "public":
        why = f"only callers of public models sign in, got access {spec.access}"
        yield ("callers",), "E353", f"{why}; remove it, or use public"
