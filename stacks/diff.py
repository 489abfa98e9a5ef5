"""Compares what the work tree would run with what a git revision would, object by object."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from components.kube import Object
from components.ownership import left_alone, targeted
from components.parts import parts
from model_specs.errors import SpecErrors
from regions.resolve import resolve
from stacks.compare import ABSENT, Change, Key, changes, keyed, plain, same, shown
from stacks.history import scratch, tree_at
from stacks.outcome import FINDINGS, OK, InputErrors, Outcome, count
from stacks.places import directories
from stacks.tree import Tree, moment_of, read_tree

ADDED, REMOVED, CHANGED = "+", "-", "~"
_WORDS: Final = {ADDED: "added", REMOVED: "removed", CHANGED: "changed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What happens to one object, and in which regions in just this way."""

    operation: str
    key: Key
    changes: tuple[Change, ...]
    regions: list[str]


def _objects(tree: Tree | None, region: str) -> dict[Key, Object]:
    if tree is None or region not in tree.profiles:
        return {}
    return keyed(parts(resolve(tree.specs, tree.profiles[region], region)))


def _edits(
    old: dict[Key, Object], new: dict[Key, Object]
) -> Iterator[tuple[str, Key, list[Change]]]:
    scaled = targeted(new.values())
    for key in sorted({*old, *new}):
        before, after = old.get(key, ABSENT), new.get(key, ABSENT)
        if before is ABSENT:
            yield ADDED, key, []
        elif after is ABSENT:
            yield REMOVED, key, []
        elif not same(before, after) and (found := _sent(before, after, scaled)):
            yield CHANGED, key, found


def _sent(before: Any, after: Any, scaled: frozenset[tuple[str, str]]) -> list[Change]:
    """What differs and `up` would send: not what only the making of an object sets."""
    kept = tuple(left_alone(after, scaled))
    return [one for one in changes(before, after, "") if not one.path.startswith(kept)]


def grouped(pairs: Iterable[tuple[str, dict[Key, Object], dict[Key, Object]]]) -> list[Edit]:
    """Every object that differs between two renderings of a region.

    `pairs` are region, old and new; regions with the very same change share one row.
    """
    found: dict[tuple[str, Key, str], Edit] = {}
    for region, before, after in pairs:
        for operation, key, changed in _edits(before, after):
            same = json.dumps([plain(change) for change in changed], sort_keys=True)
            edit = Edit(operation=operation, key=key, changes=tuple(changed), regions=[])
            found.setdefault((operation, key, same), edit).regions.append(region)
    return sorted(found.values(), key=lambda edit: (edit.key, edit.operation, edit.regions))


def edits(base: Tree | None, work: Tree, regions: Iterable[str]) -> list[Edit]:
    """Every object that differs between two trees."""

    def pair(region: str) -> tuple[str, dict[Key, Object], dict[Key, Object]]:
        try:
            before = _objects(base, region)
        except SpecErrors as refused:  # what git holds cannot be mended here
            raise InputErrors(refused.errors) from None
        return region, before, _objects(work, region)

    return grouped(map(pair, regions))


def _where(edit: Edit) -> str:
    regions = ", ".join(edit.regions)
    same = f"same in {len(edit.regions)} regions: " if len(edit.regions) > 1 else "in "
    return f"({same}{regions})"


def _text(found: list[Edit], base: str) -> Iterator[str]:
    owner = ""
    for edit in found:
        if edit.key.owner != owner:
            owner = edit.key.owner
            yield f"{owner}\n"
        yield f"  {edit.operation} {edit.key.label}  {_where(edit)}\n"
        for change in edit.changes:
            yield f"      {change.path}: {shown(change.old)} -> {shown(change.new)}\n"
    numbers = {
        word: sum(len(edit.regions) for edit in found if edit.operation == operation)
        for operation, word in _WORDS.items()
    }
    said = ", ".join(f"{count(n, 'object')} {word}" for word, n in numbers.items())
    yield f"{said} against {base}\n"


def _plain(edit: Edit) -> dict[str, Any]:
    return {
        "operation": _WORDS[edit.operation],
        "object": edit.key._asdict(),
        "regions": edit.regions,
        "changes": [plain(change) for change in edit.changes],
    }


def run(args: Namespace) -> Outcome:
    """Render both and compare."""
    specs, regions = directories(args)
    at = moment_of(args)
    work = read_tree(specs, regions, args.region).wanted_at(at)
    with scratch() as files:
        base = tree_at(args.base, specs, regions, files)
        base = base.wanted_at(at) if base else None
        both = sorted({*work.profiles, *(base.profiles if base and not args.region else ())})
        found = edits(base, work, both)
    data = {"base": args.base, "edits": [_plain(edit) for edit in found]}
    return Outcome(data=data, text=_text(found, args.base), code=FINDINGS if found else OK)
