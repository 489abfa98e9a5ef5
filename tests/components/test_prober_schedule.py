from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain, pairwise, repeat
from pathlib import Path

import pytest
from pydantic import ValidationError

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
from model_specs.probe import PAGE_SECONDS, Expectation, Probe
from tests.builders import a_server
from tests.loopback import a_row
from tests.promtool import check_alerts

GOOD = Result(seconds=0.2, reason=None, detail="", pace=None)
REFUSED = Result(seconds=0.0, reason=Reason.CONNECT, detail="no connection", pace=None)
HUNG = Result(seconds=10.0, reason=Reason.TIMEOUT, detail="no answer", pace=None)
OWN = '{model="sentiment",project="search",track=""}'
SERIES = [
    f"{name}{OWN}"
    for name in ("probe_success", "probe_failures_in_a_row", "probe_last_timestamp_seconds")
]
END = 700
PAGE = "ModelProbeFailing/page"


class OverError(Exception):
    """The time that a test looks at is over."""


class Time:
    """A clock that goes only while somebody sleeps, and calls `tick` at every full second."""

    def __init__(self, begin: float, end: float, tick: Callable[[], None]) -> None:
        self.now = begin
        self._end = end
        self._tick = tick
        self._next = 0.0

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self._next <= until:
            self.now = max(self.now, self._next)
            if self.now >= self._end:
                raise OverError
            self._tick()
            self._next += 1.0
        self.now = until

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, sleep=self.sleep)


def nothing(*_: object) -> None:
    pass


def starts(row: Row, answers: Iterable[Result], end: float) -> list[float]:
    """When `row` is asked until `end`, if it answers so, and takes as long as the answers say."""
    time, found, coming = Time(0.0, end, nothing), list[float](), iter(answers)

    async def ask(_: Row) -> Result:
        found.append(time.now)
        result = next(coming)
        await time.sleep(result.seconds)
        return result

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
    found = starts(row, repeat(replace(GOOD, seconds=taking)), 600)
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


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([GOOD, HUNG, GOOD, GOOD], [0, 30, 40, 60, 90]),
        ([GOOD, REFUSED, GOOD, GOOD], [0, 30, 40, 60, 90]),
        ([GOOD, HUNG, HUNG, HUNG, HUNG, GOOD], [0, 30, 40, 60, 90, 120, 150]),
        ([HUNG, GOOD, HUNG, GOOD], [0, 10, 30, 40, 60, 90]),
        ([HUNG, HUNG, GOOD, HUNG, GOOD], [0, 10, 30, 60, 70, 90]),
    ],
    ids=["timeout", "refused", "stays-wedged", "every-turn-is-wrong", "row-after-row"],
)
def test_first_wrong_answer_of_a_row_is_asked_for_again_between_two_turns(
    answers: list[Result], expected: list[int]
) -> None:
    row = a_row(interval_seconds=30, latency_seconds=10.0)
    found = starts(row, chain(answers, repeat(GOOD)), 600)
    turns = [start - offset_seconds(row) for start in found][: len(expected)]
    assert turns == pytest.approx(expected), (
        "once more, at its deadline; turns stay where they were"
    )


def test_what_fails_at_once_has_a_second_to_mend() -> None:
    row = a_row(interval_seconds=30, latency_seconds=0.1)
    first, second, third = starts(row, chain([REFUSED], repeat(GOOD)), 60)[:3]
    assert second - first == pytest.approx(1.0), "a packet lost twice is not two answers"
    assert third - first == pytest.approx(30.0), "the turns go on"


def test_first_wrong_answer_after_the_worst_latency_is_asked_for_again_at_once() -> None:
    row = a_row(interval_seconds=30, latency_seconds=10.0)
    late = replace(HUNG, seconds=10.5)
    first, second = starts(row, repeat(late), 60)[:2]
    assert second - first == 10.5, "one at a time, whatever a busy machine makes of a deadline"


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


@pytest.mark.parametrize(
    ("before", "asked"), [([], 0.0), ([REFUSED], 10.0)], ids=["first-ask", "second-ask"]
)
def test_prober_is_faulty_when_it_is_far_behind(before: list[Result], asked: float) -> None:
    async def scenario() -> list[list[str]]:
        now = 0.0
        forever = asyncio.Event()
        coming = iter(before)

        async def ask(_: Row) -> Result:
            if result := next(coming, None):
                return result
            await forever.wait()
            return GOOD

        async def sleep(_: float) -> None:
            pass

        row = a_row(latency_seconds=10.0)
        schedule = Schedule(Clock(now=lambda: now, sleep=sleep), ask, nothing)
        schedule.begin([row])
        await asyncio.sleep(0)
        found = []
        late = asked + LATE_SECONDS + 10 + offset_seconds(row) + 1
        for now in (0.0, asked + LATE_SECONDS, late):  # noqa: B007
            found.append(schedule.faults())
        await schedule.end()
        return found

    on_time, slow, late = asyncio.run(scenario())
    assert on_time == slow == [], "a model may take its time"
    assert late == ["search/sentiment: 61 s late"], "a prober that hangs must not look healthy"


# -- what Prometheus makes of it -------------------------------------------------------------


class Watched:
    """A prober on a clock of its own, and what Prometheus scrapes of it, second by second."""

    def __init__(self, row: Row, begin: float, scraped_at: int) -> None:
        self.samples: dict[str, list[str]] = {series: [] for series in SERIES}
        self._exposition = Exposition("search")
        self._scraped_at = scraped_at
        self._row = row
        self._time = Time(begin, END, self._tick)

    def _tick(self) -> None:
        """Between scrapes, Prometheus sees what the last one said."""
        fresh = len(self.samples[SERIES[0]]) % SCRAPE_SECONDS == self._scraped_at
        lines = self._exposition.text().decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines)
        for series, seen in self.samples.items():
            seen.append(values.get(series, "_") if fresh or not seen else seen[-1])

    def _report(self, row: Row, result: Result, again: bool) -> None:
        if again:
            self._exposition.count(row, result)
        else:
            self._exposition.record(row, result, self._time.now)

    def watch(self, answer: Callable[[float], Result]) -> None:
        """Ask until END, where what is asked at a second finds the `answer` of that second."""

        async def ask(_: Row) -> Result:
            result = answer(self._time.now)
            await self._time.sleep(result.seconds)
            return result

        with pytest.raises(OverError):
            asyncio.run(Schedule(self._time.clock, ask, self._report).keep_asking(self._row))


@pytest.mark.parametrize("scraped_at", range(SCRAPE_SECONDS))
@pytest.mark.parametrize("wrong", [HUNG, REFUSED], ids=["wedged", "stopped"])
def test_page_fires_within_two_intervals_and_resolves_within_one(
    tmp_path: Path, wrong: Result, scraped_at: int
) -> None:
    server = a_server()
    interval, latency = server.probe.interval_seconds, server.probe.latency_seconds
    row = a_row(interval_seconds=interval, latency_seconds=latency)
    # The worst: right after a right answer, and so that the second wrong one misses a scrape.
    second = 400 + scraped_at + 0.01
    fails = second - latency - wrong.seconds - interval + GOOD.seconds
    first_turn = (fails - GOOD.seconds) % interval
    mended = fails + 6 * interval + 1
    watched = Watched(row, first_turn - offset_seconds(row), scraped_at)
    watched.watch(lambda now: wrong if fails <= now < mended else GOOD)
    expected = {
        math.floor(fails + interval): [],
        math.floor(second): [],
        math.floor(fails + 2 * interval - 1): [PAGE],
        math.floor(mended): [PAGE],
        math.ceil(mended + interval + 2 * SCRAPE_SECONDS + 1): [],
        END - 1: [],
    }
    samples = {series: " ".join(values) for series, values in watched.samples.items()}
    groups = rule_groups(server, "https://grafana")
    check_alerts(tmp_path, groups, samples, expected, 1, SCRAPE_SECONDS)


@pytest.mark.parametrize("wrong", [HUNG, REFUSED], ids=["timeout", "refused"])
def test_single_failures_between_right_answers_page_nobody(tmp_path: Path, wrong: Result) -> None:
    """The second ask finds it mended, every time: however often, it is not two in a row."""
    row, right = a_row(interval_seconds=30, latency_seconds=10.0), False

    def in_turn(_: float) -> Result:
        nonlocal right
        right = not right
        return GOOD if right else wrong

    watched = Watched(row, 0.0, 1)
    watched.watch(in_turn)
    assert watched.samples[SERIES[0]].count("0.0") > END / 2, "turns find it wrong, and count"
    samples = {series: " ".join(values) for series, values in watched.samples.items()}
    quiet: dict[int, list[str]] = {second: [] for second in range(END)}
    groups = [rule_groups(a_server(), "https://grafana")[0]]  # its budget is another's business
    check_alerts(tmp_path, groups, samples, quiet, 1, SCRAPE_SECONDS)


def test_spec_is_held_to_what_a_scrape_and_an_evaluation_leave() -> None:
    assert 2 * SCRAPE_SECONDS + 1 <= PAGE_SECONDS, "a second for a busy machine"
    Probe.model_validate({})
    longest = Expectation(latency_seconds=10.0)
    assert Probe(expect=longest, interval_seconds=30), "30 + 2 x 10 + 10 is two intervals"
    for expect, interval in ((Expectation(latency_seconds=10.1), 30), (longest, 29)):
        with pytest.raises(ValidationError, match="too long for a page in two intervals"):
            Probe(expect=expect, interval_seconds=interval)
