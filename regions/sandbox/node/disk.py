"""A machine's own disk: an ext4 file system in a sparse file, which the machine mounts itself.

It is mounted through a loop device in the machine's mount namespace (init.py), so the host's mount
table never has it. The kernel lets go of the device with that namespace.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.node.packages import environment

_DEVICES: Final = Path("/sys/block")
_RELEASE_SECONDS: Final = 10.0


def make(image: Path, size_gib: int) -> None:
    """Make the file and its file system, unless they are there in that size.

    Raises SandboxError where the file system cannot be made.
    """
    size = size_gib << 30
    if image.exists() and image.stat().st_size == size:
        return
    begun = image.with_suffix(".new")  # what a kill leaves is no disk
    with begun.open("wb") as stream:
        stream.truncate(size)
    words = ("mkfs.ext4", "-q", "-F", str(begun))
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SandboxError(f"`{' '.join(words)}` failed: {done.stderr.strip()}")
    begun.rename(image)


def await_release(image: Path) -> None:
    """Return when no loop device has the file any more; the machine's processes must have ended.

    Raises SandboxError naming the device that stays.
    """
    deadline = time.monotonic() + _RELEASE_SECONDS
    while devices := devices_of(image):
        if time.monotonic() > deadline:
            names = ", ".join(devices)
            raise SandboxError(f"{image} is still mounted; `losetup --detach` these: {names}")
        time.sleep(0.02)


def devices_of(image: Path) -> list[str]:
    """The loop devices that have the file."""
    wanted, found = str(image.resolve()), []
    for told in _DEVICES.glob("loop*/loop/backing_file"):
        try:
            file = told.read_text().strip()
        except OSError:  # it was let go meanwhile
            continue
        if file.removesuffix(" (deleted)") == wanted:
            found.append(f"/dev/{told.parent.parent.name}")
    return found
