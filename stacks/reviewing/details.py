"""The comment's longer parts: models in spec words, previews, policies, room, operations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from stacks.compare import Change, Key
from stacks.outcome import count
from stacks.reviewing import wishes
from stacks.reviewing.effects import Effects
from stacks.reviewing.markdown import (
    FOLDED,
    OPEN,
    Section,
    code,
    listed,
    named,
    table,
    value,
)
from stacks.reviewing.program import CLASSES
from stacks.reviewing.room import Row, Taken
from stacks.reviewing.seen import Previewed, Seen
from stacks.reviewing.steps import CREATE, DELETE, REPLACE, UPDATE, Step
from stacks.reviewing.verdict import Review, is_stranger, missing_previews
from stacks.reviewing.wishes import Wish

_MOST_FIELDS: Final = 12
_MOST_PATHS: Final = 6
_MANY: Final = 20
"""More models than these are folded."""


def _fields(fields: tuple[Change, ...], what: str) -> str:
    """`scaling.max` 2 → 4, ...; a new file only states."""
    said = [
        f"{code(field.path)} {value(field.new)}"
        if what == wishes.ADDED
        else f"{code(field.path)} {value(field.old)} → {value(field.new)}"
        for field in fields[:_MOST_FIELDS]
    ]
    more = len(fields) - _MOST_FIELDS
    return ", ".join([*said, *([f"and {count(more, 'field')} more"] if more > 0 else [])])


def _wish(wish: Wish) -> str:
    was = f" from {code(wish.was)} ({wishes.RENAME_CODE})" if wish.was else ""
    fields = _fields(wish.fields, wish.what)
    return f"- {code(wish.id)} {wish.what}{was}{f': {fields}' if fields else ''}"


def _consequence(row: Effects, name: str, whole: tuple[str, ...]) -> str:
    said = "; ".join(effect.text for effect in row.effects) or "nothing that runs changes"
    was = f"{code(row.model)}, " if row.model != name else ""
    return f"  - {was}{named(row.regions, whole)}: {said}"


def _model_rows(seen: Seen) -> list[str]:
    """One entry a model: the fields, then what they cause by region."""
    said = {wish.id: _wish(wish) for wish in seen.models}
    moved = seen.renamed
    caused: dict[str, list[Effects]] = {}
    for row in seen.effects:
        caused.setdefault(moved.get(row.model, row.model), []).append(row)
    rows = []
    for name in sorted({*said, *caused}):
        first = said.get(name, f"- {code(name)} itself is the same, what is around it changes")
        below = [_consequence(row, name, seen.sides.regions) for row in caused.get(name, [])]
        rows.append("\n".join([first, *below]))
    return rows


def changes_of_models(review: Review) -> Iterator[Section]:
    """What changes in each model and what that causes."""
    rows = _model_rows(review.seen)
    if rows:
        rank = FOLDED if len(rows) > _MANY else OPEN
        yield listed(f"Models ({len(rows)})", rank, rows)


def other_changes(review: Review) -> Iterator[Section]:
    """Projects and region profiles."""
    for title, found in (
        ("Projects", review.seen.projects),
        ("Region profiles", review.seen.regions),
    ):
        if found:
            yield listed(title, FOLDED if len(found) > _MANY else OPEN, map(_wish, found))


# -- what the engine said --------------------------------------------------------------------


def _outcome(seen: Seen, row: Previewed) -> str:
    preview = row.preview
    failed = f"**preview of {code(preview.region)} failed**: {code(preview.error)}"
    said = [failed] if preview.error else []
    said += [
        f"{'**refused**' if refusal.is_final else 'to approve'}: {code(str(refusal.step.kind))} "
        f"{code(refusal.step.name)}, {refusal.reason}"
        for refusal in row.refusals
    ]
    said += [
        f"{code(v.level)} {code(v.policy)} {code(v.resource)}: {code(v.message)}"
        for v in preview.violations
    ]
    if is_stranger(seen, row):
        said.append("there is no such region")
    return "<br>".join(said[:_MANY]) or "ok"


_POLICIES: Final = {None: "not told", False: "none ran", True: "ran"}


def _preview_rows(seen: Seen) -> Iterator[tuple[str, ...]]:
    """Regions of which the same is said share a row."""
    found: dict[tuple[str, ...], list[str]] = {}
    for row in seen.previews:
        numbers = [row.preview.count(name) for name in (CREATE, UPDATE, REPLACE, DELETE)]
        ran = _POLICIES[row.preview.policies]
        cells: tuple[str, ...] = (*map(str, numbers), ran, _outcome(seen, row))
        found.setdefault(cells, []).append(row.preview.region)
    for cells, regions in found.items():
        yield named(regions, ()), *cells
    missing = missing_previews(seen)
    if missing:
        yield named(missing, ()), "", "", "", "", "", "no preview"


def previews(review: Review) -> Iterator[Section]:
    """What the engine would do, by region."""
    if review.seen.previews:
        head = ("Regions", CREATE, UPDATE, REPLACE, DELETE, "Policies", "Outcome")
        yield table("Previews", OPEN, head, _preview_rows(review.seen))


# -- what the judges said --------------------------------------------------------------------


def _findings(seen: Seen) -> Iterator[tuple[str, ...]]:
    found: dict[tuple[str, ...], list[str]] = {}
    for one in seen.judgement.findings if seen.judgement else ():
        place = f"{one.place.file}:{one.place.line}:{one.place.column}"
        cells: tuple[str, ...] = (
            one.level,
            f"{one.row} {code(one.rule)}",
            code(place),
            code(one.place.message),
        )
        found.setdefault(cells, []).append(one.region)
    for cells, regions in sorted(found.items(), key=lambda row: (row[0][0] != "mandatory", row)):
        yield *cells, named(regions, seen.sides.regions)


def _waivers(seen: Seen) -> Iterator[str]:
    judgement = seen.judgement
    if judgement is None:
        return
    used: dict[str, list[str]] = {}
    for region, verdict in judgement.verdicts.items():
        for finding, waiver in verdict.waived:
            said = (
                f"- waived until {waiver.expires} by {code(waiver.owner)}: {code(finding.rule)} of "
                f"{code(finding.resource)}, {code(waiver.reason)}"
            )
            used.setdefault(said, []).append(region)
    for said, regions in used.items():
        yield f"{said} ({named(regions, seen.sides.regions)})"
    for fault in judgement.faults:
        yield f"- **waiver at fault**: {code(str(fault))}"
    for unneeded in judgement.unneeded:
        yield f"- waiver that nothing needs: {code(str(unneeded))}"


def program(review: Review) -> Iterator[Section]:
    """What the change of the program alone does to the objects of the base's specs."""
    found = review.seen.program
    rows = []
    for region in review.seen.sides.regions:
        ours = [one.kind for one in found.upgrades if region in one.step.regions]
        if ours:
            rows.append((code(region), *(str(ours.count(kind)) for kind in CLASSES)))
    if rows:
        head = ("Regions", *CLASSES)
        foot = f"Objects of {code(review.seen.revision)}'s specs, by its own program and by this."
        yield table("What the change of the program does", OPEN, head, rows, foot)
    objects = [
        (one.kind, code(_SIGNS[one.step.operation]), code(one.step.key.label),
         named(one.step.regions, review.seen.sides.regions), _paths(one.step))
        for one in sorted(found.upgrades, key=lambda one: (-CLASSES.index(one.kind), one.step.key))
    ]  # fmt: skip
    if objects:
        title = f"Objects that the program's change reaches ({len(objects)})"
        yield table(title, FOLDED, ("Class", "", "Object", "Regions", "Fields"), objects)


def policy(review: Review) -> Iterator[Section]:
    """Findings, mandatory first, and the exceptions in use."""
    rows = list(_findings(review.seen))
    if rows:
        head = ("Level", "Rule", "Place", "What is wrong", "Regions")
        yield table("Policy findings", OPEN, head, rows)
    waivers = list(_waivers(review.seen))
    if waivers:
        yield listed("Policy waivers", OPEN, waivers)


def parity(review: Review) -> Iterator[Section]:
    """Only what differs without a declaration."""
    found = review.seen.parity
    if found is None or not found.undeclared:
        return
    rows = [
        (
            code(row.key.label),
            code(row.path or "(object)"),
            "<br>".join(f"{code(region)} {value(v)}" for region, v in row.values.items()),
        )
        for row in found.undeclared
    ]
    yield table("Undeclared differences between regions", OPEN, ("Object", "Path", "Is"), rows)


# -- folded ----------------------------------------------------------------------------------


def _taken(taken: Taken | None, field: str) -> str:
    return "0" if taken is None else str(getattr(taken, field))


def _arrow(row: Row, field: str) -> str:
    before, after = _taken(row.before, field), _taken(row.after, field)
    return after if before == after else f"{before} → {after}"


def _room(rows: Iterable[Row], whole: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    found: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        owner = f"{code(row.owner)} quota, GPUs" if row.owner else "pool, replicas"
        kind = f"{row.machine} {row.capacity}".strip()
        numbers = [_arrow(row, field) for field in ("least", "most", "room")]
        over = row.after is not None and row.after.most > row.after.room
        cells: tuple[str, ...] = (owner, code(kind), *numbers, "over" if over else "")
        found.setdefault(cells, []).append(row.region)
    for cells, regions in found.items():
        yield named(regions, whole), *cells


def headroom(review: Review) -> Iterator[Section]:
    """Pools and quotas: what changes openly, the rest folded."""
    seen = review.seen
    head = ("Regions", "Of", "Machine", "At least", "At most", "Room", "")
    changed = [row for row in seen.room if row.is_changed]
    same = [row for row in seen.room if not row.is_changed]
    if changed:
        yield table("Headroom", OPEN, head, _room(changed, seen.sides.regions))
    if same and seen.steps:
        title = f"Headroom that stays as it is ({len(same)})"
        yield table(title, FOLDED, head, _room(same, seen.sides.regions))


_SIGNS: Final = {CREATE: "+", UPDATE: "~", REPLACE: "-/+", DELETE: "-"}


def _paths(step: Step) -> str:
    paths = [code(change.path) for change in step.changes[:_MOST_PATHS]]
    more = len(step.changes) - _MOST_PATHS
    return ", ".join([*paths, *([f"and {more} more"] if more > 0 else [])])


def _by_owner(step: Step) -> tuple[bool, Key]:
    return bool(step.key.model), step.key


def operations(review: Review) -> Iterator[Section]:
    """Every object that something happens to."""
    whole = review.seen.sides.regions
    found: dict[tuple[str, ...], list[str]] = {}
    for step in sorted(review.seen.steps, key=_by_owner):
        sign, owner, label = _SIGNS[step.operation], step.key.owner, step.key.label
        cells = (code(sign), code(owner), code(label), _paths(step))
        found.setdefault(cells, []).extend(step.regions)
    rows = [(*cells[:3], named(regions, whole), cells[3]) for cells, regions in found.items()]
    if rows:
        head = ("", "Owner", "Object", "Regions", "Fields")
        yield table(f"All operations ({len(rows)})", FOLDED, head, rows)
