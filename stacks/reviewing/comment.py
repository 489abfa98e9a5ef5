"""Writes the pull-request comment: the verdict first, then why, then what, details folded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from model_specs.errors import SpecError
from model_specs.moment import written
from stacks.outcome import count
from stacks.reviewing.amounts import change, dated, dollars, gpus, moved, signed
from stacks.reviewing.details import (
    changes_of_models,
    headroom,
    operations,
    other_changes,
    parity,
    policy,
    previews,
    program,
)
from stacks.reviewing.effects import MOVE, RESTART, Effects, size
from stacks.reviewing.markdown import FLAGS, OPEN, Section, code, fitted, named, table
from stacks.reviewing.risks import BLOCKED, NOTE
from stacks.reviewing.sizes import EXPECTED, LEVELS
from stacks.reviewing.steps import OPERATIONS, REPLACE
from stacks.reviewing.verdict import Review

MARKER: Final = "<!-- isoserve review -->"
"""By this line a bot finds its own comment to write it anew."""


def _money(review: Review) -> str:
    """`+$3,120 to +$6,240 a month (prices of 2026-11-01)`, from least to most replicas."""
    _, _, by = change(review.seen, review.seen.sides.compared)
    least, most = dollars(by.dollars[0]), dollars(by.dollars[-1])
    if least == most == dollars(0):
        return ""
    span = signed(least) if least == most else f"{signed(least)} to {signed(most)}"
    return f"{span} a month ({dated(review.seen)})"


def _gpus(review: Review) -> str:
    _, _, by = change(review.seen, review.seen.sides.compared)
    least, most = gpus(by.gpus[0]), gpus(by.gpus[-1])
    if least == most == "0":
        return ""
    return f"{signed(least) if least == most else f'{signed(least)} to {signed(most)}'} GPUs"


def _replaced(review: Review) -> str:
    steps = [step for step in review.seen.steps if step.operation == REPLACE]
    number = sum(len(step.regions) for step in steps)
    return count(number, "replacement") if number else ""


def _judged(review: Review) -> str:
    judgement = review.seen.judgement
    if judgement is None:
        return "policies not judged"
    return count(len(judgement.findings), "policy finding")


def _alike(review: Review) -> str:
    found = review.seen.parity
    if found is None:
        return "parity not compared"
    return f"{len(found.undeclared)} undeclared differences" if found.undeclared else "parity holds"


def headline(review: Review) -> str:
    """The verdict and the numbers, in one line of plain text."""
    seen = review.seen
    models = seen.reached
    regions = {region for step in seen.steps for region in step.regions}
    changed = f"{count(len(models), 'model')}, {count(len(regions), 'region')}"
    known = len(seen.sides.compared)
    still = f"nothing changes in {count(known, 'region')}" if known else "no region can be planned"
    facts = (
        changed if known and (models or regions) else still,
        _gpus(review),
        _money(review),
        _replaced(review),
        _judged(review),
        _alike(review),
    )
    return ", ".join(filter(None, facts))


def _pods(row: Effects) -> int:
    """Pods of a model that restart; one whose nodes go too is still one."""
    by_kind = {
        kind: sum(effect.pods for effect in row.effects if effect.kind == kind)
        for kind in (RESTART, MOVE)
    }
    return max(by_kind.values())


def _reach(review: Review) -> str:
    """How far it goes: models of all, pods that restart, nodes that go and what they fetch."""
    seen = review.seen
    pods = sum(_pods(row) * len(row.regions) for row in seen.effects)
    known = len({*seen.sides.base.models, *seen.sides.work.models} - {*seen.renamed})
    reached = f"{len(seen.reached)} of {count(known, 'model')}"
    said = f"Reaches {reached}; up to {count(pods, 'pod')} of models restart"
    if not seen.nodes:
        return f"{said}."
    nodes = sum(change.nodes[1] for change in seen.nodes)
    fetched = sum(change.fetched_bytes[1] for change in seen.nodes)
    return f"{said}; up to {count(nodes, 'node')} are made anew and fetch {size(fetched)}."


def _top(review: Review) -> str:
    lines = [MARKER, f"**{review.verdict}**: {headline(review)}", ""]
    if review.blocking:
        lines += [f"Blocked by: {', '.join(review.blocking)}.", ""]
    if review.approving:
        lines += [f"A person must approve: {', '.join(review.approving)}.", ""]
    if review.seen.steps:
        lines += [_reach(review), ""]
    lines += [f"Planned for {written(review.seen.at)}.", ""]
    return "\n".join(lines)


def _error_rows(errors: Iterable[SpecError]) -> Iterator[tuple[str, ...]]:
    for error in errors:
        place = f"{error.file}:{error.line}:{error.column}"
        yield code(place), code(error.path or "(file)"), error.code, code(error.message)


def _errors(review: Review) -> Iterator[Section]:
    head = ("Place", "Field", "Code", "What is wrong")
    if review.seen.errors:
        yield table("Errors", FLAGS, head, _error_rows(review.seen.errors))
    base = review.seen.sides.base.errors
    if base:
        said = f"{code(review.seen.revision)} cannot be planned: shown as all new"
        yield table(f"{said}", FLAGS, head, _error_rows(base))


_MARKS: Final = {BLOCKED: "**blocked**", NOTE: "note"}


def _flags(review: Review) -> Iterator[Section]:
    whole = review.seen.sides.regions
    found: dict[tuple[str, ...], list[str]] = {}
    for flag in review.flags:
        level = _MARKS.get(flag.level, flag.level)
        regions = named(flag.regions, whole) if flag.regions else "all"
        found.setdefault((level, flag.name, code(flag.reason), regions), []).append(flag.subject)
    rows = [(*cells[:2], named(subjects, ()), *cells[2:]) for cells, subjects in found.items()]
    if rows:
        yield table("Risk flags", FLAGS, ("", "Risk", "Of", "Why", "Regions"), rows)


def _region_row(review: Review, region: str) -> tuple[str, ...]:
    steps = [step for step in review.seen.steps if region in step.regions]
    numbers = [sum(step.operation == name for step in steps) for name in OPERATIONS]
    before, after, by = change(review.seen, (region,))
    sizes = zip(before.gpus, after.gpus, by.gpus, strict=True)
    return (*map(str, numbers), *(moved(gpus(a), gpus(b), gpus(c)) for a, b, c in sizes))


def _by_row(
    review: Review, row: Callable[[Review, str], tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    """One row for all regions that say the same; refused ones say so."""
    sides = review.seen.sides
    found: dict[tuple[str, ...], list[str]] = {}
    for region in sides.compared:
        found.setdefault(row(review, region), []).append(region)
    for cells, regions in found.items():
        gone = sorted(set(regions) & set(sides.removed))
        note = " (profile removed)" if gone == sorted(regions) else ""
        yield named(regions, sides.regions) + note, *cells


def _regions(review: Review) -> Iterator[Section]:
    refused = [r for r in review.seen.sides.regions if r not in review.seen.sides.compared]
    if not review.seen.steps and not refused:
        return
    head = ("Regions", *OPERATIONS, *(f"GPUs at {level}" for level in LEVELS))
    rows = [*_by_row(review, _region_row)]
    if refused:
        names = named(refused, review.seen.sides.regions)
        rows.append((names, "cannot be planned", *[""] * (len(head) - 2)))
    yield table("Regions", OPEN, head, rows)


def _cost_row(review: Review, region: str) -> tuple[str, ...]:
    before, after, by = change(review.seen, (region,))
    sizes = zip(before.dollars, after.dollars, by.dollars, strict=True)
    return tuple(moved(dollars(a), dollars(b), dollars(c)) for a, b, c in sizes)


def _cost(review: Review) -> Iterator[Section]:
    compared = review.seen.sides.compared
    before, after, by = change(review.seen, compared)
    if before == after or not compared:
        return
    sizes = zip(before.dollars, after.dollars, by.dollars, strict=True)
    rows = [*_by_row(review, _cost_row)]
    if len(compared) > 1:
        rows.append(
            ("**together**", *(moved(dollars(a), dollars(b), dollars(c)) for a, b, c in sizes))
        )
    unknown = sorted({*before.unknown, *after.unknown})
    missing = f" No price is known of {', '.join(map(code, unknown))}: n/a." if unknown else ""
    foot = (
        f"Each replica's share of its node for 730 hours, {dated(review.seen)}. {EXPECTED}{missing}"
    )
    head = ("US dollars a month", *(f"at {level}" for level in LEVELS))
    yield table("Cost", OPEN, head, rows, foot)


def sections(review: Review) -> Iterator[Section]:
    """Every part that has something to say."""
    yield from _errors(review)
    yield from _flags(review)
    yield from previews(review)
    yield from _regions(review)
    yield from _cost(review)
    yield from changes_of_models(review)
    yield from other_changes(review)
    yield from program(review)
    yield from policy(review)
    yield from parity(review)
    yield from headroom(review)
    yield from operations(review)


def _whose(review: Review) -> str:
    found = review.seen.program
    if not found.files:
        return "by the work tree's program, which does not change"
    if found.is_by_base:
        return "and judged by the base's own program"
    return "by the work tree's program"


def _foot(review: Review) -> str:
    return (
        f"Computed offline from specs and profiles against {code(review.seen.revision)}, both "
        f"planned {_whose(review)}. Again: `isoserve review --base REV`; undo: revert the merge.\n"
    )


def comment(review: Review) -> str:
    """The whole comment, at most as long as GitHub takes."""
    return fitted(_top(review), [*sections(review)], _foot(review))
