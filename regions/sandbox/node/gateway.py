"""The gateways' stand-in as a pod on a region's first machine, and its image."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Final

from regions.sandbox.kube import Cluster
from regions.sandbox.layout import ROOT
from regions.sandbox.node import images, region
from regions.sandbox.node.images import PYTHON_IMAGE, Image
from regions.sandbox.node.layers import PACKAGES, packages_layer, pins_of
from regions.sandbox.node.network import GATEWAY_SERVICE, POD_RANGE, Network
from regions.sandbox.toolchain import Say

IMAGE: Final = "isoserve.dev/gateway:1"
IMPORTS: Final = (
    "aiohappyeyeballs", "aiohttp", "aiosignal", "attrs", "certifi", "charset-normalizer",
    "frozenlist", "idna", "multidict", "propcache", "pyyaml", "requests", "typing-extensions",
    "urllib3", "yarl",
)  # fmt: skip
"""What the program imports of others, and what that imports."""
_SOURCES: Final = (
    "regions/__init__.py",
    "regions/sandbox/__init__.py",
    "regions/sandbox/complaints.py",
    "regions/sandbox/errors.py",
    "regions/sandbox/kube.py",
)


def sources() -> list[Path]:
    """The files of ours that the image holds, from the root of the tree."""
    traffic = sorted((ROOT / "regions" / "sandbox" / "traffic").glob("*.py"))
    return [*map(Path, _SOURCES), *(path.relative_to(ROOT) for path in traffic)]


def install(cluster: Cluster, network: Network, say: Say) -> None:
    """Put the image into the region's registry, and the pod onto its first machine.

    Raises SandboxError where packages are not to be had, or that machine has not come.
    """
    values = {
        "address": GATEWAY_SERVICE,
        "image": images.pinned(IMAGE, images.push(image(say), network)),
        "machine": region.name_of(cluster, network.machine_address(1)),
        "pods": POD_RANGE,
    }
    for made in region.documents("gateway.yaml", **values):
        region.apply(cluster, made)


def image(say: Say) -> Image:
    """The image, with a layer that is made once for the same files. Raises SandboxError."""
    files = []
    for path in sources():
        entry = tarfile.TarInfo(f"{PACKAGES}/{path}")
        entry.mode = 0o644
        files.append((entry, (ROOT / path).read_bytes()))
    layer = packages_layer("gateway", pins_of(IMPORTS), files, say)
    return Image(IMAGE, PYTHON_IMAGE, layer, ("/usr/bin/python3",), "65532:65532", "/")
