"""When a version is tried next, and when its pods are told not to wait.

At random within bounds that grow: nodes that fail together must not come back together, and a new
model is listed on all nodes at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

Key = tuple[str, str]
"""Project and digest."""
_REFUSED_AFTER: Final[dict[str, float]] = {
    "corrupt": 3,
    "disk": 1,
    "disk_full": 1,
    "missing": 8,  # some two minutes: replication brings a version later than its pin gets here
    "registry": math.inf,
}
"""Attempts after which waiting is in vain; a registry that does not answer comes back."""
_MOST_SECONDS: Final[dict[str, float]] = {
    "corrupt": 600.0,
    "disk": 120.0,
    "disk_full": 120.0,
    "missing": 120.0,
    "registry": 300.0,
}
REASONS: Final = tuple(_MOST_SECONDS)
"""Why a version could not be held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    due: float
    number: int
    reason: str
    sentence: str


class Retries:
    """The attempts at all versions that are not there."""

    def __init__(
        self, now: Callable[[], float], chance: Callable[[float], float], first_seconds: float
    ) -> None:
        """By the clock `now`; `chance(x)` is between 0 and x, and first attempts within
        `first_seconds`."""
        self.now = now
        self._chance = chance
        self._first_seconds = first_seconds
        self._rows: dict[Key, _Row] = {}

    def only(self, keys: Collection[Key], urgent: Collection[Key]) -> None:
        """Keep what is known of `keys` alone; those that are new wait for their first attempt.

        Those that have become `urgent` begin at once: whatever failed, failed for nobody.
        """
        first = self.now() + self._chance(self._first_seconds)
        new = _Row(due=first, number=0, reason="", sentence="")
        at_once = replace(new, due=self.now())
        self._rows = {key: at_once if key in urgent else self._rows.get(key, new) for key in keys}

    def is_due(self, key: Key) -> bool:
        """Whether a version may be tried now."""
        return self._rows[key].due <= self.now()

    def failed(self, key: Key, reason: str, sentence: str) -> None:
        """Wait for longer the more often it failed for one of REASONS."""
        last = self._rows[key]
        number = last.number + 1 if last.reason == reason else 1
        most = _MOST_SECONDS[reason]
        if number >= _REFUSED_AFTER[reason]:
            delay = most / 2 + self._chance(most / 2)
        else:
            delay = self._chance(min(most, 2.0 ** min(number, 10)))
        due = self.now() + delay
        self._rows[key] = _Row(due=due, number=number, reason=reason, sentence=sentence)

    def failures(self, key: Key) -> int:
        """How often it failed for its last reason."""
        return self._rows[key].number

    def trouble(self, key: Key) -> str:
        """What went wrong last; empty when nothing did."""
        return self._rows[key].sentence

    def is_refused(self, key: Key) -> bool:
        """Whether there is no hope without somebody doing something."""
        row = self._rows[key]
        return bool(row.reason) and row.number >= _REFUSED_AFTER[row.reason]
