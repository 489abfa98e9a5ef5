"""Which paths a model's files may have, on whatever system they are written."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any, Final

PARTIAL: Final = ".isoserve-partial"
"""Where a client keeps unfinished files beside finished ones; no model has a file in it."""
MAX_PATH_BYTES, MAX_NAME_BYTES = 1024, 255  # as file systems have it
MAX_DEPTH: Final = 16
"""Names of a path. Every file asks for all directories above it, each an inode of a node's disk."""
MAX_DIRECTORIES: Final = 2_000


class ManifestError(ValueError):
    """These bytes are no manifest that may be acted on; the text says why."""


def check_path(path: Any) -> None:
    """Raise ManifestError unless `path` names a file below a directory, on any system."""
    if not isinstance(path, str) or not path:
        raise ManifestError(f"a path is a text, got {path!r:.40}")
    told = ascii(path)[:80]
    if not path.isprintable() or "\\" in path or unicodedata.normalize("NFC", path) != path:
        raise ManifestError(f"{told}: control characters, a backslash, or not in Unicode form NFC")
    names = path.split("/")
    if any(name in ("", ".", "..") for name in names) or names[0].casefold() == PARTIAL:
        raise ManifestError(f"{told}: not a plain relative path")
    too_long = any(len(name.encode()) > MAX_NAME_BYTES for name in names)
    if too_long or len(path.encode()) > MAX_PATH_BYTES:
        raise ManifestError(f"{told}: longer than file systems allow")
    if len(names) > MAX_DEPTH:
        raise ManifestError(f"{told}: deeper than {MAX_DEPTH} names, got {len(names)}")


def check_places(paths: Iterable[str]) -> None:
    """Every path its own place, also where letter case is not told apart, and none in a file.

    Raises ManifestError, for too many directories too.
    """
    last = ""
    taken: set[str] = set()
    for path in paths:
        if path <= last:
            raise ManifestError(f"{ascii(path)[:80]}: paths are not in order, or one stands twice")
        last = path
        place = _folded(path)
        if place in taken:
            raise ManifestError(f"{ascii(path)[:80]}: differs from another path by case only")
        taken.add(place)
    directories = directories_of(taken)
    if both := sorted(directories & taken):
        raise ManifestError(f"{ascii(both[0])[:80]}: a file and a directory at once")
    if len(directories) > MAX_DIRECTORIES:
        raise ManifestError(f"more than {MAX_DIRECTORIES} directories, got {len(directories)}")


def directories_of(paths: Iterable[str]) -> set[str]:
    """Every directory that files of these paths stand in, below the model's own."""
    found: set[str] = set()
    for path in paths:
        above = path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path.casefold())
