"""What a schedule looks like: five cron fields, each within its bounds."""

from __future__ import annotations

import re
from typing import Final

from model_specs.errors import refuse, shown

_MONTHS: Final = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DAYS: Final = "sun|mon|tue|wed|thu|fri|sat"
_FIELDS: Final = (
    r"[0-5]?\d",
    r"[01]?\d|2[0-3]",
    r"0?[1-9]|[12]\d|3[01]",
    rf"0?[1-9]|1[0-2]|{_MONTHS}",
    rf"[0-7]|{_DAYS}",
)
"""Minute, hour, day of the month, month, day of the week."""


def _field(one: str) -> str:
    item = rf"(?:\*|(?:{one})(?:-(?:{one}))?)(?:/[1-9]\d?)?"
    return rf"{item}(?:,{item})*"


_CRON: Final = re.compile(" ".join(map(_field, _FIELDS)), re.IGNORECASE | re.ASCII)


def check_cron(cron: str) -> str:
    """`cron` itself. Raises PydanticCustomError when no clock could follow it."""
    if not _CRON.fullmatch(cron):
        why = f"a schedule is five cron fields, got {shown(cron)}"
        raise refuse("E305", f"{why}; write e.g. '0 8 * * 1-5'")
    return cron
