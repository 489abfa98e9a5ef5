"""What is done to the machines of a sandbox: power cuts, kills, processes that hang, full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.kube import Object
from regions.sandbox.process_node.container import end_leftovers
from regions.sandbox.processes import Identity
from tests.engine.site import REGION, Site, Version, until


def daemon(site: Site, name: str) -> Identity:
    """The process of a daemon of the sandbox, as its pid file has it."""
    return _identity(site.world.root / ".isoserve" / "run" / f"{name}.pid")


def cut_power(site: Site, node: str) -> None:
    """Kill a node's agent and every process of its pods: none of them can say a word."""
    agent = daemon(site, f"{REGION}.node.{node}")
    os.kill(agent.pid, signal.SIGKILL)
    until("the node's agent is gone", lambda: not agent.is_alive())
    assert end_leftovers(site.home(node)) > 0, "pods ran there"


def kill_container(site: Site, node: str, pod: Object, name: str) -> None:
    """Kill the first process of a container with SIGKILL."""
    runs = site.home(node) / "pods" / pod["metadata"]["uid"] / "runs"
    found = [_identity(path) for path in runs.glob(f"{name}-*/container.pid")]
    (running,) = [one for one in found if one.is_alive()]
    os.kill(running.pid, signal.SIGKILL)


def restart_agent(site: Site, node: str) -> None:
    """Kill a node's cache agent, and wait until another process is in its place."""
    before = site.agent(node)
    kill_container(site, node, before, "agent")
    await_restart(site, node, restarts(before))


def await_restart(site: Site, node: str, before: int) -> None:
    """Wait until the node's agent was restarted more often than `before`, and runs."""

    def runs_again() -> bool:
        (status,) = site.agent(node)["status"]["containerStatuses"]
        return status["restartCount"] > before and "running" in status["state"]

    until(f"the cache agent of {node} runs again", runs_again)


def restarts(pod: Object) -> int:
    """How often the pod's container was restarted."""
    (status,) = pod["status"]["containerStatuses"]
    return int(status["restartCount"])


@contextmanager
def hanging(process: Identity) -> Iterator[None]:
    """A process that holds its sockets and answers nothing."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)


@contextmanager
def small_disks(site: Site, nodes: Iterable[str], size_bytes: int) -> Iterator[None]:
    """Nodes whose cache is on an empty, small disk; their own cache is there again afterwards.

    Who has something of the old disk mounted keeps it, as with a disk that was changed.
    """
    done: list[str] = []
    try:
        for node in nodes:
            _mount(site.cache(node), "-t", "tmpfs", "-o", f"mode=755,size={size_bytes}", "tmpfs")
            done.append(node)
            restart_agent(site, node)
        yield
    finally:
        for node in done:
            subprocess.run(["umount", "--lazy", str(site.cache(node))], check=True, timeout=30)
            restart_agent(site, node)


def resize_disk(site: Site, node: str, size_bytes: int) -> None:
    """Give another size to one of these disks; not less than what is on it."""
    _mount(site.cache(node), "-o", f"remount,size={size_bytes}")


def used_bytes(site: Site, node: str) -> int:
    """What is on the disk of a node's cache."""
    found = os.statvfs(site.cache(node))
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@contextmanager
def watched(folders: Iterable[Path], version: Version) -> Iterator[list[str]]:
    """Look all the time whether a version is to be seen with less than all of its files."""
    wrong: list[str] = []
    places, stop = list(folders), threading.Event()

    def look() -> None:
        while not stop.wait(0.002):
            for place in places:
                if place.is_dir() and (lack := set(version.files) - set(os.listdir(place))):
                    wrong.append(f"{place} lacks {sorted(lack)}")

    watcher = threading.Thread(target=look, name="watcher")
    watcher.start()
    try:
        yield wrong
    finally:
        stop.set()
        watcher.join()


def _mount(target: Path, *words: str) -> None:
    done = subprocess.run(
        ["mount", *words, str(target)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


def _identity(path: Path) -> Identity:
    pid, ticks = path.read_text().split()
    return Identity(int(pid), int(ticks))
