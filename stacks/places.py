"""Where the files lie that a command reads. Loads nothing of how plans are made."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Final

from model_specs.errors import SpecError, nearest
from stacks.outcome import InputErrors, refusal

PROJECT_FILE: Final = "Pulumi.yaml"


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
