"""Decides which versions make room: those that nobody has asked for the longest, then those
that are held because they fit, in the reverse of their order.

Never one that a pod of the node needs or may need, that is pinned, or whose files a process has
open. One that was listed until a moment ago goes last, and only where the project's pods are known:
when a rollout begins its old version is unlisted, and its pods serve on and may start again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from components.model_cache.choice import Row

GRACE_SECONDS: Final = 3600.0
"""More than rollouts take with their drains; all of a longer one is in the list, as its tracks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A version on the disk; `content` is its bytes by SHA-256, each content once.

    `row` is what the node is told of it; None when it is unlisted, and no pod needs it.
    """

    project: str
    digest: str
    row: Row | None
    is_there: bool
    """Whether it is on the disk; else it comes, and content that is there is its already."""
    is_told: bool
    """Whether the node knows which pods of the project it has."""
    in_use: bool
    unlisted_seconds: float
    """How long nobody has asked for it."""
    content: Mapping[str, int]


def may_go(held: Held, coming: Row | None) -> bool:
    """Whether a version may be removed for one that comes, or for the disk's other files (None)."""
    if held.in_use or not held.is_there:
        return False
    if held.row is not None:
        is_before = coming is None or coming.place < held.row.place
        return held.row.may_yield and (is_before or not held.row.is_held)
    is_urgent = coming is None or not coming.may_yield
    return held.unlisted_seconds >= GRACE_SECONDS or (held.is_told and is_urgent)


def _order(held: Held) -> tuple[int, float, str, str]:
    name = (held.project, held.digest)
    if held.row is not None:
        return 2 if held.row.is_held else 1, -held.row.place, *name
    return 0 if held.unlisted_seconds >= GRACE_SECONDS else 3, -held.unlisted_seconds, *name


def in_bytes(size: int) -> int:
    """What content of a size frees of the disk's bytes."""
    return size


def in_inodes(size: int) -> int:
    """What content of any size frees of the disk's inodes."""
    return 1


def going(
    held: Iterable[Held],
    needed: int,
    coming: Row | None,
    freed_by: Callable[[int], int],
) -> tuple[list[Held], int]:
    """Whom to remove, in this order, so that `needed` comes free for what comes, if anything, as
    content of a size frees it by `freed_by`. Gives what does come free, too.

    It may be less than what is needed; then all that may go are named.
    """
    rows = list(held)
    holders = Counter((row.project, sha256) for row in rows for sha256 in row.content)
    chosen: list[Held] = []
    freed = 0
    for row in sorted((row for row in rows if may_go(row, coming)), key=_order):
        if freed >= needed:
            break
        chosen.append(row)
        for sha256, size in row.content.items():
            holders[row.project, sha256] -= 1
            # What another version has too stays on the disk.
            freed += freed_by(size) if holders[row.project, sha256] == 0 else 0
    return chosen, freed
