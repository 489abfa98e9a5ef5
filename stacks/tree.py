"""Brings the specs and profiles that a command reads to plans."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from model_specs.errors import SpecError, SpecErrors
from model_specs.load import Model, Specs, load
from model_specs.moment import moment
from model_specs.source import Source
from regions.limits import unknown_regions
from regions.neighbours import conflicts
from regions.plan import RegionPlan
from regions.profile import Reader, RegionProfile, load_profiles, no_reader
from regions.resolve import resolve
from stacks.outcome import refusal
from stacks.places import check_regions, directories


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The wishes, and the regions that were asked for, by name."""

    specs: Specs
    profiles: dict[str, RegionProfile]

    def wanted_at(self, at: datetime) -> Tree:
        """The tree without the models whose `ttl` has passed at the moment `at`."""
        return replace(self, specs=self.specs.wanted_at(at))

    def plans(self) -> list[RegionPlan]:
        """The regions' plans. Raises SpecErrors with what is wrong in any of them."""
        found: list[RegionPlan] = []
        errors: list[SpecError] = []
        for region, profile in self.profiles.items():
            try:
                found.append(resolve(self.specs, profile, region))
            except SpecErrors as refused:
                errors += refused.errors
        if errors:
            raise SpecErrors(errors)
        return found


def read_tree(
    specs: Path,
    regions: Path,
    wanted: list[str],
    reader: Reader = no_reader,
    known: Iterable[Model] = (),
) -> Tree:
    """The tree in two directories, with the regions `wanted` or all of them.

    `known` are models of another tree (see `load`). Raises SpecErrors with everything that is
    wrong in specs and in profiles.
    """
    check_regions(wanted, regions)
    errors: list[SpecError] = []
    found: Specs | None = None
    profiles: dict[str, RegionProfile] = {}
    try:
        found = load(specs, known)
    except SpecErrors as refused:
        errors += refused.errors
    sources: dict[str, Source] = {}

    def kept(name: str, source: Source) -> None:
        sources[name] = source
        reader(name, source)

    try:
        profiles = load_profiles(regions, tuple(wanted), kept)
    except SpecErrors as refused:
        errors += refused.errors
    if errors or found is None:
        raise SpecErrors(errors)
    errors += conflicts(profiles, sources)
    errors += unknown_regions(found, [path.stem for path in regions.glob("*.yaml")])
    if errors:
        raise SpecErrors(errors)
    return Tree(specs=found, profiles=profiles)


def moment_of(args: Namespace) -> datetime:
    """The moment that the options name. Raises InputErrors where it is none."""
    try:
        return moment(args.at)
    except ValueError as error:
        raise refusal("the moment", "E352", str(error)) from None


def tree_of(args: Namespace, at: datetime, reader: Reader = no_reader) -> Tree:
    """The tree that the options name, with what is wanted at the moment `at`."""
    specs, regions = directories(args)
    return read_tree(specs, regions, args.region, reader).wanted_at(at)
