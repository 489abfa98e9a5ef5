"""Every noun of a region with its objects, in the one order in which all commands take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from components.kube import Object
from regions.plan import RegionPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One component: a noun, its logical name (never with the region in it) and its objects.

    `model` is the id of the model it belongs to, or empty for the region's and projects' own.
    """

    noun: str
    name: str
    model: str
    objects: list[Object]


NOUNS: tuple[Callable[[RegionPlan], Iterator[Part]], ...] = ()
"""What makes the parts of one noun; the order is that of `up`."""


def parts(plan: RegionPlan) -> Iterator[Part]:
    """All Kubernetes parts of a region."""
    for noun in NOUNS:
        yield from noun(plan)
