"""How many replicas a schedule asks for on average, from its cron windows alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from model_specs.cron import parse_cron
from regions.model_plan import SchedulePlan

_FIRST_DAY: Final = date(2026, 1, 5)
_DAYS: Final = 364
"""52 whole weeks from a Monday: every weekday counts alike, and every month is in it."""
_MINUTES: Final = _DAYS * 24 * 60


def _moments(text: str) -> Iterator[int]:
    """The minutes, from the first day's midnight, at which a schedule strikes."""
    cron = parse_cron(text)
    of_day = [hour * 60 + minute for hour in sorted(cron.hours) for minute in sorted(cron.minutes)]
    for index in range(_DAYS):
        if cron.strikes_on(_FIRST_DAY + timedelta(days=index)):
            yield from (index * 24 * 60 + minute for minute in of_day)


def _shift(timezone: str) -> int:
    """Minutes to UTC in winter; summer time moves a window and hardly its length."""
    try:
        offset = datetime(2026, 1, 5, tzinfo=ZoneInfo(timezone)).utcoffset()
    except (ValueError, OSError, KeyError):  # a zone this machine does not know
        return 0
    return -int((offset or timedelta()).total_seconds()) // 60


def _open(window: SchedulePlan) -> list[tuple[int, int]]:
    """The spans in which the window is open, as KEDA's cron scaler reads it.

    It looks ahead only: the window is closed while the next start comes before the next end.
    Source: kedacore/keda, pkg/scalers/cron_scaler.go, GetMetricsAndActivity.
    """
    shift = _shift(window.timezone)
    ends = {(moment + shift) % _MINUTES for moment in _moments(window.end)}
    moments = sorted(ends | {(moment + shift) % _MINUTES for moment in _moments(window.start)})
    before = dict(zip(moments[1:], moments, strict=False))
    spans = [(before[moment], moment) for moment in moments[1:] if moment in ends]
    if moments and moments[0] in ends:
        spans.append((moments[-1], moments[0] + _MINUTES))
    return spans


@lru_cache(maxsize=1024)
def mean_floor(least: int, windows: tuple[SchedulePlan, ...]) -> float:
    """The mean of max(least, open windows' replicas) over 52 weeks."""
    changes: list[tuple[int, int, int]] = []
    for index, window in enumerate(windows):
        for begin, end in _open(window):
            changes += [(begin, 1, index), (end, 0, index)]
            if end > _MINUTES:  # it goes on at the year's other end
                changes += [(begin - _MINUTES, 1, index), (end - _MINUTES, 0, index)]
    total, floor, now = 0.0, least, 0
    opened: set[int] = set()
    for moment, opens, index in sorted(changes):
        at = min(max(moment, 0), _MINUTES)
        total += floor * (at - now)
        now = at
        (opened.add if opens else opened.discard)(index)
        floor = max([least, *(windows[i].replicas for i in opened)])
    return (total + floor * (_MINUTES - now)) / _MINUTES
