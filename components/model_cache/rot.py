"""Takes away content that is no longer what it is called, and the versions that have it.

A version whose files a process has open stays until it has none open: whoever loaded the content
has it already, and to take it away would end a server for what a restart mends. It is neither
given to peers nor linked into another version from then on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

from components.model_cache.fetch import empty_quarantine
from components.model_cache.publish import withdraw
from components.model_cache.room import Place, in_use
from components.model_cache.shelf import Shelf, of_project

_log = logging.getLogger("cache")


class Condemned:
    """What was found wrong, by whatever thread, until the holder comes to it."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def add(self, project: str, sha256: str) -> None:
        """The project's content of this name is no longer right."""
        self._waiting.put((project, sha256))

    def set_aside(self, root: Path) -> list[str]:
        """Set all of it aside below the node's root; the project of each."""
        projects = []
        while not self._waiting.empty():
            project, sha256 = self._waiting.get()
            _set_aside(of_project(root, project), sha256)
            projects.append(project)
        return projects


def _set_aside(shelf: Shelf, sha256: str) -> None:
    """Move a content out of the way of all that is to come, and note that versions have it."""
    shelf.rotten(sha256).touch()
    if shelf.blob(sha256).exists():
        empty_quarantine(shelf)
        os.rename(shelf.blob(sha256), shelf.hidden / "quarantine" / sha256)


def clear(place: Place) -> int:
    """Withdraw the versions that have such content; how many stay since they are in use."""
    staying = 0
    for mark in place.shelf.rots():
        bad = list(_with(place, mark.name))
        for digest in bad:
            if in_use(place.shelf.version(digest)):
                staying += 1
                continue
            words = "%s/%s has rotten content and is fetched anew"
            _log.error(words, place.project, digest, extra={"event": "ContentRotten"})
            withdraw(place.shelf, digest)
            place.library.forget(digest)
        if not any(place.shelf.version(digest).exists() for digest in bad):
            os.unlink(mark.path)
    return staying


def _with(place: Place, sha256: str) -> Iterator[str]:
    """The visible versions that have this very copy of a content, and not one that came later."""
    good = _inode(place.shelf.blob(sha256))
    for digest in place.shelf.versions():
        manifest = place.library.known(digest)
        for file in manifest.files if manifest else ():
            if file.sha256 == sha256:
                if _inode(place.shelf.version(digest) / file.path) != good:
                    yield digest
                break


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0
