"""Reads a blob by ranges that are fetched in parallel and handed over in order.

In order, so that its SHA-256 is taken from what is in memory anyway, and no second pass is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import closing, contextmanager
from threading import Semaphore
from typing import Final

from components.model_registry.lines import Lines
from components.model_registry.store import Store
from components.model_registry.threads import threads

RANGE_BYTES: Final = 8 * 1024 * 1024
WINDOW: Final = 12
"""Ranges in memory at once, over all blobs that are read: 96 MiB."""
_SMALL_BYTES: Final = 1024 * 1024
"""Till here new memory costs less than Python's own HTTP does."""
_MEDIUM_BYTES: Final = 2 * RANGE_BYTES
"""Till here one line is enough: others are busy with other files."""
_PIECE_BYTES: Final = 1024 * 1024
"""What is read, digested and written before it leaves the processor's cache."""


class Ranges:
    """The ranges that one process has in memory. For any number of threads."""

    def __init__(self, store: Store, lines: Lines, fetchers: Executor, window: int) -> None:
        """Ranges of `store`, fetched by `fetchers`, at most `window` at a time."""
        self._store = store
        self._lines = lines
        self._fetchers = fetchers
        self._window = window
        self._free = Semaphore(window)
        self._buffers: deque[memoryview] = deque()

    def read(self, key: str, start: int, size: int) -> Iterator[memoryview]:
        """The blob's bytes from `start` to its `size`, in order. Raises RegistryError.

        Corrupt when it has another size. What was handed over is given up when the next piece is
        asked for.
        """
        if start < size <= start + _SMALL_BYTES:
            with self._free:
                yield self._store.rest(key, start, size)
            return
        if start < size <= start + _MEDIUM_BYTES:
            for piece in self._alone(key, start, size):
                start += len(piece)
                yield piece
        ahead: deque[Future[memoryview]] = deque()
        try:
            while start < size or ahead:
                # The first range waits for its turn; what reads ahead takes only what is left.
                while start < size and self._free.acquire(blocking=not ahead):
                    length = min(RANGE_BYTES, size - start)
                    ahead.append(self._fetchers.submit(self._fetch, key, start, length, size))
                    start += length
                piece = ahead[0].result()
                yield piece
                self._buffers.append(piece)
                ahead.popleft()
                self._free.release()
        finally:
            for one in ahead:
                one.cancel()
                self._free.release()

    def _alone(self, key: str, start: int, size: int) -> Iterator[memoryview]:
        """The same over one line, with nothing read ahead; it may end early."""
        with self._free:
            buffer = self._buffer()
            yield from self._lines.pieces(buffer[:_PIECE_BYTES], key, start, size, size)
            self._buffers.append(buffer)

    def _buffer(self) -> memoryview:
        try:
            return memoryview(self._buffers.pop().obj)
        except IndexError:
            return memoryview(bytearray(RANGE_BYTES))

    def _fetch(self, key: str, start: int, length: int, size: int) -> memoryview:
        piece = self._buffer()[:length]
        if length < _SMALL_BYTES or not self._lines.fill(piece, key, start, size):
            self._store.fill(piece, key, start, size)
        return piece


@contextmanager
def reading(store: Store) -> Iterator[Ranges]:
    """Ranges of `store`, with the threads and connections that they take."""
    with closing(Lines(store.sign)) as lines, threads(WINDOW) as fetchers:
        yield Ranges(store, lines, fetchers, WINDOW)
