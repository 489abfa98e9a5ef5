"""The parent of all control groups of one machine, in which its kubelet keeps those of its pods."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_REMOVAL_SECONDS: Final = 5.0


def make(name: str) -> None:
    """Make the parent in every hierarchy of the host (one with cgroup v2)."""
    for hierarchy in _hierarchies():
        folder = hierarchy / name
        folder.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            # A new group of cgroup v1 has no processors and no memory until it is told.
            if (folder / setting).exists() and not (folder / setting).read_text().strip():
                (folder / setting).write_text((hierarchy / setting).read_text())


def remove(name: str) -> int:
    """Remove the parent and all below; how many groups. Their processes must have ended."""
    folders = [
        folder
        for hierarchy in _hierarchies()
        for folder in (*(hierarchy / name).glob("**/"), hierarchy / name)
    ]
    removed = 0
    for folder in sorted(set(folders), key=lambda one: len(one.parts), reverse=True):
        removed += _remove(folder)
    return removed


def _remove(folder: Path) -> bool:
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while folder.exists():
        # A group is busy for a moment after its last process has ended.
        with contextlib.suppress(OSError):
            folder.rmdir()
            return True
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return False


def _hierarchies() -> Iterator[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        yield _ROOT
        return
    for folder in _ROOT.iterdir():
        # Hierarchies of the same controllers are links to one folder.
        if folder.is_dir() and not folder.is_symlink():
            yield folder
