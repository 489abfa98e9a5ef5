"""A window is open when its spec says so, as KEDA reads its two schedules."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_specs.cron import out_of_turn, parse_cron
from model_specs.errors import SpecErrors
from tests.examples import a_model

FIRST: Final = datetime(2024, 1, 1)
SOUND: Final = (
    ("0 8 * * 1-5", "0 18 * * 1-5"),
    ("0 22 * * *", "0 6 * * *"),
    ("0 22 * * 1-5", "0 6 * * 2-6"),
    ("0 8 * * 1", "0 20 * * 5"),
    ("0 8 * * 5", "0 20 * * 1"),
    ("0 8,14 * * *", "0 12,18 * * *"),
    ("0 * * * *", "30 * * * *"),
    ("0 0 1 * *", "0 0 2 * *"),
    ("0 0 25 12 *", "0 0 2 1 *"),
)
UNSOUND: Final = {
    ("0 8 * * 1-5", "0 18 * * *"): "a second end at Sat 2024-01-06 18:00",
    ("0 8 * * *", "0 18 * * 5"): "a second start at Tue 2024-01-02 08:00",
    ("0 8 * * 1-5", "0 8 * * 6"): "a second start at Tue 2024-01-02 08:00",
    ("0 * * * *", "0 8 * * *"): "a second start at Mon 2024-01-01 01:00",
    ("0 8 * * *", "0 8 * * 1"): "start and end together at Mon 2024-01-01 08:00",
    ("* 8 * * *", "0 18 * * *"): "a second start at Mon 2024-01-01 08:01",
    ("0 0 28 2 *", "0 0 29 2 *"): "a second start at Sat 2026-02-28 00:00",
    ("0 0 29 2 *", "0 0 1 3 *"): "a second end at Sat 2025-03-01 00:00",
    ("0 0 1 * *", "0 0 31 * *"): "a second start at Fri 2024-03-01 00:00",
}


def refused(start: str, end: str) -> list[str]:
    window = {"start": start, "end": end, "replicas": 2}
    try:
        a_model(scaling={"max": 3, "schedules": [window]})
    except SpecErrors as errors:
        return [f"{error.code} {error.path} {error.message}" for error in errors.errors]
    return []


def moments(text: str, days: int) -> list[int]:
    """The minutes from FIRST at which a schedule strikes."""
    cron = parse_cron(text)
    return [
        1440 * number + minute
        for number in range(days)
        if cron.strikes_on((FIRST + timedelta(days=number)).date())
        for minute in sorted(cron.minutes_of_day)
    ]


def open_as_written(starts: list[int], ends: list[int], now: int) -> bool:
    """Whether the last strike before a moment opened the window."""
    last = [max((at for at in them if at <= now), default=-1) for them in (starts, ends)]
    return last[0] > last[1]


def open_for_keda(starts: list[int], ends: list[int], now: int) -> bool:
    """As cron_scaler.go decides by the next strikes, which are those after a moment."""
    after = [min((at for at in them if at > now), default=10**9) for them in (starts, ends)]
    return after[0] >= after[1]


@pytest.mark.parametrize(("start", "end"), SOUND)
def test_a_window_whose_ends_follow_its_starts_is_taken(start: str, end: str) -> None:
    assert refused(start, end) == []


@pytest.mark.parametrize(("start", "end"), UNSOUND)
def test_a_window_that_keda_would_open_at_other_times_is_refused(start: str, end: str) -> None:
    (error,) = refused(start, end)
    assert error.startswith("E305 scaling.schedules[0].end starts and ends take turns")
    assert UNSOUND[start, end] in error, "a person looks at that day in a calendar"


def test_a_night_that_ends_on_other_days_is_open_over_the_weekend_and_said_so_by_nobody() -> None:
    assert refused("0 22 * * 1-5", "0 6 * * 1-5") == [], "Friday night to Monday is a window too"


@given(
    times=st.lists(st.integers(0, 23), min_size=1, max_size=4),
    others=st.lists(st.integers(0, 23), min_size=1, max_size=4),
    days=st.sampled_from(("*", "1-5", "0,6", "1", "2-6")),
    other_days=st.sampled_from(("*", "1-5", "0,6", "1", "2-6")),
)
@settings(max_examples=150, deadline=None)
def test_taken_windows_are_open_for_keda_as_they_are_written(
    times: list[int], others: list[int], days: str, other_days: str
) -> None:
    start = f"0 {','.join(map(str, sorted(set(times))))} * * {days}"
    end = f"0 {','.join(map(str, sorted(set(others))))} * * {other_days}"
    starts, ends = moments(start, 35), moments(end, 35)
    if set(starts) & set(ends):
        assert out_of_turn(start, end), "what opens and closes at once means nothing"
        return
    span = range(14 * 1440, 21 * 1440, 30)
    agrees = all(open_as_written(starts, ends, t) == open_for_keda(starts, ends, t) for t in span)
    assert agrees == (not out_of_turn(start, end)), "refused exactly where not"


def test_a_window_that_begins_as_another_ends_leaves_no_moment_between() -> None:
    day, night = ("0 8 * * *", "0 18 * * *"), ("0 18 * * *", "0 8 * * *")
    schedules = [{"start": s, "end": e, "replicas": 2} for s, e in (day, night)]
    assert a_model(scaling={"max": 3, "schedules": schedules}).spec.scaling.schedules
    strikes = [tuple(moments(text, 35) for text in one) for one in (day, night)]
    for now in range(14 * 1440, 16 * 1440):
        opened = [open_for_keda(starts, ends, now) for starts, ends in strikes]
        assert sum(opened) == 1, "KEDA keeps the larger of two, and here one is always open"


@pytest.mark.parametrize("day", ["30 2", "31 4", "31 2,4,6,9,11"])
def test_a_window_that_never_opens_is_refused(day: str) -> None:
    (error,) = refused(f"0 8 {day} *", "0 18 * * *")
    assert "scaling.schedules[0].start no year has such a day" in error


def test_many_windows_are_looked_at_once() -> None:
    out_of_turn.cache_clear()
    for _ in range(1000):
        out_of_turn("0 8 * * 1-5", "0 18 * * 1-5")
    assert out_of_turn.cache_info().misses == 1
