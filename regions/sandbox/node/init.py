"""Process 1 of a machine: it mounts /run and /var, and keeps the machine's programs alive.

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
import sys
import time
from typing import Any, Final

_MS_BIND, _MS_REC, _MS_SHARED = 0x1000, 0x4000, 0x10_0000
_RESTART_SECONDS: Final = 1.0
_KERNEL: Final = {
    "kernel/keys/root_maxbytes": 25_000_000,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
}
"""What a kubelet sets of the whole kernel (kubernetes v1.36.1, pkg/kubelet/cm,
setupKernelTunables). Here it finds these values in files of its own, and the host keeps its."""
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
    for name, value in _KERNEL.items():
        own = "/run/kernel-" + name.replace("/", "-")
        with open(own, "w") as stream:
            stream.write(f"{value}\n")
        _mount(own, f"/proc/sys/{name}", "none", _MS_BIND)
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


if __name__ == "__main__":
    with open(sys.argv[1]) as stream:
        plan = json.load(stream)
    _furnish(plan["var"])
    _keep_alive(plan["programs"])
