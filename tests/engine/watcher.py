"""Takes the sandboxes of a test run down that was killed, which no fixture can.

As a program it reads trees from its input, one a line, until nobody is left who writes there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.tracked import ROOT


def watch(tree: Path) -> None:
    """Have the sandbox of a tree taken down when this process has ended, however it ends."""
    print(tree, file=_watcher().stdin, flush=True)


@cache
def _watcher() -> subprocess.Popen[str]:
    """This process's watcher, in a session of its own: no Ctrl-C reaches it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.engine.watcher"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,  # whoever reads this process's own may have been killed too
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def take_down(tree: Path) -> None:
    """End what was begun in a tree, and its sandbox; nothing where a test has done so."""
    if not (tree / ".isoserve").exists():
        return
    while found := _begun_in(tree):
        for pid in found:
            with suppress(ProcessLookupError):  # another's end may have ended it
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    with (tree / "down.log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-m", "regions.sandbox", "down"],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdout=log,
            stderr=log,
            check=False,
        )
    if done.returncode == 0:
        shutil.rmtree(tree)


def _begun_in(tree: Path) -> list[int]:
    """Commands and daemons that were begun in the tree; what else they made is for `down`."""
    found = []
    for entry in (one for one in Path("/proc").iterdir() if one.name.isdigit()):
        try:
            place = os.readlink(entry / "cwd")
        except OSError:  # it has ended
            continue
        if place == str(tree) and entry.name != str(os.getpid()):
            found.append(int(entry.name))
    return found


if __name__ == "__main__":
    for line in sys.stdin.readlines():
        take_down(Path(line.strip()))
