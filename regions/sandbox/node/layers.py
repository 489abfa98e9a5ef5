"""Layers of Python packages and files of ours, made once for the same of both."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shutil
import sys
import tarfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from regions.sandbox.layout import ROOT
from regions.sandbox.node.images import EPOCH, made_once, run
from regions.sandbox.toolchain import Say

_PYTHON: Final = "3.11"
"""Of the base's Debian."""
PACKAGES: Final = f"usr/local/lib/python{_PYTHON}/dist-packages"
"""Where that looks for packages."""
_FORM: Final = 3
"""Goes up where layers of the same packages are made otherwise; 3 without the packages' tests."""
_INSTALL_SECONDS: Final = 900


def pins_of(names: Collection[str]) -> str:
    """The lines of the project's own pins, with their hashes, of packages."""
    is_wanted, lines = False, []
    for line in (ROOT / "requirements.txt").read_text().splitlines(keepends=True):
        if found := re.match(r"([a-z0-9-]+)==", line):
            is_wanted = found[1] in names
        if is_wanted:
            lines.append(line)
    return "".join(lines)


def packages_layer(
    name: str, pins: str, more: Sequence[tuple[tarfile.TarInfo, bytes]], say: Say
) -> Path:
    """The packages of `pins`, and the entries `more`, as a layer for the base's Python.

    Raises SandboxError where the packages are not to be had.
    """
    told = hashlib.sha256(f"{_FORM}\n{pins}".encode())
    for entry, body in more:
        told.update(f"{entry.name} {entry.mode} {entry.uid}".encode() + body)
    with made_once(f"{name}-{told.hexdigest()[:16]}.tar.gz") as (layer, partial):
        if partial:
            say(f"making the image of {name} (about 1 min)")
            _pack(partial, pins, more)
    return layer


def _pack(partial: Path, pins: str, more: Sequence[tuple[tarfile.TarInfo, bytes]]) -> None:
    packages = partial.with_name("packages")
    _install(partial.parent, pins, packages)
    # Compressed once here, and not at every push; without the time that `gzip` notes.
    with (
        partial.open("wb") as file,
        gzip.GzipFile("", "wb", 1, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as stream,
    ):
        stream.add(packages, PACKAGES, filter=_fixed)
        for entry, body in more:
            entry.size, entry.mtime = len(body), int(EPOCH)
            stream.addfile(entry, io.BytesIO(body))


def _install(folder: Path, pins: str, packages: Path) -> None:
    """Install wheels for the images' Python, and compile them: their file system is read-only."""
    listed = folder / "requirements.txt"
    listed.write_text(pins)
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-compile")
    held = ("--no-deps", "--require-hashes", "--only-binary=:all:", f"--python-version={_PYTHON}")
    target = (f"--target={packages}", "-r", str(listed))
    run([sys.executable, "-m", "pip", "install", *quiet, *held, *target], {}, _INSTALL_SECONDS)
    # A third of the files, which every machine would unpack and no program imports.
    for tests in list(packages.glob("**/tests")):
        shutil.rmtree(tests)
    # Only the Python that compiles reads what it has compiled; another one compiles as it imports.
    hashed = ("-q", "--invalidation-mode=unchecked-hash", "-s", str(packages), str(packages))
    run([sys.executable, "-m", "compileall", *hashed], {}, _INSTALL_SECONDS)


def _fixed(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same entry whoever makes it, and whenever."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    entry.mtime = int(EPOCH)
    return entry
