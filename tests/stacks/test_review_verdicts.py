"""What a person must be asked: each change of a kind alone, through `isoserve review --base`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest
import yaml
from pydantic import BaseModel

from model_specs.project import ProjectSpec
from regions.profile import RegionProfile
from tests.policies.cases import setting
from tests.stacks.conftest import Isoserve
from tests.stacks.verdict_rows import APPROVED, BLOCKED, CHAT, PROGRAM, SEOUL, USE1, Row

ROWS: Final = [row for table in (APPROVED, BLOCKED) for rows in table.values() for row in rows]
KEPT: Final = ("title",)
"""Fields of a profile from which nothing follows."""


def write(root: Path, row: Row) -> bytes | None:
    """Make the change; what the file was before."""
    name, path, value, _ = row
    file = root / name
    before = file.read_bytes() if file.is_file() else None
    values = value
    if path:
        values = yaml.safe_load(before or b"{}")
        setting(path, value)(values)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    return before


def undo(file: Path, before: bytes | None) -> None:
    if before is None:
        file.unlink()
    else:
        file.write_bytes(before)


def reviewed(isoserve: Isoserve, region: str) -> dict[str, Any]:
    found: dict[str, Any] = isoserve("review", "--base", "HEAD", "-r", region, "--json").data
    return found


def said_of(root: Path, isoserve: Isoserve, row: Row) -> tuple[str, set[str]]:
    """The verdict of the change alone, and the names of its risks and the codes of its errors."""
    before = write(root, row)
    found = reviewed(isoserve, "seoul-dc1" if row[0] == SEOUL else "us-east-1")
    undo(root / row[0], before)
    policy = found["policy"] or {"faults": []}
    codes = {error["code"] for error in (*found["errors"], *policy["faults"])}
    risks = {flag["name"] for flag in found["flags"] if flag["level"] != "note"}
    return found["verdict"], codes | risks


@pytest.mark.parametrize("kind", APPROVED)
def test_nobody_does_these_alone(repo: Path, isoserve: Isoserve, kind: str) -> None:
    said = [(row, *said_of(repo, isoserve, row)) for row in APPROVED[kind]]
    unasked = [(*row, *more) for row, *more in said if more[0] == "PASS" or row[3] not in more[1]]
    assert unasked == [], "nobody is asked, or about something else"


@pytest.mark.parametrize("kind", BLOCKED)
def test_nobody_does_these_at_all(repo: Path, isoserve: Isoserve, kind: str) -> None:
    said = [(row, *said_of(repo, isoserve, row)) for row in BLOCKED[kind]]
    passed = [(*row, *more) for row, *more in said if more[0] != "BLOCKED" or row[3] not in more[1]]
    assert passed == [], "it may go in, or is refused for something else"


def test_every_file_of_the_program_is_named_with_what_it_decides(
    repo: Path, isoserve: Isoserve
) -> None:
    paths = {path: what for what, paths in PROGRAM.items() for path in paths}
    for path in paths:
        file = repo / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{file.read_text() if file.is_file() else ''}# changed\n")
    found = reviewed(isoserve, "us-east-1")
    flags = [flag for flag in found["flags"] if flag["name"] == "program changes"]
    named = {flag["subject"]: flag["reason"] for flag in flags}
    assert found["verdict"] != "PASS"
    assert set(paths) - set(named) == set(), "read by nobody"
    assert {path: what for path, what in paths.items() if what not in named[path]} == {}


def leaves(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """The fields of a model down to those that hold no other model, without lists' numbers."""
    for name, field in model.model_fields.items():
        where = f"{path} {name}".strip()
        inner = [one for one in _models(field.annotation)]
        if inner:
            yield from (leaf for one in inner for leaf in leaves(one, where))
        else:
            yield where


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _covered(leaf: str, file: str) -> bool:
    """Whether some row changes the field: itself, or something around it with it inside."""
    for name, path, value, _ in ROWS:
        if name.partition("/")[0] != file.partition("/")[0] or "/labs/" in name:
            continue
        steps = [step for step in path.split() if not step.isdigit() and "." not in step]
        at, rest = leaf.split()[: len(steps)], leaf.split()[len(steps) :]
        if at == steps and _holds(value, rest):
            return True
    return False


def _holds(value: Any, steps: list[str]) -> bool:
    if not steps:
        return True
    if isinstance(value, list):
        return any(_holds(one, steps) for one in value)
    return isinstance(value, dict) and steps[0] in value and _holds(value[steps[0]], steps[1:])


@pytest.mark.parametrize(("model", "file"), [(RegionProfile, USE1), (ProjectSpec, CHAT)])
def test_every_field_that_entrusts_something_has_a_row(model: type[BaseModel], file: str) -> None:
    without = [leaf for leaf in leaves(model) if not _covered(leaf, file)]
    assert [leaf for leaf in without if leaf not in KEPT] == [], "nobody has tried to change it"
