"""Runs a process to its end and says what it and its children cost."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SAMPLE_SECONDS: Final = 0.02
_LOOK_SECONDS: Final = 0.004
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`peak_mib` sums the resident memory of all processes at the worst moment."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


def _resident(root: int) -> int:
    """Bytes of a process and its descendants; one that has just gone counts nothing."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
            for thread in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
        except (OSError, IndexError):
            continue
    return total


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(work: Callable[[], object]) -> Cost:
    """What the processes that `work` starts and waits for cost."""
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        own = _resident_of_self()
        while not done.wait(_SAMPLE_SECONDS):
            peak = max(peak, _resident(os.getpid()) - own)

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu, start = _cpu(), time.perf_counter()
    try:
        work()
    finally:
        wall = time.perf_counter() - start
        done.set()
        watcher.join()
    return Cost(wall_seconds=wall, cpu_seconds=_cpu() - cpu, peak_mib=peak / 2**20)


def measure_process(
    command: Sequence[str], env: Mapping[str, str], folder: Path, is_done: Callable[[], bool]
) -> Cost:
    """What one process and its children cost, till it ends, or till `is_done` and it is told to.

    Its own usage and not that of all children: a store may run beside it. The largest of
    `ru_maxrss` is no help, since a child begins with what its parent had. Raises RuntimeError with
    the last words of a process that failed.
    """
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=output, stderr=output)
        wall, peak = _watch(process.pid, is_done)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 128 + signal.SIGTERM):
            output.seek(0)
            words = output.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(command)[:200]} ended with {status}:\n{words}")
    return Cost(
        wall_seconds=wall - start,
        cpu_seconds=used.ru_utime + used.ru_stime,
        peak_mib=peak / 2**20,
    )


def _watch(pid: int, is_done: Callable[[], bool]) -> tuple[float, int]:
    """The moment when a child ends or is told to, and its peak of memory."""
    peak, next_sample, descriptor = 0, 0.0, os.pidfd_open(pid)
    try:
        while not select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
            now = time.perf_counter()
            if now >= next_sample:
                peak, next_sample = max(peak, _resident(pid)), now + _SAMPLE_SECONDS
            if is_done():
                os.kill(pid, signal.SIGTERM)
                return now, peak
        return time.perf_counter(), peak
    finally:
        os.close(descriptor)


def _resident_of_self() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def run_all(commands: Sequence[tuple[Sequence[str], Path]]) -> None:
    """Run commands, as many at a time as there are cores, each with its output into a file."""

    def run(row: tuple[Sequence[str], Path]) -> None:
        command, output = row
        with output.open("wb") as file:
            subprocess.run(command, stdout=file, check=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, commands))
