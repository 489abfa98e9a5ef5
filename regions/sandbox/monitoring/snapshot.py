"""Keeps the files of a region's Prometheus as its API server's objects are at this moment."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.layout import region_home, write_atomically
from regions.sandbox.monitoring.config import TARGETS_FILE, files
from regions.sandbox.node.network import POD_RANGE, network_of

_OPERATORS: Final = "/apis/monitoring.coreos.com/v1"


def home(region: str) -> Path:
    """The folder of the configuration, the rules and the targets."""
    return region_home(region) / "monitoring"


def write(cluster: Cluster) -> bool:
    """Write what has changed; whether Prometheus must be told of it.

    Raises SandboxError when the API server does not answer or lacks a kind.
    """
    network = network_of(cluster.region)
    assert network is not None, "only regions on real machines have a Prometheus of ours"
    wanted = files(
        _listed(cluster, f"{_OPERATORS}/podmonitors"),
        _listed(cluster, f"{_OPERATORS}/prometheusrules"),
        _listed(cluster, "/api/v1/pods"),
        IPv4Network(POD_RANGE),
        network.machine_address(1),
    )
    changed = {name: text for name, text in wanted.items() if text != _read(cluster.region, name)}
    for name, text in changed.items():
        write_atomically(home(cluster.region) / name, text)
    return bool(changed.keys() - {TARGETS_FILE})


def _read(region: str, name: str) -> str:
    path = home(region) / name
    return path.read_text() if path.exists() else ""


def _listed(cluster: Cluster, path: str) -> list[Object]:
    answer = cluster.get(path)
    if answer is None:
        raise SandboxError(
            f"region {cluster.region} has no {path}: its CRDs are missing; run "
            "`python -m regions.sandbox up`"
        )
    items: list[Object] = answer["items"]
    return items
