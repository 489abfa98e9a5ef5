from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from components.synthetic_probe.exposition import Exposition
from components.synthetic_probe.objects import SCRAPE_SECONDS
from components.synthetic_probe.rules import rule_groups
from components.synthetic_probe.schedule import (
    LATE_SECONDS,
    Clock,
    Schedule,
    offset_seconds,
)
from components.synthetic_probe.settings import Row
from components.synthetic_probe.verdict import Reason, Result
from tests.builders import a_server
from tests.loopback import a_row
from tests.promtool import check_alerts

GOOD = Result(seconds=0.2, reason=None, detail="", pace=None)
HUNG = Result(seconds=10.0, reason=Reason.TIMEOUT, detail="no answer", pace=None)
SUCCESS = 'probe_success{model="sentiment",project="search"}'
FINISHED = 'probe_last_timestamp_seconds{model="sentiment",project="search"}'


class OverError(Exception):
    """The time that a test looks at is over."""


class Time:
    """A clock that goes only while somebody sleeps, and calls `tick` every SCRAPE_SECONDS."""

    def __init__(self, end: float, tick: Callable[[], None]) -> None:
        self.now = 0.0
        self._end = end
        self._tick = tick
        self._next = 0.0

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self._next <= until:
            self.now = self._next
            if self.now >= self._end:
                raise OverError
            self._tick()
            self._next += SCRAPE_SECONDS
        self.now = until

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)


def nothing(*_: object) -> None:
    pass


def starts(row: Row, taking: float, end: float) -> list[float]:
    """When `row` is asked until `end`, if each answer takes so long."""
    time, found = Time(end, nothing), list[float]()

    async def ask(_: Row) -> Result:
        found.append(time.now)
        await time.sleep(taking)
        return GOOD

    with pytest.raises(OverError):
        asyncio.run(Schedule(time.clock, ask, nothing).keep_asking(row))
    return found


# -- when ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taking", "step"),
    [(0.0, 30), (29.0, 30), (100.0, 100)],
    ids=["at-once", "in-time", "longer-than-the-interval"],
)
def test_interval_is_from_start_to_start(taking: float, step: int) -> None:
    row = a_row(interval_seconds=30)
    found = starts(row, taking, 600)
    assert found[0] == offset_seconds(row), "its own offset"
    gaps = {round(after - before, 6) for before, after in pairwise(found)}
    assert gaps == {step}, "one at a time, and the next as soon as it is due"


def test_models_are_first_asked_at_different_times_and_soon() -> None:
    offsets = [offset_seconds(a_row(id=f"search/m{i}", interval_seconds=3600)) for i in range(100)]
    assert len(set(offsets)) == 100, "all at once would be a load of its own"
    assert min(offsets) >= 0, "an offset is a wait"
    assert max(offsets) < 10, "a new prober must not be silent for an hour"
    assert max(offsets) - min(offsets) > 8, "spread over all of it"
    assert offset_seconds(a_row(id="search/m0", interval_seconds=3600)) == offsets[0], "every time"
    assert offset_seconds(a_row(interval_seconds=5)) < 5, "within the first interval"


# -- health ----------------------------------------------------------------------------------


def test_prober_is_faulty_when_a_task_died_and_not_because_a_model_fails() -> None:
    async def scenario() -> tuple[list[str], list[str]]:
        asked = asyncio.Event()

        async def ask(row: Row) -> Result:
            if row.id == "search/bug":
                raise RuntimeError("a bug")
            asked.set()
            return HUNG

        now = asyncio.get_running_loop().time
        schedule = Schedule(Clock(now=now, sleep=lambda _: asyncio.sleep(0)), ask, nothing)
        schedule.begin([a_row()])
        await asked.wait()
        failing = schedule.faults()
        await schedule.end()
        schedule.begin([a_row(id="search/bug")])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        died = schedule.faults()
        await schedule.end()
        return failing, died

    failing, died = asyncio.run(scenario())
    assert failing == [], "a restart of the prober mends no model"
    assert died == ["search/bug: its task died"], "a model that nobody asks"


def test_prober_is_faulty_when_it_is_far_behind() -> None:
    async def scenario() -> list[list[str]]:
        now = 0.0
        forever = asyncio.Event()

        async def ask(_: Row) -> Result:
            await forever.wait()
            return GOOD

        async def sleep(_: float) -> None:
            pass

        row = a_row(latency_seconds=10.0)
        schedule = Schedule(Clock(now=lambda: now, sleep=sleep), ask, nothing)
        schedule.begin([row])
        await asyncio.sleep(0)
        found = []
        for now in (0.0, LATE_SECONDS, LATE_SECONDS + 10 + offset_seconds(row) + 1):  # noqa: B007
            found.append(schedule.faults())
        await schedule.end()
        return found

    on_time, slow, late = asyncio.run(scenario())
    assert on_time == slow == [], "a model may take its time"
    assert late == ["search/sentiment: 61 s late"], "a prober that hangs must not look healthy"


# -- what Prometheus makes of it -------------------------------------------------------------


@pytest.mark.parametrize("wedged_after", [0.5, 15.0, 29.5], ids=["after", "between", "before"])
def test_wedged_model_is_reported_within_two_intervals_and_pages(
    tmp_path: Path, wedged_after: float
) -> None:
    server = a_server()
    interval, latency = server.probe.interval_seconds, server.probe.latency_seconds
    row = a_row(interval_seconds=interval, latency_seconds=latency)
    wedged = 300 + offset_seconds(row) + wedged_after
    exposition = Exposition("search")
    scraped: dict[str, list[str]] = {SUCCESS: [], FINISHED: []}

    def scrape() -> None:
        lines = dict(line.rsplit(" ", 1) for line in exposition.text().decode().splitlines())
        for series, values in scraped.items():
            values.append(lines.get(series, "_"))

    time = Time(600, scrape)

    async def ask(_: Row) -> Result:
        result = HUNG if time.now >= wedged else GOOD
        await time.sleep(result.seconds)
        return result

    schedule = Schedule(time.clock, ask, lambda r, result: exposition.record(r, result, time.now))
    with pytest.raises(OverError):
        asyncio.run(schedule.keep_asking(row))
    reported = scraped[SUCCESS].index("0.0") * SCRAPE_SECONDS
    assert reported - wedged <= 2 * interval, "the metric says so within two intervals"
    # A page needs two wrong answers: the second is begun one interval after the first.
    page = reported + interval + latency + 3 * SCRAPE_SECONDS
    expected = {295: [], int(page): ["ModelProbeFailing/page"]}
    samples = {series: " ".join(values) for series, values in scraped.items()}
    check_alerts(tmp_path, rule_groups(server, "https://grafana"), samples, expected)
