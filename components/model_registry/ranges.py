"""Reads a blob by ranges that are fetched in parallel and handed over in order.

In order, so that its SHA-256 is taken from what is in memory anyway, and no second pass is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from threading import Semaphore
from typing import Final

from components.model_registry.store import Store

RANGE_BYTES: Final = 4 * 1024 * 1024
WINDOW: Final = 12
"""Ranges in memory at once, over all blobs that are read: 48 MiB, and as much in the client."""


class Ranges:
    """The ranges that one process has in memory. For any number of threads."""

    def __init__(self, store: Store, fetchers: Executor, window: int) -> None:
        """Ranges of `store`, fetched by `fetchers`, at most `window` at a time."""
        self._store = store
        self._fetchers = fetchers
        self._window = window
        self._free = Semaphore(window)

    def read(self, key: str, start: int, size: int) -> Iterator[memoryview]:
        """The blob's bytes from `start` to its `size`, in order. Raises RegistryError.

        What was handed over is given up when the next piece is asked for.
        """
        ahead: deque[Future[memoryview]] = deque()
        try:
            while start < size or ahead:
                # The first range waits for its turn; what reads ahead takes only what is left.
                while start < size and self._free.acquire(blocking=not ahead):
                    length = min(RANGE_BYTES, size - start)
                    ahead.append(self._fetchers.submit(self._store.read_range, key, start, length))
                    start += length
                yield ahead[0].result()
                ahead.popleft()
                self._free.release()
        finally:
            for one in ahead:
                one.cancel()
                self._free.release()
