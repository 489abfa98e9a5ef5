"""Process 1 of a machine: it mounts the disk, /run and /var, and keeps the programs alive.

    python -I -S init.py FILE

FILE holds JSON: `disk` is the folder that has the machine's /var in it, `image` the file with the
file system that is mounted there (empty where the disk is the host's); `cpu` and `memory_gib` are
the size that its kubelet is to report, 0 for what this machine has; `programs` are rows of a name,
the words of the command and its log. Run as a program of its own, by path, in PID, mount and
network namespaces of its own: it needs nothing but the standard library. A program that ends is
started again after a second. When this process ends, the kernel ends every other process of the
machine, and what was mounted goes with the last of them.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
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


def _mount_image(image: str, target: str) -> None:
    """Through a loop device that is freed with its mount (mount(8), "loop-device support")."""
    done = subprocess.run(("mount", "-o", "loop", image, target), check=False)
    if done.returncode:
        sys.exit(f"init: {image} could not be mounted at {target}")


def _furnish(disk: str, image: str) -> None:
    if image:
        _mount_image(image, disk)
    var = os.path.join(disk, "var")
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


def _resize(cpu: int, memory_gib: int) -> None:
    """Have the kubelet find a machine of this size, in the files that it counts by.

    Those are of google/cadvisor v0.56.2: utils/sysinfo, GetNodesInfo (without nodes of memory the
    folders of processors are counted) and machine, GetMachineMemoryCapacity. Containers have a /sys
    and a /proc of their own, and see what is there.
    """
    if cpu:
        for number in range(cpu):
            os.makedirs(f"/run/cpu/cpu{number}")
        os.mkdir("/run/memory-nodes")
        _mount("/run/cpu", "/sys/devices/system/cpu", "none", _MS_BIND)
        _mount("/run/memory-nodes", "/sys/devices/system/node", "none", _MS_BIND)
    if memory_gib:
        with open("/proc/meminfo") as given, open("/run/meminfo", "w") as own:
            own.write(f"MemTotal: {memory_gib << 20} kB\n")
            own.writelines(line for line in given if not line.startswith("MemTotal:"))
        _mount("/run/meminfo", "/proc/meminfo", "none", _MS_BIND)


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
    _furnish(plan["disk"], plan["image"])
    _resize(plan["cpu"], plan["memory_gib"])
    _keep_alive(plan["programs"])
