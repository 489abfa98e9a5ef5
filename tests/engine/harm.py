"""What is done to a sandbox: agents replaced, processes that hang, full disks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from components.kube import Object
from components.model_cache.volumes import ROOT as CACHE
from regions.sandbox.processes import Identity, identity_of
from tests.engine.site import REGION, Site, Version, until

_CONTROLLER: Final = (
    "/api/v1/namespaces/envoy-gateway-system/pods?labelSelector=control-plane%3Denvoy-gateway"
)


def first_process(pod: Object, container: str) -> int:
    """The process with which a container of the pod began, by this machine's ids."""
    (status,) = [one for one in pod["status"]["containerStatuses"] if one["name"] == container]
    mark = status["containerID"].rpartition("/")[2]
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if mark in (entry / "cgroup").read_text():
                numbers = re.search(r"^NSpid:(.*)$", (entry / "status").read_text(), re.MULTILINE)
                if numbers and numbers[1].split()[-1] == "1":
                    found.append(int(entry.name))
    (first,) = found
    return first


def replace_agent(site: Site, node: str) -> None:
    """Delete a node's cache agent, and wait until another runs in its place: the kubelet starts a
    killed one again later each time."""
    before = site.agent(node)["metadata"]
    path = f"/api/v1/namespaces/{before['namespace']}/pods/{before['name']}"
    site.world.cluster(REGION).delete(f"{path}?gracePeriodSeconds=1")

    def runs_again() -> bool:
        made = site.agents().get(node, {"metadata": before})
        states = [one["state"] for one in made.get("status", {}).get("containerStatuses", ())]
        return made["metadata"]["uid"] != before["uid"] and "running" in str(states)

    until(f"{node} has another cache agent", runs_again)


def restarts(pod: Object) -> int:
    """How often the pod's container was started again, and runs."""
    (status,) = pod["status"]["containerStatuses"]
    return int(status["restartCount"]) if "running" in status["state"] else 0


def gateway_controller(site: Site) -> Identity:
    """The process that tells the gateways' proxies which pods there are."""
    (pod,) = site.objects(_CONTROLLER)
    found = identity_of(first_process(pod, "envoy-gateway"))
    assert found is not None, "it runs"
    return found


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
            options = f"mode=755,size={size_bytes}"
            _run_on(site, node, "mount", "-t", "tmpfs", "-o", options, "tmpfs", CACHE)
            done.append(node)
            replace_agent(site, node)
        yield
    finally:
        for node in done:
            _run_on(site, node, "umount", "--lazy", CACHE)
            replace_agent(site, node)


def resize_disk(site: Site, node: str, size_bytes: int) -> None:
    """Give another size to one of these disks; not less than what is on it."""
    _run_on(site, node, "mount", "-o", f"remount,size={size_bytes}", CACHE)


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


def _run_on(site: Site, node: str, *words: str) -> None:
    """Run a command where the node's kubelet mounts."""
    inside = ("nsenter", f"--target={site.machine(node)}", "--mount", "--pid")
    done = subprocess.run(
        (*inside, *words), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
