"""One project's models on the disk: what is there, what is in use, and what nothing needs."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.model_cache.evict import GRACE_SECONDS, Held
from components.model_cache.keep import Library
from components.model_cache.notices import take_down
from components.model_cache.publish import sweep, sweep_leavings
from components.model_cache.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Place:
    """One project's shelf on the node, its manifests, and the digests that the node is told of."""

    project: str
    shelf: Shelf
    library: Library
    listed: Collection[str]

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
            if digest not in self.listed:
                take_down(self.shelf, digest)
        self.shelf.forget_all_but({*self.listed, *self.shelf.versions()})
        self.sweep()

    def sweep(self) -> None:
        """Remove all content that neither a version nor the list has.

        Content of a listed version whose manifest is not read yet cannot be told from such.
        """
        sweep_leavings(self.shelf)
        comes = set(self.listed) - set(self.shelf.versions())
        if all(self.library.known(digest) for digest in comes):
            sweep(self.shelf, {sha for d in comes for sha in self.library.content_of(d)})

    def held(self) -> Iterator[Held]:
        """What is on the shelf, and listed versions that come: content is theirs already."""
        now = time.time()
        for digest in sorted({*self.shelf.versions(), *self.listed}):
            listed, mark = digest in self.listed, self.shelf.unlisted(digest)
            since = mark.stat().st_mtime if mark.exists() else now
            age = 0.0 if listed else now - since
            yield Held(
                project=self.project,
                digest=digest,
                listed=listed,
                in_use=age >= GRACE_SECONDS and in_use(self.shelf.version(digest)),
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
