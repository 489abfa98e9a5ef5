"""Reads a blob in order: over one line while that is quick, else by ranges fetched in parallel.

In order, so that its SHA-256 is taken from what is in memory anyway, and no second pass is needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import closing, contextmanager
from threading import Semaphore
from time import monotonic
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
_JUDGED_PIECES: Final = 4
_PATIENCE: Final = 2.0
"""So many times as long as to deal with pieces it may take to wait for them."""


class Ranges:
    """The ranges that one process has in memory. For any number of threads."""

    def __init__(self, store: Store, lines: Lines, fetchers: Executor, window: int) -> None:
        """Ranges of `store`, fetched by `fetchers`, at most `window` at a time."""
        self._store = store
        self._lines = lines
        self._fetchers = fetchers
        self._free = Semaphore(window)
        self._buffers: deque[memoryview] = deque()

    def read(self, key: str, start: int, size: int) -> Generator[memoryview, None, None]:
        """The blob's bytes from `start` to its `size`, in order. Raises RegistryError.

        Corrupt when it has another size. What was handed over is given up when the next piece is
        asked for.
        """
        if start < size <= start + _SMALL_BYTES:
            with self._free:
                yield self._store.rest(key, start, size)
            return
        if start < size:
            for piece in self._by_one_line(key, start, size):
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

    def _by_one_line(self, key: str, start: int, size: int) -> Iterator[memoryview]:
        """The same over one line; it ends early where that is not enough."""
        is_large = size > start + _MEDIUM_BYTES
        with self._free:
            buffer = self._buffer()
            turns = _halves(buffer) if is_large else [buffer[:_PIECE_BYTES]]
            with closing(self._lines.pieces(turns, key, start, size, size)) as pieces:
                if is_large:  # closed first, since nobody may close what is still being read
                    with closing(self._read_ahead(pieces)) as ahead:
                        yield from _while_quick(ahead)
                else:
                    yield from pieces
            self._buffers.append(buffer)

    def _read_ahead(self, pieces: Iterator[memoryview]) -> Generator[memoryview, None, None]:
        """The same pieces, the next one of which is read while one is dealt with."""
        coming = self._fetchers.submit(next, pieces, None)
        try:
            while piece := coming.result():
                coming = self._fetchers.submit(next, pieces, None)
                yield piece
        finally:
            if not coming.cancel():
                wait([coming])

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


def _halves(buffer: memoryview) -> list[memoryview]:
    middle = len(buffer) // 2
    return [buffer[:middle], buffer[middle:]]


def _while_quick(pieces: Iterator[memoryview]) -> Iterator[memoryview]:
    """As long as one line nearly keeps up with who digests its pieces.

    A store nearby works less for one line than for several; from one that is far away, or lets no
    single line have its all, several bring more.
    """
    waited = dealt = 0.0
    asked = monotonic()
    for number, piece in enumerate(pieces, 1):
        came = monotonic()
        yield piece
        waited, dealt = waited + came - asked, dealt + monotonic() - came
        if number % _JUDGED_PIECES == 0:
            if waited > _PATIENCE * dealt:
                return
            waited = dealt = 0.0
        asked = monotonic()


@contextmanager
def reading(store: Store) -> Iterator[Ranges]:
    """Ranges of `store`, with the threads and connections that they take."""
    with closing(Lines(store.sign)) as lines, threads(WINDOW) as fetchers:
        yield Ranges(store, lines, fetchers, WINDOW)
