"""Runs the Prometheus of a region, and what tells it of changes."""

from __future__ import annotations

import sys
import time
from typing import Final

import requests

from regions.sandbox import processes, prometheus
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, own_session
from regions.sandbox.monitoring import snapshot
from regions.sandbox.monitoring.config import CONFIG_FILE
from regions.sandbox.ports import ports

_PATIENCE_SECONDS: Final = 30.0
_SETTINGS: Final = (
    "--log.level=warn",
    "--storage.tsdb.retention.size=128MB",
    "--storage.tsdb.retention.time=1d",
    "--storage.tsdb.wal-segment-size=10MB",
    "--web.enable-lifecycle",  # a reload that says whether the files are good
)


def start(cluster: Cluster) -> str:
    """Give the region a Prometheus that follows its objects from now on; the address of it.

    Raises SandboxError when there is no Prometheus to be had, or it refuses the files.
    """
    region = cluster.region
    changed = snapshot.write(cluster)
    if processes.start(_name(region), _argv(region)):
        _wait_until_ready(region)
    elif changed:
        reload(region)
    argv = [sys.executable, "-m", "regions.sandbox.monitoring", region]
    processes.start(_follower(region), argv, processes.python_env())
    return url(region)


def stop(region: str) -> int:
    """End the region's Prometheus and its follower; how many ran."""
    return sum(map(processes.stop, (_follower(region), _name(region))))


def url(region: str) -> str:
    """Where the region's Prometheus answers."""
    return f"http://127.0.0.1:{ports()[_name(region)]}"


def reload(region: str) -> None:
    """Have Prometheus read its files again; raises SandboxError when it refuses or is gone."""
    try:
        answer = _ask("POST", f"{url(region)}/-/reload", _PATIENCE_SECONDS)
    except requests.RequestException as reason:
        raise SandboxError(
            f"region {region}: Prometheus at {url(region)} does not answer "
            f"({type(reason).__name__}); run `python -m regions.sandbox up`"
        ) from reason
    if answer.status_code != 200:
        raise SandboxError(
            f"region {region}: Prometheus refuses what is rendered for it: {answer.text.strip()}"
        )


def _name(region: str) -> str:
    return f"{region}.prometheus"


def _follower(region: str) -> str:
    return f"{region}.monitoring"


def _argv(region: str) -> list[str]:
    home = snapshot.home(region)
    return [
        str(prometheus.ensure()["prometheus"]),
        f"--config.file={home / CONFIG_FILE}",
        f"--storage.tsdb.path={home / 'series'}",
        f"--web.listen-address={url(region).removeprefix('http://')}",
        *_SETTINGS,
    ]


def _wait_until_ready(region: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _is_ready(region):
        processes.require_running(_name(region))
        if time.monotonic() > deadline:
            log = processes.log_file(_name(region))
            raise SandboxError(
                f"region {region}: Prometheus is not ready after {_PATIENCE_SECONDS:.0f} s; "
                f"last lines of {log}:\n{processes.tail(log)}"
            )
        time.sleep(0.05)


def _is_ready(region: str) -> bool:
    try:
        return _ask("GET", f"{url(region)}/-/ready", 2).status_code == 200
    except requests.RequestException:
        return False


def _ask(method: str, address: str, timeout_seconds: float) -> requests.Response:
    with own_session() as session:
        return session.request(method, address, timeout=timeout_seconds)
