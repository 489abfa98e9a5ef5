"""One progress line per step, the same on a terminal and in a log."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console

from regions.sandbox.errors import SandboxError

INTERRUPTED: Final = threading.Event()
"""Set once somebody wants the run to end."""
_LOG_WIDTH: Final = 400


class _Output(Console):
    def on_broken_pipe(self) -> None:
        """Go on where the reader has gone, as in `down | head`: half of a change helps nobody."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# In a log there is no width to fit into, and a wrapped address can't be copied.
OUT: Final = _Output(
    file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else _LOG_WIDTH
)


@dataclass(slots=True)
class Step:
    """A running step; `note` is what its closing line says."""

    where: str
    what: str
    note: str = "ok"
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self.started

    def say(self, text: str) -> None:
        """Print one line of this step with its age in seconds."""
        line(self.where, self.what, text, self.seconds)


def line(where: str, what: str, text: str, seconds: float | None = None) -> None:
    """Print `where  what  text  N s` as one line."""
    age = "" if seconds is None else f"  {seconds:.1f} s"
    OUT.print(f"{where:<15} {what:<14} {text}{age}", markup=False, soft_wrap=True)
    OUT.file.flush()


@contextmanager
def step(where: str, what: str) -> Iterator[Step]:
    """Time a step and print its closing line when it ended well.

    Raises SandboxError where the run was interrupted before it.
    """
    if INTERRUPTED.is_set():
        raise SandboxError(f"{where} {what}: not begun, since the run was interrupted")
    running = Step(where, what)
    yield running
    running.say(running.note)
