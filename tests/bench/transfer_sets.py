"""The files that the transfer benchmark sends and fetches, and the proof that they have arrived."""

from __future__ import annotations

import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MIB: Final = 2**20
_CHUNK: Final = 4 * _MIB


@dataclass(frozen=True, slots=True)
class FileSet:
    """`files` of `file_bytes` each; the small ones take more `runs` for a steady median."""

    files: int
    file_bytes: int
    runs: int

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.files * self.file_bytes

    @property
    def name(self) -> str:
        """As in `200 x 10 MiB`."""
        number, unit = self.file_bytes, "B"
        for larger in ("KiB", "MiB", "GiB"):
            if number % 1024 == 0:
                number, unit = number // 1024, larger
        return f"{self.files} x {number} {unit}"

    def shrunk(self, factor: int) -> FileSet:
        """Fewer files, or a smaller one."""
        if self.files == 1:
            return FileSet(1, self.file_bytes // factor, self.runs)
        return FileSet(max(self.files // factor, 1), self.file_bytes, self.runs)


SETS: Final = (
    FileSet(1, 2 * 1024 * _MIB, 3),
    FileSet(200, 10 * _MIB, 3),
    FileSet(2000, 64 * 1024, 5),
)


def make(wanted: FileSet, folder: Path) -> dict[str, str]:
    """Write random files, which nothing can compress; their SHA-256 by name.

    `sha256sum -c` reads the same from `folder`.sums.
    """
    folder.mkdir(parents=True)
    for number in range(wanted.files):
        with open(folder / f"{number:05}.bin", "wb") as out:
            for start in range(0, wanted.file_bytes, _CHUNK):
                out.write(os.urandom(min(_CHUNK, wanted.file_bytes - start)))
    listed = subprocess.run(
        ["sha256sum", *sorted(path.name for path in folder.iterdir())],
        cwd=folder, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    folder.with_suffix(".sums").write_text(listed)
    return {name: sha256 for sha256, name in map(str.split, listed.splitlines())}


def prove(folder: Path, expected: dict[str, str]) -> None:
    """Raise RuntimeError unless `folder` holds these files and no others that are visible."""
    names = [path for path in folder.iterdir() if not path.name.startswith(".")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip((path.name for path in names), pool.map(_digest, names), strict=True))
    if found != expected:
        wrong = {name for name in found | expected if found.get(name) != expected.get(name)}
        raise RuntimeError(f"{folder}: {len(wrong)} files did not arrive as they were sent")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
