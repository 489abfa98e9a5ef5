"""What a node says to pods of a version that is not there yet, in a file beside where it will be.

A pod has no other way to the agent. It sees that the agent is alive, how far it is, and when it has
given up, why.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

from components.model_cache.publish import write
from components.model_cache.shelf import Shelf

BEAT_SECONDS: Final = 10.0
"""How often a notice is written while nothing else changes."""
_GB: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What there is to say; `beat` is another number each time, so that silence is noticed."""

    beat: int
    missing_bytes: int
    trouble: str
    """What went wrong last; empty when nothing did."""
    refused: bool
    """Whether waiting is in vain, by `trouble`."""

    def __str__(self) -> str:
        if self.trouble:
            return f"will try again: {self.trouble}"
        return f"has still to fetch {self.missing_bytes / _GB:.2f} GB"


def post(shelf: Shelf, digest: str, notice: Notice) -> None:
    """Say something of a version."""
    write(shelf, shelf.notice(digest), json.dumps(asdict(notice)).encode())


def take_down(shelf: Shelf, digest: str) -> None:
    """Say nothing more."""
    shelf.notice(digest).unlink(missing_ok=True)


def read(shelf: Shelf, digest: str) -> Notice | None:
    """What is said; None when that is nothing, or of another version of the agent."""
    with suppress(OSError, ValueError, TypeError):
        return Notice(**json.loads(shelf.notice(digest).read_bytes()))
    return None
