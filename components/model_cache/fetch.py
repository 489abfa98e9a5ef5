"""Brings content onto a shelf by parallel ranges, digested while it is written.

A partial file is written in order, so its length is how far it has come. What is found is digested
again before more is fetched; when the end is wrong, what was found may be what is wrong, as after a
power cut, or what peers gave, and the content is fetched once from its beginning, from the registry
alone, before that is blamed.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from components.model_cache.neighbours import Neighbour
from components.model_cache.shelf import Shelf
from components.model_cache.source import Source
from components.model_registry.checked import check_content
from components.model_registry.errors import Corrupt
from components.model_registry.growing import Growing
from components.model_registry.manifest import ManifestFile

DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_OWN: Final = 0o600
_READABLE: Final = 0o444  # pods read; nobody writes what is verified


class Fetch:
    """Content of one project on its way to its shelf. For several threads, each its own content."""

    def __init__(self, source: Source, shelf: Shelf) -> None:
        self._source = source
        self._shelf = shelf

    def bring(self, file: ManifestFile) -> None:
        """Put a file's content among the blobs, unless it is there.

        Raises Corrupt when the registry has other content, which is then in quarantine; other
        RegistryErrors and OSErrors leave what can be continued.
        """
        blob = self._shelf.blob(file.sha256)
        if blob.exists():
            return
        partial = self._shelf.partial(file.sha256)
        try:
            self._fetch(file, partial)
        except Corrupt:
            quarantine(self._shelf, file.sha256)
            raise
        # Only now may other versions link it. The directory is synced when a version is published.
        os.rename(partial, blob)

    def _fetch(self, file: ManifestFile, partial: Path) -> None:
        is_known = _size(partial) >= 0
        if is_known:
            os.chmod(partial, _OWN)  # closed already, when we were killed right before the rename
        givers: set[Neighbour] = set()
        try:
            return _append(file, partial, lambda start: self._source.near(file, start, givers))
        except Corrupt:
            if not (is_known or givers):
                raise
        self._source.blame(givers)
        partial.unlink()
        return _append(file, partial, lambda start: self._source.far(file, start))


def _append(file: ManifestFile, path: Path, read: Callable[[int], Iterator[memoryview]]) -> None:
    """Write what is missing; then it is a file's content, on the disk, and closed to writers."""
    out = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _OWN)
    try:
        with Growing(out) as grown:
            for piece in read(grown.size):
                grown.add(piece)
        check_content(grown.sha256, file)
        os.fchmod(out, _READABLE)
        os.fsync(out)
    finally:
        os.close(out)


def quarantine(shelf: Shelf, sha256: str) -> None:
    """Set wrong content aside for who asks why; the last one only, since it counts as used."""
    folder = shelf.hidden / "quarantine"
    partial = shelf.partial(sha256)
    if _size(partial) == 0:  # nothing came: its size was wrong already
        partial.unlink()
    elif partial.exists():
        empty_quarantine(shelf)
        os.rename(partial, folder / sha256)


def empty_quarantine(shelf: Shelf) -> None:
    """Make room."""
    for path in (shelf.hidden / "quarantine").iterdir():
        path.unlink()


def missing_bytes(shelf: Shelf, files: dict[str, ManifestFile]) -> int:
    """What is still to be written of this content."""
    # In this order, so that what is renamed in between counts as there.
    begun = {row.name: max(_size(Path(row.path)), 0) for row in shelf.partials()}
    there = {row.name for row in shelf.blobs()}
    return sum(
        file.size - min(file.size, begun.get(sha256, 0))
        for sha256, file in files.items()
        if sha256 not in there
    )


def free_bytes(shelf: Shelf) -> int:
    """What the file system has left."""
    return shutil.disk_usage(shelf.hidden).free


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
