"""Runs the Prometheus of a region, and what tells it of changes."""

from __future__ import annotations

import sys
import time
from typing import Final

import requests

from regions.sandbox import processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, own_session
from regions.sandbox.monitoring import snapshot
from regions.sandbox.monitoring.config import CONFIG_FILE
from regions.sandbox.node import prometheus as pod
from regions.sandbox.node.network import network_of

_PATIENCE_SECONDS: Final = 60.0  # a machine may have the image to fetch
_ON_MACHINES: Final = "only regions on real machines have a Prometheus of ours"
_ARGUMENTS: Final = (
    f"--config.file={pod.CONFIG / CONFIG_FILE}",
    f"--storage.tsdb.path={pod.SERIES}",
    "--log.level=warn",
    "--storage.tsdb.retention.size=128MB",
    "--storage.tsdb.retention.time=1d",
    "--storage.tsdb.wal-segment-size=10MB",
    "--web.enable-lifecycle",  # a reload that says whether the files are good
)


def start(cluster: Cluster) -> str:
    """Give the region a Prometheus that follows its objects from now on; the address of it.

    It is a pod of the region's first machine. Raises SandboxError when there is no Prometheus to be
    had, or it refuses the files.
    """
    region, network = cluster.region, network_of(cluster.region)
    assert network is not None, _ON_MACHINES
    changed = snapshot.write(cluster)
    pod.install(cluster, network, snapshot.home(region), _ARGUMENTS)
    _wait_until_ready(region)
    if changed:
        reload(region)
    argv = [sys.executable, "-m", "regions.sandbox.monitoring", region]
    processes.start(_follower(region), argv, processes.python_env())
    return url(region)


def stop(region: str) -> bool:
    """End what tells the region's Prometheus of changes; whether it ran."""
    return processes.stop(_follower(region))


def url(region: str) -> str:
    """Where the region's Prometheus answers."""
    network = network_of(region)
    assert network is not None, _ON_MACHINES
    return f"http://{network.machine_address(1)}:{pod.PORT}"


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


def _follower(region: str) -> str:
    return f"{region}.monitoring"


def _wait_until_ready(region: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _is_ready(region):
        if time.monotonic() > deadline:
            kubectl = f"kubectl --kubeconfig .isoserve/{region}/kubeconfig -n monitoring"
            raise SandboxError(
                f"region {region}: Prometheus is not ready after {_PATIENCE_SECONDS:.0f} s; "
                f"see `{kubectl} describe pods` and `{kubectl} logs -l app=prometheus`"
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
