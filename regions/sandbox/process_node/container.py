"""Runs one container as a process of this machine: its own mounts, user and rights, no more.

No network, process-id or cgroup of its own: pods are apart by their loopback address. A container's
processes are known by what they see as their termination log, which is the file in its home.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

from regions.sandbox.process_node.root import (
    TERMINATION_LOG,
    inside_plan,
    plan_of,
    root_of,
    termination_log_of,
)
from regions.sandbox.process_node.spec import Container, Mount, User
from regions.sandbox.processes import Identity, identity_of

__all__ = ["Container", "Mount", "Running", "User", "end_leftovers", "start"]

OUT_OF_TIME: Final = 124
"""The exit code of run_inside for a program that did not end in time, as `timeout` has it."""

_ENTER: Final = str(Path(__file__).with_name("enter.py"))
_RECORD: Final = "container.pid"
_PATIENCE_SECONDS: Final = 30.0
_LONGEST_LAST_WORDS: Final = 4096  # bytes, as the kubelet cuts them
_LONGEST_OUTPUT: Final = 10 * 1024


class Running:
    """A started container. `failure` says why its program could not be executed, else it is ""."""

    def __init__(self, container: Container, process: subprocess.Popen[bytes], failure: str):
        self.pid = process.pid
        self.failure = failure
        self._container = container
        self._process = process
        self._reaping = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, or 128 + the signal that killed it; None while it runs."""
        # One thread at a time: a second one would find no child and make up an exit code.
        with self._reaping:
            code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def signal(self, number: int) -> None:
        """Send a signal to the first process; harmless when it is gone."""
        with self._reaping:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kill every process of the container, wherever it moved itself, and wait for the end."""
        self.signal(signal.SIGKILL)
        _kill_members([self._container.home], set())
        with self._reaping:
            self._process.wait(_PATIENCE_SECONDS)

    def run_inside(self, argv: Sequence[str], timeout_seconds: float) -> tuple[int, str]:
        """Run a program in the container, as its user; its exit code and the begin of its output.

        One that takes longer is killed with its session, and its code is OUT_OF_TIME; where there
        is no container any more, or no such program, it is 128 and the output says so.
        """
        with self._reaping:  # till it is reaped, its process id is nobody else's
            if self._process.poll() is not None:
                return 128, "the container has ended"
            pidfd = os.pidfd_open(self.pid)
        plan = inside_plan(self._container, argv)
        with tempfile.TemporaryFile() as output:
            try:
                process, failure = _launch(self._container.home, plan, output, [pidfd])
            finally:
                os.close(pidfd)
            try:
                code = process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                code = OUT_OF_TIME
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(_PATIENCE_SECONDS)
            output.seek(0)
            text = output.read(_LONGEST_OUTPUT).decode(errors="replace")
        return (128 - code if code < 0 else code), failure or text

    def last_words(self) -> str:
        """What the program left in /dev/termination-log, else ""."""
        try:
            with termination_log_of(self._container.home).open("rb") as words:
                length = words.seek(0, os.SEEK_END)
                words.seek(max(0, length - _LONGEST_LAST_WORDS))
                return words.read().decode(errors="replace")
        except FileNotFoundError:
            return ""


def start(container: Container) -> Running:
    """Start the container and return when its program is executed, or could not be.

    Then its exit code is 128, and one line in the log and in `failure` says why.
    """
    root_of(container.home).mkdir(parents=True, exist_ok=True)
    words = termination_log_of(container.home)
    words.write_text("")
    words.chmod(0o666)  # any user's program may leave its last words
    container.log.parent.mkdir(parents=True, exist_ok=True)
    with container.log.open("ab") as log:
        process, failure = _launch(container.home, plan_of(container), log, [])
    return Running(container, process, failure)


def _launch(
    home: Path, plan: dict[str, Any], output: IO[bytes], pidfds: list[int]
) -> tuple[subprocess.Popen[bytes], str]:
    """Start enter.py with a plan; what it reports is empty when the program was executed."""
    reports, report = os.pipe()
    try:
        words = [sys.executable, "-I", "-S", "-X", "utf8", _ENTER, str(home / _RECORD)]
        process = subprocess.Popen(
            [*words, str(report), *map(str, pidfds)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={},
            start_new_session=True,
            pass_fds=(report, *pidfds),
        )
    finally:
        os.close(report)
    with open(reports, "rb", buffering=0) as stream:
        # Killed from outside before it read its plan: then its exit code says so.
        with contextlib.suppress(BrokenPipeError), process.stdin as plans:  # type: ignore[union-attr]
            plans.write(json.dumps(plan).encode())
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        ready = poll.poll(_PATIENCE_SECONDS * 1000)
        if not ready:
            process.kill()
        return process, stream.read().decode() if ready else "the set-up hangs"


def end_leftovers(home: Path) -> int:
    """Kill what a dead node agent left below this folder; the number of containers that still ran.

    A process is killed only if it sees its container's termination log or is one that is about to,
    so whoever has a recorded process id by now is safe, and a record that a pod planted is too.
    """
    homes = [Path(folder) for folder, _, names in os.walk(home) if _RECORD in names]
    hit = set()
    for one in homes:
        identity = _recorded(one)
        if identity is not None and identity.is_alive() and _is_entering(identity.pid, one):
            os.kill(identity.pid, signal.SIGKILL)
            hit.add(identity)
    return _kill_members(homes, hit)


def _kill_members(homes: Sequence[Path], hit: set[Identity]) -> int:
    """Kill until nobody is left: a process may have made another one before it was hit.

    Then wait for those, since one that ends shows no root any more before it is dead. The number
    of containers that still ran.
    """
    ended: set[tuple[int, int]] = set()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        members = _members(homes)
        ended.update(members.values())
        hit.update(filter(None, map(identity_of, members)))
        if not members and not any(one.is_alive() for one in hit):
            break
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    return len(ended)


def _members(homes: Sequence[Path]) -> dict[int, tuple[int, int]]:
    """The processes of these containers, each with its container's termination log."""
    logs = set(filter(None, (_file_of(termination_log_of(home)) for home in homes)))
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    seen = {pid: _file_of(Path(f"/proc/{pid}/root{TERMINATION_LOG}")) for pid in pids}
    return {pid: log for pid, log in seen.items() if log in logs}


def _file_of(path: Path) -> tuple[int, int] | None:
    """Which file it is, whatever path leads to it; None when there is none or it is not ours."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _is_entering(pid: int, home: Path) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return _ENTER.encode() in words and str(home / _RECORD).encode() in words


def _recorded(home: Path) -> Identity | None:
    try:
        pid, ticks = (home / _RECORD).read_text().split()
        return Identity(int(pid), int(ticks))
    except (OSError, ValueError):
        return None
