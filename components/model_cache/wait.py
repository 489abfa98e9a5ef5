"""A pod's wait for the node's agent: till the version is there, refused, or nobody is heard."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.model_cache import notices
from components.model_cache.shelf import Shelf

_LAST_WORD: Final = Path("/dev/termination-log")
"""What a container writes here is in its pod's status, for whoever asks why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to bear silence, how often to look, by which clock, and where to say what."""

    silence_seconds: float
    poll_seconds: float
    now: Callable[[], float]
    sleep: Callable[[float], None]
    say: Callable[[str], None]


def patience(silence_seconds: float, poll_seconds: float) -> Patience:
    """By the machine's own clock."""
    return Patience(
        silence_seconds=silence_seconds,
        poll_seconds=poll_seconds,
        now=time.monotonic,
        sleep=time.sleep,
        say=lambda line: print(line, flush=True),
    )


def wait(shelf: Shelf, digest: str, how: Patience) -> str:
    """Return when the version is there, empty, or why it will not be.

    Silence is bounded and not the whole wait: a large model may take hours, which the Deployment's
    own deadline judges, but an agent that says nothing for so long is not there.
    """
    heard, last, said = how.now(), None, ""
    while not shelf.version(digest).is_dir():
        notice = notices.read(shelf, digest)
        if notice and notice.refused:
            return f"the node's cache agent cannot hold {digest}: {notice.trouble}"
        if notice != last:
            heard, last = how.now(), notice
        if how.now() - heard > how.silence_seconds:
            return (
                f"{digest} is not there, and the node's cache agent has said nothing for "
                f"{how.silence_seconds:.0f} s; look at the cache's pods of this node"
            )
        line = f"the agent {notice}" if notice else "no word of the node's cache agent yet"
        if line != said:
            how.say(f"waiting for {digest}: {line}")
            said = line
        how.sleep(how.poll_seconds)
    how.say(f"{digest} is there")
    return ""


def leave_word(sentence: str) -> None:
    """Put a failure where the pod's status shows it; only a container has such a place."""
    if _LAST_WORD.exists():
        with suppress(OSError):
            _LAST_WORD.write_text(sentence, encoding="utf-8")
