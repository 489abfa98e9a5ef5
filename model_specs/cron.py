"""Schedules as Kubernetes and KEDA parse them: five fields in the grammar of robfig/cron v3.

Days of the week are 0 to 6, ranges ascend, `?` is `*`, names are case-insensitive, and `5/2` begins
at 5 and goes on to the field's end. Source: github.com/robfig/cron v3.0.1, parser.go and spec.go,
which both use without its descriptors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from model_specs.errors import refuse, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """What one field may hold, and the names that stand for its numbers."""

    field: str
    least: int
    most: int
    names: tuple[str, ...]
    """From `least` on."""


_FIELDS: Final = (
    _Bounds(field="minute", least=0, most=59, names=()),
    _Bounds(field="hour", least=0, most=23, names=()),
    _Bounds(field="day of the month", least=1, most=31, names=()),
    _Bounds(
        field="month",
        least=1,
        most=12,
        names=("jan", "feb", "mar", "apr", "may", "jun",
               "jul", "aug", "sep", "oct", "nov", "dec"),
    ),
    _Bounds(
        field="day of the week",
        least=0,
        most=6,
        names=("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
    ),
)  # fmt: skip
_ITEM: Final = re.compile(r"([*?]|\w{1,9})(?:-(\w{1,9}))?(?:/(\d{1,4}))?", re.ASCII)
_LONGEST: Final = 256
_ANY: Final = ("*", "?")
_YEARS: Final = 8
"""Every date there is comes within so many years, 29 February too."""
_FIRST: Final = date(2024, 1, 1)
_BOTH: Final = "start and end together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """The numbers of each field. `either_day`: both day fields are bound, and one is enough."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @property
    def minutes_of_day(self) -> frozenset[int]:
        """When it strikes on a day on which it does, in minutes from midnight."""
        return frozenset(60 * hour + minute for hour in self.hours for minute in self.minutes)

    def strikes_on(self, day: date) -> bool:
        """Whether it strikes at all on a day."""
        hits = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        return day.month in self.months and (any(hits) if self.either_day else all(hits))


def _number(word: str, bounds: _Bounds) -> int:
    """The number that a word of a field stands for. Raises ValueError with what is wrong."""
    if word.lower() in bounds.names:
        return bounds.names.index(word.lower()) + bounds.least
    number = int(word) if word.isdigit() else -1
    if bounds.least <= number <= bounds.most:
        return number
    if (word, bounds.field) == ("7", "day of the week"):
        raise ValueError("the days of the week are 0 to 6, got 7; write 0 or sun")
    range_of = f"{bounds.least} to {bounds.most}"
    raise ValueError(f"the {bounds.field} is {range_of}, got {shown(word)}; write one of these")


def _item(text: str, bounds: _Bounds) -> range:
    """The numbers of one item of a field's list. Raises ValueError with what is wrong."""
    match = _ITEM.fullmatch(text)
    if match is None or (match[1] in _ANY and match[2]):
        raise ValueError(f"the {bounds.field} is *, 5, 1-5 or */15, got {shown(text)}; write such")
    first, last, step = match.groups()
    low = bounds.least if first in _ANY else _number(first, bounds)
    to_the_end = first in _ANY or (step is not None and last is None)
    high = bounds.most if to_the_end else _number(last or first, bounds)
    if low > high:
        halves = f"{first}-{bounds.most},{bounds.least}-{last}"
        raise ValueError(f"ranges ascend, got {shown(text)} for the {bounds.field}; write {halves}")
    if step is not None and int(step) == 0:
        raise ValueError(f"a step is 1 or more, got {shown(text)}; leave it out")
    return range(low, high + 1, int(step or 1))


def parse_cron(text: str) -> Cron:
    """The schedule that `text` is. Raises ValueError with what is wrong and what to write."""
    fields = text[: _LONGEST + 1].split()
    if len(fields) != len(_FIELDS) or len(text) > _LONGEST:
        raise ValueError(
            f"a schedule is five cron fields, got {shown(text)}; write e.g. '0 8 * * 1-5'"
        )
    values = [
        frozenset(number for item in field.split(",") for number in _item(item, bounds))
        for field, bounds in zip(fields, _FIELDS, strict=True)
    ]
    # As robfig has it: a field with a star, of whatever step 1, leaves the other to decide.
    stars = [_has_star(field) for field in (fields[2], fields[4])]
    return Cron(
        minutes=values[0],
        hours=values[1],
        days=values[2],
        months=values[3],
        weekdays=values[4],
        either_day=not any(stars),
    )


def _has_star(field: str) -> bool:
    return any(re.fullmatch(r"[*?](/0*1)?", item) for item in field.split(","))


def _days() -> Iterator[date]:
    return (_FIRST + timedelta(days=number) for number in range(366 * _YEARS))


@lru_cache(maxsize=1024)
def out_of_turn(start: str, end: str) -> str:
    """What strikes twice in a row where `start` and `end` should take turns; empty where they do.

    KEDA reads a window as open while its next end comes no later than its next start, so that it is
    closed between two starts, open between two ends, and open before both at once. Source:
    pkg/scalers/cron_scaler.go of KEDA 2.21. The texts are checked schedules.
    """
    opens, closes = parse_cron(start), parse_cron(end)
    before = ""
    for day in _days():
        struck = [cron.strikes_on(day) for cron in (opens, closes)]
        for minute, what in _strikes(opens, closes, *struck):
            if what in (before, _BOTH):
                at = f"{day:%a %Y-%m-%d} {minute // 60:02}:{minute % 60:02}"
                return f"{what} at {at}" if what == _BOTH else f"a second {what} at {at}"
            before = what
    return ""


@lru_cache(maxsize=1024)
def _strikes(opens: Cron, closes: Cron, is_open: bool, is_close: bool) -> list[tuple[int, str]]:
    """The strikes of one day by minute, in order."""
    starts = opens.minutes_of_day if is_open else frozenset()
    ends = closes.minutes_of_day if is_close else frozenset()
    return [
        (minute, _BOTH if minute in starts & ends else "start" if minute in starts else "end")
        for minute in sorted(starts | ends)
    ]


def check_cron(text: str) -> str:
    """`text` itself. Raises PydanticCustomError when no clock follows it, or it never strikes."""
    try:
        cron = parse_cron(text)
    except ValueError as error:
        raise refuse("E305", str(error)) from None
    if not any(map(cron.strikes_on, _days())):
        raise refuse("E305", f"no year has such a day, got {shown(text)}; write one that comes")
    return text
