"""The files of the repository, as git lists them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def tracked() -> list[Path]:
    """Every file of the tree that is committed or would be, from the root."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in out.splitlines() if (ROOT / name).is_file()]


def copy_tracked(to: Path) -> None:
    """Copy all of them to the folder `to`, which is made where it is missing."""
    for name in tracked():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to / name)
