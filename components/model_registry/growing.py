"""A file that is written in order, and its SHA-256, which another thread takes meanwhile.

To write a piece and to digest it cost about as much: together they would hold up a download.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self

_READ_BYTES: Final = 1024 * 1024
_LARGE_BYTES: Final = 4 * 1024 * 1024
"""Less than this is digested sooner where it has just been read, and is still in the cache."""


class Growing:
    """An open file that is digested from its beginning. For one thread; to be used `with`."""

    def __init__(self, descriptor: int) -> None:
        """Digest what is there already; the file must stand at its beginning, and stays open."""
        self._descriptor = descriptor
        self._whole = hashlib.sha256()
        self._digester: ThreadPoolExecutor | None = None
        self.size = 0
        self.mark()
        while piece := os.read(descriptor, _READ_BYTES):
            self._whole.update(piece)
            self.size += len(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._digester:
            self._digester.shutdown()

    @property
    def sha256(self) -> str:
        """Of all of it, in hex digits."""
        return self._whole.hexdigest()

    def mark(self) -> None:
        """What is there now is right: `rewind` comes back to here. At first it is the beginning."""
        self._marked = self.size, self._whole.copy()

    def rewind(self) -> None:
        """Forget what came since the mark. Raises OSError."""
        self.size, whole = self._marked
        self._whole = whole.copy()
        os.ftruncate(self._descriptor, self.size)
        os.lseek(self._descriptor, self.size, os.SEEK_SET)

    def add(self, piece: memoryview) -> None:
        """Write a piece at the end, which is nobody's again when this returns. Raises OSError."""
        if len(piece) < _LARGE_BYTES:
            self._whole.update(piece)
            self._write(piece)
        else:
            self._digester = self._digester or ThreadPoolExecutor(1)
            digested = self._digester.submit(self._whole.update, piece)
            try:
                self._write(piece)
            finally:
                digested.result()
        self.size += len(piece)

    def _write(self, piece: memoryview) -> None:
        while piece:
            piece = piece[os.write(self._descriptor, piece) :]
