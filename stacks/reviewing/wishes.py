"""What people changed, in the words of the files they write: models, projects, regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from model_specs.load import Model
from stacks.compare import Change, changes
from stacks.reviewing.sides import Side, Sides

ADDED, REMOVED, CHANGED, RENAMED = "added", "removed", "changed", "renamed"
RENAME_CODE: Final = "W401"
"""A rename is a deletion and a creation; reference/hardening.md row 43 wants it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One file: `what` became of it and the fields that differ.

    `was` is a renamed model's old id, else empty. A new file has the fields that it states.
    """

    id: str
    what: str
    was: str
    fields: tuple[Change, ...]


def _dump(spec: BaseModel) -> dict[str, Any]:
    return spec.model_dump(mode="json")


def _stated(spec: BaseModel) -> tuple[Change, ...]:
    """The fields of a new file, without what it leaves to defaults."""
    return tuple(changes({}, spec.model_dump(mode="json", exclude_defaults=True), ""))


def _compared(old: Mapping[str, BaseModel], new: Mapping[str, BaseModel]) -> list[Wish]:
    found: list[Wish] = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if before is None and after is not None:
            found.append(Wish(id=name, what=ADDED, was="", fields=_stated(after)))
        elif after is None:
            found.append(Wish(id=name, what=REMOVED, was="", fields=()))
        elif before is not None:
            fields = tuple(changes(_dump(before), _dump(after), ""))
            found.append(Wish(id=name, what=CHANGED, was="", fields=fields))
    return found


def _likeness(old: Model, new: Model) -> tuple[bool, bool, bool]:
    """How much speaks for one model under two names; the manifest digest must be the same."""
    return old.spec.model == new.spec.model, old.project == new.project, old.name == new.name


def _renames(removed: list[Model], added: list[Model]) -> dict[str, str]:
    """New ids with the old ones, best likeness first, each used once."""
    pairs = [
        (_likeness(old, new), old.id, new.id)
        for old in removed
        for new in added
        if old.spec.model.rsplit("@", 1)[1] == new.spec.model.rsplit("@", 1)[1]
    ]
    found: dict[str, str] = {}
    ordered = sorted(pairs, key=lambda pair: (*(not same for same in pair[0]), *pair[1:]))
    for _, old_id, new_id in ordered:
        if old_id not in found.values() and new_id not in found:
            found[new_id] = old_id
    return found


def models(sides: Sides) -> list[Wish]:
    """Every model whose file differs; one that only moved is one row."""
    old, new = sides.base.models, sides.work.models
    rows = _compared({i: m.spec for i, m in old.items()}, {i: m.spec for i, m in new.items()})
    moved = _renames(
        [old[row.id] for row in rows if row.what == REMOVED],
        [new[row.id] for row in rows if row.what == ADDED],
    )
    found: list[Wish] = []
    for row in rows:
        if row.id in moved:
            was = moved[row.id]
            fields = tuple(changes(_dump(old[was].spec), _dump(new[row.id].spec), ""))
            found.append(Wish(id=row.id, what=RENAMED, was=was, fields=fields))
        elif row.id not in moved.values():
            found.append(row)
    return found


def _projects(side: Side) -> dict[str, BaseModel]:
    projects = side.tree.specs.projects if side.tree else {}
    return {name: project.spec for name, project in projects.items()}


def _profiles(side: Side, regions: tuple[str, ...]) -> dict[str, BaseModel]:
    profiles = side.tree.profiles if side.tree else {}
    return {name: profile for name, profile in profiles.items() if name in regions}


def projects(sides: Sides) -> list[Wish]:
    """Every project.yaml that differs."""
    return _compared(_projects(sides.base), _projects(sides.work))


def regions(sides: Sides) -> list[Wish]:
    """Every region profile that differs."""
    return _compared(_profiles(sides.base, sides.regions), _profiles(sides.work, sides.regions))
