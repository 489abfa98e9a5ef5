"""Process 1 of a machine: it furnishes the mount namespace, and keeps the machine's programs alive.

    python -I -S init.py FILE

FILE holds JSON: `var` is the folder that is the machine's /var, `programs` are rows of a name, the
words of the command and its log. Run as a program of its own, by path, in PID, mount and network
namespaces of its own: it needs nothing but the standard library. A program that ends is started
again after a second. When this process ends, the kernel ends every other process of the machine,
and what was mounted goes with the last of them.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from types import FrameType
from typing import Any, Final

_MS_BIND, _MS_REC, _MS_SHARED = 0x1000, 0x4000, 0x10_0000
_RESTART_SECONDS: Final = 1.0
_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    words = (source.encode(), target.encode(), kind.encode())
    if _LIBC.mount(*words, flags, None) < 0:
        sys.exit(f"init: {target} could not be mounted: {os.strerror(ctypes.get_errno())}")


def _furnish(var: str) -> None:
    for folder in ("lib", "log", "tmp"):
        os.makedirs(os.path.join(var, folder), exist_ok=True)
    _mount("tmpfs", "/run", "tmpfs", 0)
    _mount(var, "/var", "none", _MS_BIND)
    # Containers that ask for it see what is mounted later, as on any machine with systemd.
    _mount("none", "/", "none", _MS_REC | _MS_SHARED)


def _start(program: dict[str, Any]) -> int:
    return os.posix_spawn(
        program["command"][0],
        program["command"],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, program["log"], _APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _keep_alive(programs: list[dict[str, Any]]) -> None:
    running = {_start(program): program for program in programs}
    while True:
        ended, _ = os.wait()  # also what a program left behind when it ended
        if ended in running:
            time.sleep(_RESTART_SECONDS)
            program = running.pop(ended)
            running[_start(program)] = program


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    with open(sys.argv[1]) as stream:
        plan = json.load(stream)
    _furnish(plan["var"])
    _keep_alive(plan["programs"])
