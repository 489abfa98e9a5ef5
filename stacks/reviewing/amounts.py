"""GPUs and dollars in words: before, after, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from stacks.reviewing.seen import Seen
from stacks.reviewing.sizes import Sum, Use, difference, total

UNKNOWN: Final = "n/a"


def gpus(number: float) -> str:
    """`12`, `12.6`."""
    return f"{number:,.1f}".removesuffix(".0")


def dollars(amount: float | None) -> str:
    """`$3,120`, `-$12`, `n/a`."""
    if amount is None:
        return UNKNOWN
    return f"{'-' if round(amount) < 0 else ''}${abs(round(amount)):,}"


def signed(text: str) -> str:
    """A difference with its sign; nothing has none."""
    return text if text.startswith(("-", UNKNOWN)) or text in ("0", "$0") else f"+{text}"


def moved(before: str, after: str, change: str) -> str:
    """`8 → 12 (+4)`, `8` where nothing changes, `n/a (+4)` where only the change is known."""
    if before == after:
        known = after == UNKNOWN and change not in ("$0", UNKNOWN)
        return f"{after} ({signed(change)})" if known else after
    return f"{before} → {after} ({signed(change)})"


def of(uses: dict[str, list[Use]], regions: Sequence[str]) -> list[Use]:
    """The uses of these regions."""
    return [use for region in regions for use in uses.get(region, [])]


def change(seen: Seen, regions: Sequence[str]) -> tuple[Sum, Sum, Sum]:
    """Before, after and difference of these regions together."""
    before, after = of(seen.before, regions), of(seen.after, regions)
    return total(before), total(after), difference(before, after)


def dates(seen: Seen) -> list[date]:
    """The days on which the prices that count were looked up."""
    found = {
        side.tree.profiles[use.region].machines[use.machine].price_usd_per_hour.as_of
        for side, rows in ((seen.sides.base, seen.before), (seen.sides.work, seen.after))
        if side.tree is not None
        for use in of(rows, seen.sides.compared)
    }
    return sorted(found)


def dated(seen: Seen) -> str:
    """`prices of 2026-11-01`, or from the oldest to the newest."""
    found = dates(seen)
    if not found:
        return "no prices"
    until = f" to {found[-1]}" if len(found) > 1 else ""
    return f"prices of {found[0]}{until}"
