"""`python -m regions.sandbox.promtool`: has promtool at hand, which judges the rendered rules."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from regions.sandbox.layout import BIN

_HINT: Final = "install Prometheus, so that `promtool` is on PATH, and run this again"


def ensure() -> Path:
    """The user's promtool, else the one unpacked from Debian's package into .isoserve/bin.

    Unpacked and not installed: the package would start a daemon, and ask for root. Raises
    RuntimeError with what to do where neither is to be had.
    """
    own = BIN / "promtool"
    found = shutil.which("promtool")
    if found or own.exists():
        return Path(found) if found else own
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise RuntimeError(f"there is no promtool, and no Debian to get it from; {_HINT}")
    BIN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if not _download(folder):
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
            if not _download(folder):
                raise RuntimeError(f"apt-get cannot download the package `prometheus`; {_HINT}")
        (package,) = Path(folder).glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), folder], check=True)
        partial = own.with_suffix(".part")
        shutil.copy2(Path(folder) / "usr/bin/promtool", partial)
        partial.rename(own)
    return own


def _download(folder: str) -> bool:
    argv = ["apt-get", "download", "prometheus"]
    return subprocess.run(argv, cwd=folder, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    try:
        print(f"sandbox         promtool       {ensure()}")
    except RuntimeError as reason:
        sys.exit(f"sandbox: {reason}")
