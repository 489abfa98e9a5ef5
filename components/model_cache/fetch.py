"""Brings content onto a shelf by parallel ranges, digested while it is written.

A partial file is written in order, so its length is how far it has come. What is found is digested
again before more is fetched. Peers are asked first, and stopped where they are found wrong: at a
content's end, and before at each PREFIX_BYTES where the registry says what has to be there. What
came since it was last right is then fetched from the registry. When the end is wrong nevertheless,
what was found may be what is wrong, as after a power cut, and the content is fetched once from its
beginning, from the registry alone, before that is blamed.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from components.model_cache.neighbours import Neighbour
from components.model_cache.shelf import Shelf
from components.model_cache.source import Source
from components.model_registry.checked import check_content
from components.model_registry.errors import Corrupt
from components.model_registry.growing import Growing
from components.model_registry.manifest import ManifestFile
from components.model_registry.prefixes import PREFIX_BYTES

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
            return self._append(file, partial, lambda grown: self._by_peers(file, grown, givers))
        except Corrupt:
            if not (is_known or givers):
                raise
        self._source.blame(givers)
        partial.unlink()
        return self._append(file, partial, lambda grown: None)

    def _by_peers(self, file: ManifestFile, grown: Growing, givers: set[Neighbour]) -> None:
        """Add what peers give; `givers` are then those who gave what is not yet known to be right.

        A peer that is found wrong, here or by another thread, costs PREFIX_BYTES at most.
        """
        right: Sequence[str] | None = None
        with closing(self._source.near(file, grown.size)) as near:
            for giver, piece in near:
                givers.add(giver)
                grown.add(piece)
                right = self._source.prefixes(file) if right is None else right
                expected = _expected(file, right, grown.size)
                if expected and expected == grown.sha256:
                    givers.clear()
                    grown.mark()
                elif expected or self._source.has_lied(giver):  # the latter to another thread
                    break
            else:
                return
        self._source.blame(givers)
        givers.clear()
        grown.rewind()

    def _append(self, file: ManifestFile, path: Path, begin: Callable[[Growing], None]) -> None:
        """Write what is missing, what `begin` does not from the registry; then it is a file's
        content, on the disk, and closed to writers."""
        out = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _OWN)
        try:
            with Growing(out) as grown:
                begin(grown)
                for piece in self._source.far(file, grown.size):
                    grown.add(piece)
            _close(file, out, grown.sha256)
        finally:
            os.close(out)


def _expected(file: ManifestFile, right: Sequence[str], size: int) -> str:
    """The digest of a content's first `size` bytes, empty where nobody says."""
    if size == file.size:
        return file.sha256
    at, rest = divmod(size, PREFIX_BYTES)
    return right[at - 1] if right and at and not rest else ""


def _close(file: ManifestFile, out: int, sha256: str) -> None:
    check_content(sha256, file)
    os.fchmod(out, _READABLE)
    os.fsync(out)


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
