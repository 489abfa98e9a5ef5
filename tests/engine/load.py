"""Steady requests through a region's entrance, as users send them, counted by their outcome; and
steady looks at whatever else is to be seen meanwhile."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

_WORKERS: Final = 4
_PAUSE_SECONDS: Final = 0.1
"""40 requests a second leave two cores for whatever is under test."""
_TIMEOUT_SECONDS: Final = 20
_LOOK_SECONDS: Final = 0.05
"""What lasts for less may be missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, sent to `address`:80 under the name `host`."""

    address: str
    host: str
    path: str
    body: str

    def send(self) -> tuple[str, str]:
        """The status and the body; the error's name, and what it says, where there is no answer.

        A connection of its own each time: what is kept open would hide a pod that takes no new one.
        """
        connection = http.client.HTTPConnection(self.address, 80, timeout=_TIMEOUT_SECONDS)
        headers = {"Content-Type": "application/json", "Host": self.host}
        try:
            connection.request("POST", self.path, self.body, headers)
            answer = connection.getresponse()
            return str(answer.status), answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__, str(error)
        finally:
            connection.close()


@dataclass(slots=True)
class Load:
    """What has come back so far."""

    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def lost(self) -> dict[str, int]:
        """The outcomes that are no right answer."""
        return {name: count for name, count in self.outcomes.items() if name != "200"}

    @property
    def answered(self) -> int:
        """How many right answers."""
        return self.outcomes["200"]


@contextmanager
def under_load(request: Request) -> Iterator[Load]:
    """Send the request again and again from several threads; all have ended at the end."""
    load, stop, guard = Load(), threading.Event(), threading.Lock()

    def work() -> None:
        while not stop.wait(_PAUSE_SECONDS):
            outcome, _ = request.send()
            with guard:
                load.outcomes[outcome] += 1

    threads = [threading.Thread(target=work, name=f"user-{n}") for n in range(_WORKERS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def watching(look: Callable[[], Any]) -> Iterator[list[Any]]:
    """What is seen, at every look, while it lasts."""
    seen, ended = list[Any](), threading.Event()

    def work() -> None:
        while not ended.is_set():
            seen.append(look())
            ended.wait(_LOOK_SECONDS)

    thread = threading.Thread(target=work, name="watch")
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
