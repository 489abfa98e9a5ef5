"""Where the files lie that a command reads. Loads nothing of how plans are made."""

from __future__ import annotations

import filecmp
from argparse import Namespace
from pathlib import Path

from model_specs.catalogue_files import FOLDER, project_root, read_folders
from model_specs.errors import SpecError, nearest
from stacks.outcome import InputErrors, refusal


def directories(args: Namespace) -> tuple[Path, Path]:
    """The directories of the specs and of the profiles. Raises InputErrors when one is missing."""
    root = project_root()
    chosen = (args.specs or root / "model_specs", args.regions or root / "regions")
    for folder, what in zip(chosen, ("<project>/<model>.yaml", "<region>.yaml"), strict=True):
        if not folder.is_dir():
            message = f"no such directory; give the one that holds {what}"
            raise refusal(str(folder), "E100", message)
    _check_catalogue(chosen[0] / FOLDER)
    return chosen


def _check_catalogue(beside: Path) -> None:
    """Raise InputErrors where rows of the catalogue lie beside the specs that nobody reads.

    The catalogue is the project's, whatever specs are named; a copy of it is no other one.
    """
    read = read_folders()
    for path in sorted(beside.rglob("*.yaml")) if beside.is_dir() else ():
        name = path.relative_to(beside)
        if not any(_is_copy(path, place / name) for place in read):
            message = f"nobody reads a row of the catalogue here, got it; move it to {read[-1]}"
            raise refusal(str(path), "E111", message)


def _is_copy(path: Path, other: Path) -> bool:
    """Whether both are regular files of the same bytes; what cannot be read is no copy."""
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:
        return False


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
