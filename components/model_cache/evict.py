"""Decides which versions make room: those that nobody has asked for the longest.

Never one that is listed, whose files a process has open, or that was listed until a moment ago:
when a rollout begins its old version is unlisted, and its pods serve on and may start again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

GRACE_SECONDS: Final = 3600.0
"""More than rollouts take with their drains; all of a longer one is in the list, as its tracks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A version on the disk; `content` is its bytes by SHA-256, each content once."""

    project: str
    digest: str
    listed: bool
    in_use: bool
    unlisted_seconds: float
    """How long nobody has asked for it."""
    content: Mapping[str, int]


def may_go(row: Held) -> bool:
    """Whether a version may be removed at all."""
    return not (row.listed or row.in_use) and row.unlisted_seconds >= GRACE_SECONDS


def going(held: Iterable[Held], needed_bytes: int) -> tuple[list[Held], int]:
    """Whom to remove, in this order, so that `needed_bytes` come free, and what does come free.

    That may be less than what is needed; then all that may go are named.
    """
    rows = list(held)
    holders = Counter((row.project, sha256) for row in rows for sha256 in row.content)
    chosen: list[Held] = []
    freed = 0
    candidates = filter(may_go, rows)
    for row in sorted(candidates, key=lambda r: (-r.unlisted_seconds, r.project, r.digest)):
        if freed >= needed_bytes:
            break
        chosen.append(row)
        for sha256, size in row.content.items():
            holders[row.project, sha256] -= 1
            # What another version has too stays on the disk.
            freed += size if holders[row.project, sha256] == 0 else 0
    return chosen, freed
