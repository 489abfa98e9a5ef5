"""Decides when each model is asked: by its own clock, whatever the others do."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from components.synthetic_probe.settings import Row
from components.synthetic_probe.verdict import Result

_log = logging.getLogger("prober")
# The first probes are spread over no more than this: until then nobody knows how a model does.
_SPREAD_SECONDS: Final = 10.0
# A loop so far behind misses the two intervals in which it must report.
LATE_SECONDS: Final = 60.0
# What breaks for a moment has this long to mend, however short the deadline.
_AGAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time that probes are planned by, in seconds that never go back."""

    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


def offset_seconds(row: Row) -> float:
    """How long after the start a model is first asked: the same each time, and another for each."""
    share = int.from_bytes(hashlib.sha256(row.id.encode()).digest()[:8]) / 2**64
    return share * min(row.interval_seconds, _SPREAD_SECONDS)


def _say_why(task: asyncio.Task[None]) -> None:
    """A task that died shows in `faults`; the log says of what."""
    if not task.cancelled():
        _log.error("%s: its task died", task.get_name(), exc_info=task.exception())


class Schedule:
    """Asks every row by its own clock, each in a task of its own.

    `report` gets each result, and whether it is of a second ask.
    """

    def __init__(
        self,
        clock: Clock,
        ask: Callable[[Row], Awaitable[Result]],
        report: Callable[[Row, Result, bool], None],
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._report = report
        self._due: dict[str, float] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, rows: Iterable[Row]) -> None:
        """Ask `rows` from now on."""
        self._tasks = [asyncio.create_task(self.keep_asking(row), name=row.id) for row in rows]
        for task in self._tasks:
            task.add_done_callback(_say_why)

    async def end(self) -> None:
        """Ask nobody any more, and leave the answers that are still on their way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def keep_asking(self, row: Row) -> None:
        """Ask one row for ever; after the first wrong answer of a row of them, once more between.

        A page takes two wrong answers, and the next turn would be too late for the second. It is
        asked for when the first's time is over, whatever was wrong: so a wedged model and one that
        refuses page alike, and what is over by then pages nobody.
        """
        start = self._clock.now() + offset_seconds(row)
        right = True
        while True:
            was_right, right = right, await self._ask_at(start, row, False)
            if was_right and not right:
                second = start + max(row.latency_seconds, _AGAIN_SECONDS)
                right = await self._ask_at(second, row, True)
            # At once when it took longer than a spec may ask for.
            start = max(start + row.interval_seconds, self._clock.now())

    async def _ask_at(self, start: float, row: Row, again: bool) -> bool:
        """Ask when it is time, report, and say whether the answer was right."""
        self._due[row.id] = start + row.latency_seconds
        await self._clock.sleep(max(start - self._clock.now(), 0.0))
        result = await self._ask(row)
        self._report(row, result, again)
        return result.reason is None

    def faults(self) -> list[str]:
        """Whom it does not ask as it should, and why: its task died, or is far behind."""
        now = self._clock.now()
        died = [f"{task.get_name()}: its task died" for task in self._tasks if task.done()]
        late = [
            f"{name}: {now - due:.0f} s late"
            for name, due in self._due.items()
            if now - due > LATE_SECONDS
        ]
        return [*died, *late]
