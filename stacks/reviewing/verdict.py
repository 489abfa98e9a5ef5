"""PASS, NEEDS APPROVAL or BLOCKED, and every reason for it in a few words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from stacks.outcome import count
from stacks.reviewing.risks import APPROVAL, BLOCKED, Flag, flags
from stacks.reviewing.seen import Previewed, Seen

PASS, NEEDS_APPROVAL, IS_BLOCKED = "PASS", "NEEDS APPROVAL", "BLOCKED"
ADVISORY: Final = "advisory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What was seen and what follows."""

    seen: Seen
    flags: list[Flag]
    verdict: str
    blocking: tuple[str, ...]
    approving: tuple[str, ...]


def missing_previews(seen: Seen) -> list[str]:
    """Planned regions without a preview, where there are previews at all: absence is told."""
    told = {row.preview.region for row in seen.previews}
    return [region for region in seen.sides.work.plans if seen.previews and region not in told]


def blocks(row: Previewed) -> bool:
    """Whether a preview alone keeps the change out."""
    return (
        bool(row.preview.error)
        or any(refusal.is_final for refusal in row.refusals)
        or any(violation.level != ADVISORY for violation in row.preview.violations)
    )


def is_stranger(seen: Seen, row: Previewed) -> bool:
    """Whether a preview is of a region that neither tree has."""
    return row.preview.region not in seen.sides.regions


def _blocking(seen: Seen, found: list[Flag]) -> Iterator[str]:
    if seen.errors:
        yield count(len(seen.errors), "error")
    if seen.judgement is not None and seen.judgement.blocks:
        mandatory = [f for f in seen.judgement.findings if f.level != ADVISORY]
        if mandatory:
            yield count(len(mandatory), "policy finding")
        if seen.judgement.faults:
            yield f"{count(len(seen.judgement.faults), 'waiver')} at fault"
    if seen.parity is not None and seen.parity.undeclared:
        yield count(len(seen.parity.undeclared), "undeclared difference") + " between regions"
    refused = sum(blocks(row) for row in seen.previews)
    if refused:
        yield count(refused, "preview")
    yield from sorted({flag.name for flag in found if flag.level == BLOCKED})


def _approving(seen: Seen, found: list[Flag]) -> Iterator[str]:
    yield from dict.fromkeys(flag.name for flag in found if flag.level == APPROVAL)
    if any(row.refusals and not blocks(row) for row in seen.previews):
        yield "previewed deletions"
    if any(is_stranger(seen, row) for row in seen.previews):
        yield "a preview of another region"
    if missing_previews(seen):
        yield "regions without a preview"


def review(seen: Seen) -> Review:
    """Judge what was seen."""
    found = flags(seen)
    blocking, approving = tuple(_blocking(seen, found)), tuple(_approving(seen, found))
    verdict = IS_BLOCKED if blocking else NEEDS_APPROVAL if approving else PASS
    return Review(seen=seen, flags=found, verdict=verdict, blocking=blocking, approving=approving)
