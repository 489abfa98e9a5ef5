"""Reads the catalogue: one YAML file a row, in a folder a kind of row.

Our own rows lie beside this file, in `catalogue/<kind>/<name>.yaml`. A company's lie in the same
shape in `model_specs/catalogue` of its project: a file there of a new name is a new row, and one of
a name that we have replaces those keys of ours that it states. Both are read once a process.
"""

from __future__ import annotations

import json
import re
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from model_specs.errors import SpecError, SpecErrors, nearest, shown
from model_specs.part import Part, part_at
from model_specs.source import Source, looks_like_yaml, read

FOLDER: Final = "catalogue"
"""Stands among the folders of projects, so that no project has this name."""
KINDS: Final = ("gpu_kinds", "machine_types", "runtimes")
"""The folders in it, each of one kind of row."""
PROJECT_FILE: Final = "Pulumi.yaml"
_OURS: Final = Path(__file__).resolve().parent / FOLDER
_NAME: Final = re.compile(r"[a-z]([a-z0-9.-]{0,61}[a-z0-9])?")
"""A machine type becomes a node label's value, of at most 63 characters."""
RowT = TypeVar("RowT", bound=Part)

Text = Annotated[str, Field(min_length=1, max_length=1024)]


class Row(Part):
    """A part of a file of the catalogue; no editor's schema is made of it, which costs time.

    Its validator is built when it is asked: of most parts it never is, but of the row around them.
    """

    model_config = ConfigDict(use_attribute_docstrings=False, defer_build=True)


class Fact(Row):
    """Something that is so in other people's software or machines, and who says it."""

    source: Annotated[str, Field(min_length=8, max_length=1024)]
    """Where it was read: a file of the software's repository, an issue, a vendor's page."""
    date: date
    """The day on which it was read there."""


def project_root() -> Path:
    """The nearest directory above with Pulumi.yaml, else the one this program stands in."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    return _OURS.parent.parent


def folders() -> tuple[Path, ...]:
    """Where rows are read, the later ones over the earlier: ours, then the project's own."""
    own = project_root() / "model_specs" / FOLDER
    return (_OURS, own) if own.is_dir() and own.resolve() != _OURS else (_OURS,)


def _said(details: Any, part: type[Part]) -> tuple[str, str]:
    """Code and sentence of what pydantic finds (model_specs.wording knows specs, not rows)."""
    kind, last = details["type"], str((details["loc"] or ("",))[-1])
    if "why" in details.get("ctx", {}):
        return kind, details["ctx"]["why"]
    if kind == "missing":
        return "E203", f"missing; write {last}"
    if kind == "extra_forbidden":
        known = part_at(part, details["loc"][:-1]).model_fields
        return "E201", f"no such field, got {shown(last)}; {nearest(last, known)}"
    says = details["msg"].replace("Input ", "")
    return "E204", f"{says[:1].lower()}{says[1:]}, got {shown(details['input'])}; mend it"


def _row(source: Source, values: dict[str, Any], part: type[RowT]) -> RowT:
    try:
        return part.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise source.refusal(
            [
                source.error(details["loc"], *_said(details, part))
                for details in error.errors(include_url=False)
            ]
        ) from None


def _sources(folder: Path) -> list[tuple[str, Source]]:
    """The files of one folder of rows by the rows' names; what is no such file is refused."""
    found: list[tuple[str, Source]] = []
    errors: list[SpecError] = []
    files = filter(looks_like_yaml, folder.iterdir() if folder.is_dir() else ())
    for path in sorted(path for path in files if not path.name.startswith(".")):
        label = f"model_specs/{FOLDER}/{folder.name}/{path.name}"
        if path.suffix != ".yaml":
            message = f"rows of the catalogue end in .yaml, got {shown(path.name)}; rename it"
            errors.append(Source(label).error((), "E315", message))
            continue
        if not _NAME.fullmatch(path.stem):
            rule = "a row's name is lower-case letters, digits, dots and hyphens, at most 63"
            errors.append(
                Source(label).error((), "E311", f"{rule}, got {shown(path.stem)}; rename it")
            )
            continue
        try:
            found.append((path.stem, read(path, label)))
        except SpecErrors as refused:
            errors += refused.errors
    if errors:
        raise SpecErrors(errors)
    return found


def rows(kind: str, part: type[RowT], places: tuple[Path, ...]) -> dict[str, RowT]:
    """The rows of the folders `kind` of `places` by name. Raises SpecErrors with all that is wrong.

    Of two files for one name the later one's keys come over the earlier one's.
    """
    values: dict[str, dict[str, Any]] = {}
    last: dict[str, Source] = {}
    for place in places:
        for name, source in _sources(place / kind):
            stated = source.values if isinstance(source.values, dict) else {}
            values[name] = {**values.get(name, {}), **stated}
            last[name] = source
    made: dict[str, RowT] = {}
    errors: list[SpecError] = []
    for name in sorted(values):
        try:
            made[name] = _row(last[name], values[name], part)
        except SpecErrors as refused:
            errors += refused.errors
    if errors:
        raise SpecErrors(errors)
    return made


@cache
def read_folders() -> tuple[Path, ...]:
    """The folders that this process reads its rows from."""
    return folders()
