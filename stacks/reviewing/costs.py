"""What a change costs more, and what of it has no price."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stacks.reviewing.seen import Seen
from stacks.reviewing.sizes import Use, grown, total

SOFT_GROWTH: Final = 0.10
"""Catalogue row P18: a project that grows by more in one change needs a person's word."""

Raised = tuple[str, str, str]
"""Subject, reason and region, as stacks.reviewing.risks has them."""


def _by_project(uses: dict[str, list[Use]]) -> dict[str, list[Use]]:
    found: dict[str, list[Use]] = {}
    for row in (row for rows in uses.values() for row in rows):
        found.setdefault(row.project, []).append(row)
    return found


def dearer(seen: Seen) -> Iterator[Raised]:
    """P18, at most replicas as the cost cap counts, and at expected ones."""
    before, after = _by_project(seen.before), _by_project(seen.after)
    for project in sorted(after):
        old, new = total(before.get(project, [])), total(after[project])
        for level, index in (("most", 2), ("expected", 1)):
            was, now = old.dollars[index], new.dollars[index]
            if was is not None and now is not None and now > was * (1 + SOFT_GROWTH) + 0.5:
                growth = f"{now / was - 1:+.0%}" if was else "from nothing"
                reason = f"${was:,.0f} to ${now:,.0f} a month at {level} replicas, {growth}"
                yield project, reason, ""
                break


def unpriced(seen: Seen) -> Iterator[Raised]:
    """What grows and has no price; that it shrinks is no cause for alarm."""
    before, after = _by_project(seen.before), _by_project(seen.after)
    for project in sorted(after):
        unknown = grown(before.get(project, []), after[project])
        if unknown:
            reason = f"no price is known of {', '.join(unknown)}: the cost is not known"
            yield project, reason, ""
