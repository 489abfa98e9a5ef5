"""Brings content onto a shelf by parallel ranges, digested while it is written.

A partial file is written in order, so its length is how far it has come. What is found is digested
again before more is fetched; when the end is wrong, what was found may be what is wrong, as after a
power cut, and the content is fetched once from its beginning before the registry is blamed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from components.model_cache.shelf import Shelf
from components.model_registry import keys
from components.model_registry.checked import check_content, check_size
from components.model_registry.errors import Corrupt
from components.model_registry.manifest import ManifestFile
from components.model_registry.ranges import Ranges
from components.model_registry.store import Store

Counted = Callable[[int], None]
"""Is told the number of bytes that were fetched since it was last told, by any thread."""
DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_READ_BYTES: Final = 1024 * 1024
_OWN: Final = 0o600
_READABLE: Final = 0o444  # pods read; nobody writes what is verified


class Fetch:
    """Content of one project on its way to its shelf. For several threads, each its own content."""

    def __init__(
        self, store: Store, ranges: Ranges, project: str, shelf: Shelf, counted: Counted
    ) -> None:
        """From `project` of `store`, by `ranges` of it."""
        self._store = store
        self._ranges = ranges
        self._project = project
        self._shelf = shelf
        self._counted = counted

    def bring(self, file: ManifestFile) -> None:
        """Put a file's content among the blobs, unless it is there.

        Raises Corrupt when the registry has other content, which is then in quarantine; other
        RegistryErrors and OSErrors leave what can be continued.
        """
        if self._shelf.blob(file.sha256).exists():
            return
        try:
            check_size(self._store, self._project, file)
            self._fetch(file)
        except Corrupt:
            quarantine(self._shelf, file.sha256)
            raise

    def _fetch(self, file: ManifestFile) -> None:
        partial = self._shelf.partial(file.sha256)
        if _size(partial) >= 0:
            os.chmod(partial, _OWN)  # closed already, when we were killed right before the rename
            try:
                return self._append(file, partial)
            except Corrupt:
                partial.unlink()
        return self._append(file, partial)

    def _append(self, file: ManifestFile, partial: Path) -> None:
        whole = hashlib.sha256()
        out = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _OWN)
        try:
            found = _digest(out, whole)
            for piece in self._ranges.read(keys.blob(self._project, file.sha256), found, file.size):
                _write(out, piece)
                whole.update(piece)
                self._counted(len(piece))
            check_content(whole.hexdigest(), file)
            os.fchmod(out, _READABLE)
            os.fsync(out)
        finally:
            os.close(out)
        # Only now may other versions link it. The directory is synced when a version is published.
        os.rename(partial, self._shelf.blob(file.sha256))


def quarantine(shelf: Shelf, sha256: str) -> None:
    """Set wrong content aside for who asks why; the last one only, since it counts as used."""
    folder = shelf.hidden / "quarantine"
    partial = shelf.partial(sha256)
    if partial.exists():
        empty_quarantine(shelf)
        os.rename(partial, folder / sha256)


def empty_quarantine(shelf: Shelf) -> None:
    """Make room."""
    for path in (shelf.hidden / "quarantine").iterdir():
        path.unlink()


def missing_bytes(shelf: Shelf, files: dict[str, ManifestFile]) -> int:
    """What is still to be written of this content."""
    return sum(
        file.size - min(file.size, max(_size(shelf.partial(sha256)), 0))
        for sha256, file in files.items()
        if not shelf.blob(sha256).exists()
    )


def free_bytes(shelf: Shelf) -> int:
    """What the file system has left."""
    return shutil.disk_usage(shelf.hidden).free


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _digest(descriptor: int, whole: hashlib._Hash) -> int:
    length = 0
    while piece := os.read(descriptor, _READ_BYTES):
        whole.update(piece)
        length += len(piece)
    return length


def _write(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]
