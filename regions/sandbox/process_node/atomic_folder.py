"""A folder of files that changes all at once, as the kubelet writes a ConfigMap into a pod.

<folder>/<name>        -> ..data/<name>
<folder>/..data        -> ..<version>     swapped by one rename
<folder>/..<version>/<name>
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATA: Final = "..data"
_SWAP: Final = "..data_tmp"
_HIDDEN: Final = ".."


@dataclass(frozen=True, slots=True)
class File:
    """What a file is to hold, its mode, and its owner if that isn't who runs the node."""

    data: bytes
    mode: int
    owner: int | None


def write(folder: Path, files: Mapping[str, File], group: int | None) -> None:
    """Make the folder hold exactly these files, which `group` can read; unchanged ones stay."""
    readable = 0 if group is None else 0o440
    wanted = {path: File(f.data, f.mode | readable, f.owner) for path, f in files.items()}
    if (folder / DATA).is_symlink() and _present(folder) == {
        path: (file.data, file.mode) for path, file in wanted.items()
    }:
        return
    folder.mkdir(parents=True, exist_ok=True)
    hand_over(folder, 0o755, None, group)
    version = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=folder))
    hand_over(version, 0o755, None, group)
    for path, file in wanted.items():
        _write(version, path, file, group)
    _swap(folder, version)


def hand_over(path: Path, mode: int, owner: int | None, group: int | None) -> None:
    """Give a file or folder its mode and owners; what a folder of a group holds is the group's."""
    # An ordinary user can give nothing away, and is itself the user in all its containers.
    with contextlib.suppress(PermissionError):
        os.chown(path, -1 if owner is None else owner, -1 if group is None else group)
    inherited = 0o2000 if group is not None and path.is_dir() else 0
    path.chmod(mode | inherited)


def _present(folder: Path) -> dict[str, tuple[bytes, int]]:
    version = folder / DATA
    return {
        str(path.relative_to(version)): (path.read_bytes(), path.stat().st_mode & 0o7777)
        for path in version.rglob("*")
        if path.is_file()
    }


def _write(version: Path, path: str, file: File, group: int | None) -> None:
    place = version / path
    for parent in reversed(place.relative_to(version).parents[:-1]):
        (version / parent).mkdir(exist_ok=True)
        hand_over(version / parent, 0o755, None, group)
    place.write_bytes(file.data)
    hand_over(place, file.mode, file.owner, group)


def _swap(folder: Path, version: Path) -> None:
    swap = folder / _SWAP
    swap.unlink(missing_ok=True)
    swap.symlink_to(version.name)
    swap.replace(folder / DATA)
    names = set(os.listdir(version))
    shown = {path for path in folder.iterdir() if not path.name.startswith(_HIDDEN)}
    for name in names - {path.name for path in shown}:
        (folder / name).symlink_to(Path(DATA, name))
    for path in shown:
        if path.name not in names:
            path.unlink()
    for old in folder.glob(f"{_HIDDEN}*"):
        if old.name != DATA and old != version:
            shutil.rmtree(old)
