"""Detached daemons that a later run can recognise, and end, without ever hitting a stranger."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import LOG, ROOT, RUN

# The child writes its own identity before it becomes the daemon: if `up` is killed right after the
# fork, the next run still finds what was started.
_LAUNCH: Final = (
    '(set -- $(cat /proc/$$/stat); echo "$1 ${22}") > "$0.new" && mv "$0.new" "$0" && exec "$@"'
)

_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND
# Below the range from which Linux takes ports for outgoing connections: one of those could
# occupy a port of ours between its choice and the start of the daemon.
_PORT_RANGE: Final = range(20_000, 32_000)


@dataclass(frozen=True, slots=True)
class Identity:
    """A process: its id, and its start time in clock ticks since boot, so a reused id differs."""

    pid: int
    start_ticks: int

    def is_alive(self) -> bool:
        """Whether exactly this process still runs (a zombie doesn't)."""
        stat = _stat(self.pid)
        return stat is not None and stat == ("alive", self.start_ticks)


def identity_of(pid: int) -> Identity | None:
    """Who has this process id now; None when nobody."""
    stat = _stat(pid)
    return Identity(pid, stat[1]) if stat and stat[0] == "alive" else None


def _stat(pid: int) -> tuple[str, int] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold spaces and brackets: what counts begins after the last bracket.
    fields = text.rpartition(")")[2].split()
    return ("dead" if fields[0] in "ZX" else "alive", int(fields[19]))


def pid_file(name: str) -> Path:
    """Where the identity of the daemon of that name is kept."""
    return RUN / f"{name}.pid"


def log_file(name: str) -> Path:
    """Where the daemon of that name writes."""
    return LOG / f"{name}.log"


def recorded(name: str) -> Identity | None:
    """The identity in the daemon's pid file; None without a readable one."""
    try:
        pid, ticks = pid_file(name).read_text().split()
        return Identity(int(pid), int(ticks))
    except (FileNotFoundError, ValueError):
        return None


def is_running(name: str) -> bool:
    """Whether the recorded daemon is alive and still the same process."""
    identity = recorded(name)
    return identity is not None and identity.is_alive()


def start(name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> bool:
    """Start a daemon in its own session; False when it runs already.

    Raises SandboxError when the program can't be started at all.
    """
    if is_running(name):
        return False
    for folder in (RUN, LOG):
        folder.mkdir(parents=True, exist_ok=True)
    pid_file(name).unlink(missing_ok=True)
    child = os.posix_spawn(
        "/bin/sh",
        ["/bin/sh", "-c", _LAUNCH, str(pid_file(name)), *argv],
        dict(os.environ if env is None else env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log_file(name)), _APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    deadline = time.monotonic() + 10
    while recorded(name) is None:
        if identity_of(child) is None or time.monotonic() > deadline:
            raise SandboxError(f"{name} could not be started; see {log_file(name)}")
        time.sleep(0.005)
    return True


def python_env() -> dict[str, str]:
    """The environment for a daemon of this package: it must be importable from anywhere."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def require_running(name: str) -> None:
    """Raise SandboxError with the end of its log when the daemon has stopped."""
    if not is_running(name):
        raise SandboxError(
            f"{name} stopped right after its start. Last lines of {log_file(name)}:\n"
            f"{tail(log_file(name))}"
        )


def await_listening(name: str, places: Iterable[tuple[str, int]], timeout_seconds: float) -> None:
    """Wait until a daemon listens at all addresses. Raises SandboxError when it does not in time.

    Somebody else may hold one of them: then the daemon ends, and its log says so.
    """
    deadline, waiting = time.monotonic() + timeout_seconds, list(places)
    while waiting:
        waiting = [place for place in waiting if not _listens(place)]
        if waiting and time.monotonic() > deadline:
            raise SandboxError(f"{name} does not listen at {waiting[0]}; see {log_file(name)}")
        time.sleep(0.05)
        require_running(name)


def _listens(place: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(place, timeout=1).close()
        return True
    return False


def stop(name: str, *, grace_seconds: float = 10) -> bool:
    """End a daemon and wait until it is gone; False when none ran."""
    identity = recorded(name)
    ended = identity is not None and end(identity, grace_seconds=grace_seconds)
    pid_file(name).unlink(missing_ok=True)
    return ended


def end(identity: Identity, *, grace_seconds: float = 10, group: bool = False) -> bool:
    """Terminate a process (or the group it leads), then kill what remains; False if it was gone."""
    if not identity.is_alive():
        return False
    for number, patience_seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(identity.pid, number)
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            _reap(identity.pid)
            if not identity.is_alive():
                return True
            time.sleep(0.02)
    return True


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def tail(path: Path, *, lines: int = 6) -> str:
    """The last lines of a log, each cut to 300 characters, or a note that there is none."""
    try:
        return "\n".join(
            row[:300] for row in path.read_text(errors="replace").splitlines()[-lines:]
        )
    except FileNotFoundError:
        return "(no log)"


def free_ports(count: int) -> list[int]:
    """Distinct loopback TCP ports that nobody listens on at this moment."""
    shuffled = random.sample(_PORT_RANGE, len(_PORT_RANGE))
    found = list(itertools.islice(filter(is_free, shuffled), count))
    if len(found) < count:
        raise SandboxError(f"no {count} free TCP ports on loopback; end what holds them")
    return found


def is_free(port: int) -> bool:
    """Whether nobody listens on the loopback port."""
    with socket.socket() as probe:
        # As the daemons do: a connection of before that still fades away doesn't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def any_running() -> bool:
    """Whether any recorded daemon of this sandbox is alive."""
    return any(is_running(path.stem) for path in RUN.glob("*.pid"))
