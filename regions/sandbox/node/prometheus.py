"""Prometheus as a pod on a region's first machine, and its image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from regions.sandbox import prometheus
from regions.sandbox.kube import Cluster
from regions.sandbox.node import images, region
from regions.sandbox.node.images import PYTHON_IMAGE, Image
from regions.sandbox.node.network import Network

IMAGE: Final = "isoserve.dev/prometheus:1"
PORT: Final = 9090
CONFIG: Final = Path("/config")
"""Where the pod sees the folder of its files."""

SERIES: Final = Path("/series")


def install(cluster: Cluster, network: Network, folder: Path, arguments: Sequence[str]) -> None:
    """Put the image into the region's registry, and the pod, with its files in `folder`, onto the
    first machine.

    Raises SandboxError where there is no Prometheus to be had, or that machine has not come.
    """
    program = prometheus.ensure()["prometheus"]
    # Debian's needs the C library of a Debian of the same release.
    layer, entrypoint = images.layer_of(program), (f"/{program.name}",)
    image = Image(IMAGE, PYTHON_IMAGE, layer, entrypoint, "65534:65534", "/")
    values = {
        "arguments": json.dumps(list(arguments)),
        "folder": json.dumps(str(folder)),
        "image": images.pinned(IMAGE, images.push(image, network)),
        "machine": region.name_of(cluster, network.machine_address(1)),
    }
    for made in region.documents("prometheus.yaml", **values):
        region.apply(cluster, made)
