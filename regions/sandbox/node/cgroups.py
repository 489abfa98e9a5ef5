"""The parent of all control groups of one machine, in which its kubelet keeps those of its pods."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from regions.sandbox.errors import SandboxError

_ROOT: Final = Path("/sys/fs/cgroup")
_NEEDED: Final = frozenset({"cpu", "cpuset", "hugetlb", "memory", "pids"})
"""Controllers of cgroup v2 that a kubelet wants below its root, of those that the kernel has
(kubernetes v1.36.1, pkg/kubelet/cm/cgroup_v2_manager_linux.go)."""
_REMOVAL_SECONDS: Final = 10.0


def make(name: str) -> None:
    """Make the parent in every hierarchy of the host (one with cgroup v2).

    Raises SandboxError where the host does not let it be.
    """
    try:
        for hierarchy in _hierarchies():
            _delegate(hierarchy)
            (hierarchy / name).mkdir(exist_ok=True)
            _give_processors(hierarchy, hierarchy / name)
    except OSError as reason:
        why = f"{reason.filename}: {reason.strerror}"
        raise SandboxError(f"a machine needs control groups of its own; {why}") from reason


def remove(name: str) -> None:
    """Remove the parent and all below; their processes must have ended.

    Raises SandboxError naming what stays.
    """
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while left := _below(name):
        for folder in left:
            # A group is busy for a moment after its last process has ended.
            with contextlib.suppress(OSError):
                folder.rmdir()
        if time.monotonic() > deadline and (left := _below(name)):
            raise SandboxError(f"control groups that cannot be removed: {left[-1]}")
        time.sleep(0.02)


def _below(name: str) -> list[Path]:
    """The groups of the machine, the deepest first."""
    parents = [hierarchy / name for hierarchy in _hierarchies() if (hierarchy / name).exists()]
    folders = {folder for parent in parents for folder in (parent, *parent.glob("**/"))}
    return sorted(folders, key=lambda one: len(one.parts), reverse=True)


def _delegate(hierarchy: Path) -> None:
    """With cgroup v2 a group has those controllers alone that its parent passes on."""
    control = hierarchy / "cgroup.subtree_control"
    if not control.exists() or hierarchy.name == "unified":
        return
    has = set((hierarchy / "cgroup.controllers").read_text().split())
    for controller in sorted(has & _NEEDED):
        with contextlib.suppress(OSError):
            control.write_text(f"+{controller}")
    lacks = (has & _NEEDED) - set(control.read_text().split())
    if lacks:
        names = ", ".join(sorted(lacks))
        raise SandboxError(f"the controllers {names} cannot be passed on below {hierarchy}")


def _give_processors(hierarchy: Path, folder: Path) -> None:
    """A new group of cgroup v1 has no processors and no memory until it is told."""
    for setting in ("cpuset.cpus", "cpuset.mems"):
        own, given = folder / setting, hierarchy / setting
        if own.exists() and given.exists() and not own.read_text().strip():
            own.write_text(given.read_text())


def _hierarchies() -> Iterator[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        yield _ROOT
        return
    for folder in _ROOT.iterdir():
        # Hierarchies of the same controllers are links to one folder.
        if folder.is_dir() and not folder.is_symlink():
            yield folder
