"""Lets a version appear by one rename, and disappear by one.

Visible means verified: a version's tree is made of links to verified blobs, out of sight, and is on
the disk before its name is. Whoever kills the agent at any point leaves all of it or nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from components.model_cache.shelf import Shelf
from components.model_registry.manifest import Manifest

_CLOSED: Final = 0o555
_OPEN: Final = 0o755


def sync(folder: Path) -> None:
    """Have a directory's names on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(shelf: Shelf, path: Path, data: bytes) -> None:
    """Write a small file of a shelf at once or not at all."""
    new = shelf.hidden / "new" / path.name
    with open(new, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    os.rename(new, path)


def publish(shelf: Shelf, digest: str, manifest: Manifest) -> None:
    """Let a version appear, of which every blob is on the shelf."""
    tree = shelf.hidden / "trees" / digest
    _remove(tree)
    tree.mkdir()
    paths = [f"{tree}/{file.path}" for file in manifest.files]
    for folder in sorted(set(map(os.path.dirname, paths))):
        os.makedirs(folder, exist_ok=True)
    for file, path in zip(manifest.files, paths, strict=True):
        os.link(shelf.blob(file.sha256), path)
    for folder, _, _ in os.walk(tree, topdown=False):
        if folder != str(tree):  # a directory that nobody may write cannot be moved, even by root
            os.chmod(folder, _CLOSED)
        sync(Path(folder))
    sync(shelf.hidden / "blobs")
    os.rename(tree, shelf.version(digest))
    os.chmod(shelf.version(digest), _CLOSED)
    sync(shelf.visible)


def withdraw(shelf: Shelf, digest: str) -> None:
    """Let a version disappear; its content goes with the next `sweep` unless others have it."""
    grave = shelf.hidden / "trash" / digest
    _remove(grave)
    os.chmod(shelf.version(digest), _OPEN)
    os.rename(shelf.version(digest), grave)
    sync(shelf.visible)
    _remove(grave)
    for known in (shelf.manifest(digest), shelf.name(digest), shelf.unlisted(digest)):
        known.unlink(missing_ok=True)


def is_whole(shelf: Shelf, digest: str, manifest: Manifest) -> bool:
    """Whether a visible version still has all files in their sizes."""
    top = shelf.version(digest)
    try:
        return all((top / f.path).stat().st_size == f.size for f in manifest.files)
    except OSError:
        return False


def sweep_leavings(shelf: Shelf) -> None:
    """Remove the half-made and half-removed trees of an agent that was killed."""
    for name in ("new", "trees", "trash"):
        for left in (shelf.hidden / name).iterdir():
            _remove(left)


def sweep(shelf: Shelf, needed: Collection[str]) -> None:
    """Remove content that is in no version and not `needed`."""
    for row in shelf.blobs():
        if row.name not in needed and row.stat().st_nlink == 1:
            os.unlink(row.path)
    for row in shelf.partials():
        if row.name not in needed:
            os.unlink(row.path)


def drop(shelf: Shelf, content: Iterable[str]) -> None:
    """Remove what of this content no version has."""
    for sha256 in content:
        blob = shelf.blob(sha256)
        if blob.exists() and blob.stat().st_nlink == 1:
            blob.unlink()


def _remove(path: Path) -> None:
    """Remove a file or a tree, whose directories may be closed."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        os.chmod(folder, _OPEN)
    shutil.rmtree(path)
