"""The moment that a plan is for: what a `ttl` is held against.

It is an input, so that the same plan comes out again: `--at`, or the environment's ISOSERVE_AT,
which a command, the Pulumi program and the policy pack share. Only here is the clock read, where
neither is given.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from typing import Final

VARIABLE: Final = "ISOSERVE_AT"
_SPAN: Final = re.compile(r"([1-9][0-9]{0,3})([hdw])")
_HOURS: Final = {"h": 1, "d": 24, "w": 168}


def span_of(text: str) -> timedelta | None:
    """`12h`, `14d` or `2w` as a duration; None for anything else."""
    found = _SPAN.fullmatch(text)
    return timedelta(hours=int(found[1]) * _HOURS[found[2]]) if found else None


def moment(text: str) -> datetime:
    """`text` as a moment, else ISOSERVE_AT, else now; whole seconds of UTC.

    Raises ValueError with what is wrong and where.
    """
    given = text or os.environ.get(VARIABLE, "")
    if not given:
        return datetime.now(UTC).replace(microsecond=0)
    where = "--at" if text else VARIABLE
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        why = f"{where} is no moment with a time zone, got {given!r}"
        raise ValueError(f"{why}; write e.g. 2027-01-31T00:00:00Z")
    return found.astimezone(UTC).replace(microsecond=0)


def written(at: datetime) -> str:
    """`at` as people and programs write it: 2027-01-31T00:00:00Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
