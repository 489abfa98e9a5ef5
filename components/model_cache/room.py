"""One project's models on the disk: what is there, what is in use, and what nothing needs."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.model_cache.choice import Row
from components.model_cache.evict import Held
from components.model_cache.keep import Library
from components.model_cache.notices import take_down
from components.model_cache.publish import drop, sweep, sweep_leavings, withdraw
from components.model_cache.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Place:
    """One project's shelf on the node, its manifests, and by digest what the node is told of.

    `is_told` says whether the project's pods on the node are known.
    """

    project: str
    shelf: Shelf
    library: Library
    listed: Mapping[str, Row]
    is_told: bool

    def tidy(self) -> None:
        """Note since when versions are unlisted, and remove what nothing needs."""
        self.shelf.prepare()
        for digest in self.shelf.versions():
            mark = self.shelf.unlisted(digest)
            if digest in self.listed:
                mark.unlink(missing_ok=True)
            elif not mark.exists():
                mark.touch()
        for digest in self.shelf.notices():
            if digest not in self._comes():
                take_down(self.shelf, digest)
        self.shelf.forget_all_but({*self.listed, *self.shelf.versions()})
        self.sweep()

    def sweep(self) -> None:
        """Remove all content that is neither of a version nor of one that comes.

        Content of one that comes and whose manifest is not read yet cannot be told from such.
        """
        sweep_leavings(self.shelf)
        comes = self._comes()
        if all(self.library.known(digest) for digest in comes):
            sweep(self.shelf, {sha for d in comes for sha in self.library.content_of(d)})

    def withdraw(self, gone: Held) -> None:
        """Remove a version, and the content that neither another one nor what comes has."""
        withdraw(self.shelf, gone.digest)
        comes = {sha for digest in self._comes() for sha in self.library.content_of(digest)}
        drop(self.shelf, gone.content.keys() - comes)

    def _comes(self) -> set[str]:
        """What is to be held and is not there."""
        wanted = {digest for digest, row in self.listed.items() if row.is_held}
        return wanted - set(self.shelf.versions())

    def held(self) -> Iterator[Held]:
        """What is on the shelf, and what comes: content is theirs already."""
        now = time.time()
        there = set(self.shelf.versions())
        for digest in sorted(there | self._comes()):
            row, mark = self.listed.get(digest), self.shelf.unlisted(digest)
            since = mark.stat().st_mtime if mark.exists() else now
            age = 0.0 if row else now - since
            yield Held(
                project=self.project,
                digest=digest,
                row=row,
                is_there=digest in there,
                is_told=self.is_told,
                in_use=(row is None or row.may_yield) and in_use(self.shelf.version(digest)),
                unlisted_seconds=age,
                content={s: f.size for s, f in self.library.content_of(digest).items()},
            )


def in_use(version: Path) -> bool:
    """Whether any process of the node has a file of it open or mapped, in whatever container.

    Mounts of other containers cannot be seen from this one, but the kernel grants a write lease on
    a file only while nobody else has it open. Where it has no leases, everything is in use.
    """
    return any(
        _is_open(os.path.join(folder, name))
        for folder, _, names in os.walk(version)
        for name in names
    )


def _is_open(path: str) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EINVAL, errno.EPERM):
            return True
        raise
    else:
        return False
    finally:
        os.close(descriptor)
