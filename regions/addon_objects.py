"""What a cluster's own add-ons put into every namespace, which no drift check need tell of."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from model_specs.names import SUBDOMAIN
from model_specs.part import Part

MOST: Final = 32
_SOURCE: Final = r"^[!-~]([ -~]{0,198}[!-~])?$"


class AddonObject(Part):
    """One object by its one name, and who makes it. It is of a kind that by itself opens no way,
    grants no right and runs nothing: of those, one by a hand is always told."""

    kind: Literal["ConfigMap", "LimitRange", "ResourceQuota", "Secret", "ServiceAccount"]
    """Its kind."""
    name: Annotated[str, Field(pattern=SUBDOMAIN, max_length=253)]
    """Its name, the same in every namespace, and no pattern: each object is known."""
    source: Annotated[str, Field(pattern=_SOURCE)]
    """Who makes it and why, for people, e.g. trust-manager: the company's certificates."""
