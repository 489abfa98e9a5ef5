"""One part of a local file, as a stream where an upload's memory would grow with its parts."""

from __future__ import annotations

import io
import os
import zlib
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from components.model_registry.local_files import PART_BYTES, LocalFile, changed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class PartStream(io.RawIOBase):
    """Part `index` (from 0) of a file; reading past bytes that were not digested raises."""

    def __init__(self, file: LocalFile, index: int) -> None:
        super().__init__()
        self._file = file
        self._start = index * file.part_bytes
        self._length = file.part_length(index)
        self._expected = file.crcs[index] if file.crcs else 0
        self._at = 0
        self._crc: int | None = 0  # of all bytes up to `_at`; None after a jump
        self._descriptor = os.open(file.source, os.O_RDONLY)

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always: a request that failed is sent again."""
        return True

    def tell(self) -> int:
        """The place in the part."""
        return self._at

    def seek(self, offset: int, *whence: int) -> int:
        """Go to a place in the part, counted from its start unless `whence` says otherwise."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}
        to = bases[whence[0] if whence else os.SEEK_SET] + offset
        if to != self._at:
            self._crc = 0 if to == 0 else None
        self._at = to
        return to

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read on; at the part's end its CRC32 must be what it was when the file was digested."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._length - self._at)
        if wanted <= 0:
            return 0
        read = os.preadv(self._descriptor, [view[:wanted]], self._start + self._at)
        if read == 0:
            raise changed(self._file.source)
        self._at += read
        if self._crc is not None:
            self._crc = zlib.crc32(view[:read], self._crc)
            if self._at == self._length and self._crc != self._expected:
                raise changed(self._file.source)
        return read

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def body(file: LocalFile, index: int) -> AbstractContextManager[bytearray | PartStream]:
    """What the SDK sends for a part: all of it, unless the file is so large that its parts are.

    A stream it reads twice, and sends in pieces of 16 KiB.
    """
    if file.part_bytes > PART_BYTES:
        return PartStream(file, index)
    data = bytearray(file.part_length(index))
    _read(file, index, memoryview(data))
    return nullcontext(data)


def whole(file: LocalFile) -> bytes | bytearray:
    """All of a small file, which must be what was digested."""
    if file.kept:
        return file.kept
    data = bytearray(file.size)
    for index in range(len(file.crcs)):
        _read(file, index, memoryview(data)[index * file.part_bytes :])
    return data


def _read(file: LocalFile, index: int, into: memoryview) -> None:
    left = into[: file.part_length(index)]
    with PartStream(file, index) as part:
        while left:
            left = left[part.readinto(left) :]
