"""`python -m regions.sandbox.prometheus`: has Prometheus at hand, and promtool, its judge."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import BIN

PROGRAMS: Final = ("prometheus", "promtool")
"""What Debian's package `prometheus` holds that is used here."""

_HINT: Final = "install Prometheus, so that it and `promtool` are on PATH, and run this again"


def ensure() -> dict[str, Path]:
    """Each program's path: the user's, else the one unpacked from Debian's package.

    Unpacked into .isoserve/bin and not installed: the package would start a daemon, and ask for
    root. Raises SandboxError with what to do where a program is not to be had.
    """
    found = {program: find(program) for program in PROGRAMS}
    if None in found.values():
        _unpack([program for program, path in found.items() if path is None])
    return {program: path or BIN / program for program, path in found.items()}


def find(program: str) -> Path | None:
    """The user's program, else the unpacked one; None where there is neither."""
    users = shutil.which(program)
    if users:
        return Path(users)
    return BIN / program if (BIN / program).exists() else None


def _unpack(missing: list[str]) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        words = " and no ".join(missing)
        raise SandboxError(f"there is no {words}, and no Debian to get it from; {_HINT}")
    BIN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if not _download(folder):
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
            if not _download(folder):
                raise SandboxError(f"apt-get cannot download the package `prometheus`; {_HINT}")
        for package in Path(folder).glob("prometheus_*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), folder], check=False)
        for program in missing:
            # Two regions may want it at the same moment.
            if not (Path(folder) / "usr/bin" / program).exists():
                raise SandboxError(f"the package `prometheus` has no {program}; {_HINT}")
            partial = BIN / f"{program}.{Path(folder).name}"
            shutil.copy2(Path(folder) / "usr/bin" / program, partial)
            partial.rename(BIN / program)


def _download(folder: str) -> bool:
    argv = ["apt-get", "download", "prometheus"]
    return subprocess.run(argv, cwd=folder, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    try:
        for name, path in ensure().items():
            print(f"sandbox         {name:<14} {path}")
    except SandboxError as reason:
        sys.exit(f"sandbox: {reason}")
