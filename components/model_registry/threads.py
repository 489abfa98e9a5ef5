"""Threads for several files or parts at once, whose work is dropped when one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

Told = Callable[[str, int], None]
"""Hears of bytes that were dealt with, by the work: `digest`, `send`, `fetch`. Of any thread."""


@contextmanager
def threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose waiting work is dropped when its user raises, be it by Ctrl-C."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
