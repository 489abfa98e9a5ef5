"""Where one project's models stand on a disk: what its pods see, and what only the agent sees.

    <visible>/<digest>/...     a complete, verified version
    <visible>/<digest>.json    what is to be said of a version that is not there (notices.py)
    <hidden>/blobs/<sha256>    verified content, linked into every version that has it
    <hidden>/partials/<sha256> content on its way, written in order
    <hidden>/manifests/<digest>, names/<digest>, unlisted/<digest>    what is known of a version
    <hidden>/token             the project's token for peers (tokens.py)
    <hidden>/checked/<sha256>, rotten/<sha256>    when it was last right; what is not any more
    <hidden>/quarantine, new, trees, trash    wrong content; what comes; what goes

All of it is one file system, since links and renames do not leave one. Blobs are a project's own:
a manifest may name any digest, and must not get another tenant's content by it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HIDDEN: Final = ".isoserve"  # no project and no digest is called so
_POD: Final = "pod"
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_CONTENT: Final = ("blobs", "partials", "quarantine")
_KNOWLEDGE: Final = ("manifests", "names", "unlisted")
_FOLDERS: Final = (*_CONTENT, *_KNOWLEDGE, "checked", "new", "rotten", "trash", "trees")


def is_digest(text: str) -> bool:
    """Whether `text` is 64 lower-case hex digits."""
    return bool(_DIGEST.fullmatch(text))


@dataclass(frozen=True, slots=True)
class Shelf:
    """The two directories of one project."""

    visible: Path
    hidden: Path

    def prepare(self) -> None:
        """Make what is missing: a pod's volume needs the visible one before any model is there."""
        self.visible.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.hidden.parent.mkdir(mode=0o700, exist_ok=True)
        for name in _FOLDERS:
            (self.hidden / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def version(self, digest: str) -> Path:
        """The directory that is there when the version is complete."""
        return self.visible / digest

    def notice(self, digest: str) -> Path:
        """What pods are told of a version that is not there."""
        return self.visible / f"{digest}.json"

    def versions(self) -> list[str]:
        """The digests of all that pods can mount."""
        with os.scandir(self.visible) as rows:
            return sorted(row.name for row in rows if is_digest(row.name))

    def notices(self) -> list[str]:
        """The digests that something is said of."""
        names = (path.name.removesuffix(".json") for path in self.visible.glob("*.json"))
        return sorted(name for name in names if is_digest(name))

    def blob(self, sha256: str) -> Path:
        """Verified content."""
        return Path(f"{self.hidden}/blobs/{sha256}")  # in a third of the time that joining takes

    def partial(self, sha256: str) -> Path:
        """Content on its way."""
        return Path(f"{self.hidden}/partials/{sha256}")

    def manifest(self, digest: str) -> Path:
        """The manifest's bytes as they were read and checked."""
        return self.hidden / "manifests" / digest

    def name(self, digest: str) -> Path:
        """Holds the name of the model that a version is of."""
        return self.hidden / "names" / digest

    def unlisted(self, digest: str) -> Path:
        """A file as old as the time since when nobody has asked for the version."""
        return self.hidden / "unlisted" / digest

    def forget_all_but(self, digests: Collection[str]) -> None:
        """Remove what is known of other versions."""
        for name in _KNOWLEDGE:
            for row in _files(self.hidden / name):
                if row.name not in digests:
                    os.unlink(row.path)

    def checked(self, sha256: str) -> Path:
        """A file as old as the time when content on the disk was last found right."""
        return self.hidden / "checked" / sha256

    def marks(self) -> Iterator[os.DirEntry[str]]:
        """All of these."""
        return _files(self.hidden / "checked")

    def rotten(self, sha256: str) -> Path:
        """Says that versions may have wrong content of this name (rot.py)."""
        return self.hidden / "rotten" / sha256

    def rots(self) -> Iterator[os.DirEntry[str]]:
        """All of these."""
        return _files(self.hidden / "rotten")

    @property
    def token(self) -> Path:
        """By what other nodes' agents ask for the project's content, and are asked."""
        return self.hidden / "token"

    def used_bytes(self) -> int:
        """What all content takes, each once however many versions have it."""
        return sum(row.stat().st_size for name in _CONTENT for row in _files(self.hidden / name))

    def blobs(self) -> Iterator[os.DirEntry[str]]:
        """All verified content."""
        return _files(self.hidden / "blobs")

    def partials(self) -> Iterator[os.DirEntry[str]]:
        """All content on its way."""
        return _files(self.hidden / "partials")


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    with suppress(FileNotFoundError), os.scandir(folder) as rows:  # a shelf that is half made
        yield from rows


def of_project(root: Path, project: str) -> Shelf:
    """The project's shelf below the node's root."""
    return Shelf(root / project, root / HIDDEN / project)


def of_pod(root: Path) -> Shelf:
    """The shelf that is a pod's own volume."""
    return Shelf(root, root / HIDDEN / _POD)


def on_node(root: Path) -> dict[str, Shelf]:
    """The shelves of all projects that the node has ever held something of."""
    hidden = root / HIDDEN
    names = sorted(path.name for path in hidden.glob("*") if path.is_dir())
    return {name: of_project(root, name) for name in names if (root / name).is_dir()}
