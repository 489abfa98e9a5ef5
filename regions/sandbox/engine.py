"""The real `pulumi` over the sandbox's own state, in a process group that ends with its run."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from regions.sandbox import processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.events import Progress
from regions.sandbox.layout import LOG, PULUMI_HOME, ROOT, STATE, region_home
from regions.sandbox.toolchain import Toolchain

Say = Callable[[str], None]
PROGRESS_SECONDS: Final = 2.0
_OWN: Final = "127.0.0.1,localhost,198.18.0.0/15"
"""What no proxy leads to: this machine, and the networks of regions (node/network.py)."""
# The engine puts its plugins into groups of their own; what they all inherit is the environment.
_MARK: Final = "ISOSERVE_SANDBOX_RUN"


def environment(toolchain: Toolchain) -> dict[str, str]:
    """What a plain `pulumi` needs to work on the sandbox; its own variables only."""
    no_proxy = ",".join(filter(None, (os.environ.get("NO_PROXY"), _OWN)))
    return {
        "PATH": toolchain.search_path,
        "PULUMI_BACKEND_URL": f"file://{STATE}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # A checkpoint after every resource makes `up` quadratic with the file backend.
        "PULUMI_EXPERIMENTAL": "1",
        "PULUMI_SKIP_CHECKPOINTS": "true",
        # Every field that we render is ours: `up --refresh` takes back what a hand has edited.
        "PULUMI_K8S_ENABLE_PATCH_FORCE": "true",
        "PULUMI_HOME": str(PULUMI_HOME),
        # The host of the RolloutGate starts in stacks/ and must find this tree's rooms.
        "PYTHONPATH": str(ROOT),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def up(toolchain: Toolchain, region: str, say: Say, *, refresh: bool) -> Progress:
    """Bring the region's stack to what the program says; the run's counts.

    Raises SandboxError with the engine's diagnostics when it failed.
    """
    clear_locks(region)
    _ensure_stack(toolchain, region)
    arguments = ["up", "--yes", "--skip-preview", "--non-interactive", "--json", "-s", region]
    progress = Progress()
    code = _stream(
        toolchain, region, [*arguments, *(["--refresh"] if refresh else [])], progress, say
    )
    if code:
        log = LOG / f"{region}.pulumi.log"
        told = progress.diagnostics or [processes.tail(log)]
        listed = "\n".join(f"  {text}" for text in dict.fromkeys(told))
        raise SandboxError(f"region {region}: `pulumi up` failed; all of it: {log}\n{listed}")
    return progress


def outputs(toolchain: Toolchain, region: str) -> dict[str, Any]:
    """The stack's outputs; empty when there is no stack yet."""
    if not stack_file(region).exists():
        return {}
    done = _run(toolchain, region, ["stack", "output", "--json", "-s", region])
    if done.returncode:
        raise SandboxError(f"region {region}: the stack can't be read: {done.stderr.strip()}")
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def stack_file(region: str) -> Path:
    """Where the file backend keeps the region's stack."""
    return STATE / ".pulumi" / "stacks" / _project() / f"{region}.json"


def _project() -> str:
    for line in (ROOT / "Pulumi.yaml").read_text().splitlines():
        if line.startswith("name:"):
            return line.partition(":")[2].split("#")[0].strip().strip("'\"")
    raise SandboxError(f"{ROOT / 'Pulumi.yaml'} has no `name:`")


def _ensure_stack(toolchain: Toolchain, region: str) -> None:
    if stack_file(region).exists():
        return
    STATE.mkdir(parents=True, exist_ok=True)
    done = _run(toolchain, region, ["stack", "init", region, "--no-select"])
    if done.returncode and "already exists" not in done.stderr:
        raise SandboxError(
            f"region {region}: `pulumi stack init` failed: {(done.stderr or done.stdout).strip()}"
        )


def _run(
    toolchain: Toolchain, region: str, arguments: list[str]
) -> subprocess.CompletedProcess[str]:
    with _engine(toolchain, region, [*arguments, "--non-interactive"]) as process:
        out, err = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def _stream(
    toolchain: Toolchain, region: str, arguments: list[str], progress: Progress, say: Say
) -> int:
    LOG.mkdir(parents=True, exist_ok=True)
    said_at = time.monotonic()
    log_path = LOG / f"{region}.pulumi.log"
    with (
        log_path.open("w") as log,
        _engine(toolchain, region, arguments, merged=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            kept = progress.read(line)
            if kept:
                log.write(kept + "\n")
                log.flush()
            if time.monotonic() - said_at > PROGRESS_SECONDS:
                said_at = time.monotonic()
                say(progress.describe())
        return process.wait()


@contextlib.contextmanager
def _engine(
    toolchain: Toolchain, region: str, arguments: list[str], *, merged: bool = False
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [str(toolchain.pulumi), *arguments],
        cwd=ROOT,
        env=os.environ | environment(toolchain) | {_MARK: _own_mark(region)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # The Python program of a killed engine spins on, and plugins stay: all of them go.
        end_own(region)
        process.wait()


def _own_mark(region: str) -> str:
    owner = processes.identity_of(os.getpid())
    assert owner is not None, "this very process is alive"
    return f"{ROOT}|{region}|{owner.pid}|{owner.start_ticks}"


def end_own(region: str) -> int:
    """End every process of the engine runs that this process has begun for a region; how many."""
    own = _own_mark(region)
    return _end([one for one, mark in _marked() if mark == own])


def end_orphans(region: str) -> int:
    """End what killed runs have left of their engines for a region; how many processes.

    Engines of a living run, and a user's own `pulumi`, are left alone.
    """
    return _end(
        [
            one
            for one, mark in _marked()
            if mark.startswith(f"{ROOT}|{region}|") and not _owner(mark).is_alive()
        ]
    )


def _owner(mark: str) -> processes.Identity:
    _, _, pid, ticks = mark.split("|")
    return processes.Identity(int(pid), int(ticks))


def _end(found: list[processes.Identity]) -> int:
    # The engine itself is the oldest: told first, it writes its state and releases its lock.
    for one in sorted(found, key=lambda one: (one.start_ticks, one.pid)):
        processes.end(one, grace_seconds=10)
    return len(found)


def _marked() -> Iterator[tuple[processes.Identity, str]]:
    prefix = f"{_MARK}="
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        identity = processes.identity_of(int(entry.name))
        with contextlib.suppress(FileNotFoundError, PermissionError, ProcessLookupError):
            variables = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
            mark = next((one for one in variables if one.startswith(prefix)), None)
            if identity and mark and mark.count("|") == 3:
                yield identity, mark.removeprefix(prefix)


def clear_locks(region: str) -> int:
    """Remove locks that dead processes of this machine hold on the region's stack; how many.

    Raises SandboxError naming the holder when it lives.
    """
    folder = STATE / ".pulumi" / "locks" / "organization" / _project() / region
    stale = [path for path in folder.glob("*.json") if not _holder(path, region)]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def _holder(path: Path, region: str) -> bool:
    lock = read_lock(path.read_text())
    identity = processes.identity_of(lock["pid"]) if lock else None
    if identity is None or not _runs_pulumi(identity.pid):
        return False
    age_seconds = time.time() - path.stat().st_mtime
    raise SandboxError(
        f"region {region}: another `pulumi` works on this stack: process {identity.pid}, for "
        f"{age_seconds:.0f} s. Wait until it is done, or end it, and run this again"
    )


def read_lock(text: str) -> Mapping[str, Any] | None:
    """The lock's content, None when a kill has cut it short: nobody holds such a lock."""
    try:
        lock = json.loads(text)
    except ValueError:
        return None
    return lock if isinstance(lock, dict) and isinstance(lock.get("pid"), int) else None


def _runs_pulumi(pid: int) -> bool:
    # The number of a dead engine may belong to anybody by now.
    try:
        return b"pulumi" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except (FileNotFoundError, PermissionError):
        return False


def refresh_mark(region: str) -> Path:
    """A file that stands while the stack may tell of things that are gone."""
    return region_home(region) / "refresh"
