"""The two sides of a review: what a revision planned and what the work tree plans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from model_specs.errors import SpecError, SpecErrors
from model_specs.load import Model
from regions.plan import RegionPlan
from regions.resolve import resolve
from stacks.history import BrokenBase, tree_at
from stacks.outcome import InputErrors
from stacks.tree import Tree, read_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of them. `tree` is None when there was nothing or it was refused."""

    tree: Tree | None
    plans: dict[str, RegionPlan]
    errors: tuple[SpecError, ...]

    @property
    def models(self) -> dict[str, Model]:
        """Models by id, those that are planned no more too: what their teams wrote."""
        specs = self.tree.specs if self.tree else None
        both = (*specs.models, *specs.expired) if specs else ()
        return {model.id: model for model in sorted(both, key=lambda model: model.id)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Both, and the regions of either."""

    base: Side
    work: Side
    regions: tuple[str, ...]

    @property
    def removed(self) -> tuple[str, ...]:
        """Regions whose profile is gone."""
        if self.work.tree is None:
            return ()
        profiles = self.work.tree.profiles
        return tuple(region for region in self.base.plans if region not in profiles)

    @property
    def compared(self) -> tuple[str, ...]:
        """Regions of which it is known what happens: planned in the work tree, or removed."""
        removed = self.removed
        return tuple(r for r in self.regions if r in self.work.plans or r in removed)


def _planned(tree: Tree) -> Side:
    plans: dict[str, RegionPlan] = {}
    errors: list[SpecError] = []
    for region, profile in sorted(tree.profiles.items()):
        try:
            plans[region] = resolve(tree.specs, profile, region)
        except SpecErrors as refused:
            errors += refused.errors
    return Side(tree=tree, plans=plans, errors=tuple(sorted(set(errors))))


def unexpired(sides: Sides) -> Sides:
    """From the work tree with its expired models to that without: what passing time takes away.

    Where the models no longer fit, nothing is known of what they were.
    """
    tree = sides.work.tree
    if tree is None or not tree.specs.expired:
        return replace(sides, base=sides.work)
    specs = replace(tree.specs, models=(*tree.specs.models, *tree.specs.expired), expired=())
    return replace(sides, base=_planned(replace(tree, specs=specs)))


def _refused(errors: SpecErrors) -> Side:
    return Side(tree=None, plans={}, errors=errors.errors)


def read_work(specs: Path, regions: Path, wanted: list[str], at: datetime) -> Side:
    """Read and plan the work tree for the moment `at`; what is refused is kept as its errors.

    Raises InputErrors when there is no such region.
    """
    try:
        return _planned(read_tree(specs, regions, wanted).wanted_at(at))
    except InputErrors:  # a region that is not there is a slip on the command line
        raise
    except SpecErrors as refused:
        return _refused(refused)


def _base(
    revision: str,
    specs: Path,
    regions: Path,
    wanted: list[str],
    at: datetime,
    scratch: Path,
    known: Iterable[Model],
) -> Side:
    try:
        tree = tree_at(revision, specs, regions, scratch, known)
    except BrokenBase as refused:
        return _refused(refused)
    if tree is None:
        return Side(tree=None, plans={}, errors=())
    # Nobody can ask for a region whose profile is gone: it is told whatever was asked for.
    profiles = {
        region: profile
        for region, profile in tree.profiles.items()
        if not wanted or region in wanted or not (regions / f"{region}.yaml").is_file()
    }
    return _planned(Tree(specs=tree.specs.wanted_at(at), profiles=profiles))


def read_sides(
    work: Side,
    revision: str,
    specs: Path,
    regions: Path,
    wanted: list[str],
    at: datetime,
    scratch: Path,
) -> Sides:
    """Read and plan a revision beside the work tree, for the same moment `at`.

    Raises InputErrors when there is no such revision.
    """
    base = _base(revision, specs, regions, wanted, at, scratch, work.models.values())
    known = {*base.plans, *(work.tree.profiles if work.tree else ())}
    return Sides(base=base, work=work, regions=tuple(sorted(known)))
