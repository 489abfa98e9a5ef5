"""Finds the directories a command reads and brings specs and profiles to plans."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_specs.errors import SpecError, SpecErrors, nearest
from model_specs.load import Specs, load
from regions.limits import unknown_regions
from regions.plan import RegionPlan
from regions.profile import RegionProfile, load_profiles
from regions.resolve import resolve
from stacks.outcome import InputErrors, refusal

PROJECT_FILE: Final = "Pulumi.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The wishes, and the regions that were asked for, by name."""

    specs: Specs
    profiles: dict[str, RegionProfile]

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


def project_root() -> Path:
    """The nearest directory above with Pulumi.yaml, else the one this program stands in."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    return Path(__file__).resolve().parent.parent


def directories(args: Namespace) -> tuple[Path, Path]:
    """The directories of the specs and of the profiles. Raises InputErrors when one is missing."""
    root = project_root()
    chosen = (args.specs or root / "model_specs", args.regions or root / "regions")
    for folder, what in zip(chosen, ("<project>/<model>.yaml", "<region>.yaml"), strict=True):
        if not folder.is_dir():
            message = f"no such directory; give the one that holds {what}"
            raise refusal(str(folder), "E100", message)
    return chosen


def check_regions(wanted: list[str], regions: Path) -> None:
    """Raise InputErrors when a region is named that has no profile."""
    known = [path.stem for path in regions.glob("*.yaml")]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InputErrors(
            SpecError(
                file="--region",
                line=1,
                column=1,
                path="",
                code="E333",
                message=f"no such region, got {name!r}; {nearest(name, known)}",
            )
            for name in unknown
        )


def read_tree(specs: Path, regions: Path, wanted: list[str]) -> Tree:
    """The tree in two directories, with the regions `wanted` or all of them.

    Raises SpecErrors with everything that is wrong in specs and in profiles.
    """
    check_regions(wanted, regions)
    errors: list[SpecError] = []
    found: Specs | None = None
    profiles: dict[str, RegionProfile] = {}
    try:
        found = load(specs)
    except SpecErrors as refused:
        errors += refused.errors
    try:
        profiles = load_profiles(regions, tuple(wanted))
    except SpecErrors as refused:
        errors += refused.errors
    if errors or found is None:
        raise SpecErrors(errors)
    errors += unknown_regions(found, [path.stem for path in regions.glob("*.yaml")])
    if errors:
        raise SpecErrors(errors)
    return Tree(specs=found, profiles=profiles)


def tree_of(args: Namespace) -> Tree:
    """The tree that the options name."""
    specs, regions = directories(args)
    return read_tree(specs, regions, args.region)
