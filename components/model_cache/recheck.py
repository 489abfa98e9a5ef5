"""Reads what stands on the disk again, slowly, and finds what is no longer what it was.

A disk that flips a bit says nothing of it, and a model with a wrong weight answers all the same.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.model_cache.shelf import Shelf, on_node

EVERY_SECONDS: Final = 7 * 86_400.0
PACE_BYTES_PER_SECOND: Final = 20 * 1024 * 1024
"""12 TB in a week, and hardly anything of what a node's disk gives its pods."""
IDLE_SECONDS: Final = 600.0
"""Between looks whether something is due."""
_PIECE_BYTES: Final = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True, order=True)
class _Due:
    checked: float
    file: tuple[int, int]
    """Inode and age: a number is given again when its file is gone."""
    project: str
    sha256: str
    shelf: Shelf


class Recheck:
    """One content after the other, each once in a while; has a thread of its own."""

    def __init__(
        self,
        root: Path,
        condemn: Callable[[str, str], None],
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """Of all projects below `root`; `condemn` hears the project and the SHA-256 of what is
        wrong. `now` is the clock by which files are dated."""
        self._root = root
        self._condemn = condemn
        self._now = now
        self._sleep = sleep
        self._told: set[tuple[int, int]] = set()
        """Which files are wrong: told once, and after a restart once more."""

    def run(self) -> None:
        """Go on for ever."""
        while True:
            with suppress(OSError):  # of the disk as a whole; whoever fetches tells of it
                while self.step():
                    pass
            self._sleep(IDLE_SECONDS)

    def step(self) -> bool:
        """Check what waits the longest; whether anything was due."""
        due = min(self._all_due(), default=None)
        if due is None:
            return False
        mark = due.shelf.checked(due.sha256)
        if self._is_right(due.shelf.blob(due.sha256), due.sha256):
            mark.touch()
            os.utime(mark, (self._now(), self._now()))
        else:
            self._told.add(due.file)
            self._condemn(due.project, due.sha256)
        return True

    def _all_due(self) -> Iterator[_Due]:
        for project, shelf in on_node(self._root).items():
            shelf.prepare()
            there = {row.name: row.stat() for row in shelf.blobs()}
            last = {sha256: found.st_mtime for sha256, found in there.items()}
            for mark in shelf.marks():
                if mark.name in there:
                    last[mark.name] = max(last[mark.name], mark.stat().st_mtime)
                else:
                    os.unlink(mark.path)
            for sha256, checked in last.items():
                file = there[sha256].st_ino, there[sha256].st_mtime_ns
                if self._now() - checked >= EVERY_SECONDS and file not in self._told:
                    yield _Due(checked, file, project, sha256, shelf)

    def _is_right(self, blob: Path, sha256: str) -> bool:
        """Whether the content is what it is called; what makes room meanwhile is no matter."""
        whole, length = hashlib.sha256(), 0
        try:
            # Opened for each piece: what is open counts as in use, and may not make room.
            while piece := _piece(blob, length):
                whole.update(piece)
                length += len(piece)
                self._sleep(len(piece) / PACE_BYTES_PER_SECOND)
        except FileNotFoundError:
            return True
        except OSError:  # the disk itself says that it cannot read this
            return False
        return whole.hexdigest() == sha256


def _piece(blob: Path, start: int) -> bytes:
    descriptor = os.open(blob, os.O_RDONLY | os.O_CLOEXEC)
    try:
        piece = os.pread(descriptor, _PIECE_BYTES, start)
        os.posix_fadvise(descriptor, start, len(piece), os.POSIX_FADV_DONTNEED)
        return piece
    finally:
        os.close(descriptor)
