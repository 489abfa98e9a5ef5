"""Our own images, built by `make images` over the sandbox's base: once for the same sources."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from regions.sandbox.layout import ROOT
from regions.sandbox.node.images import PYTHON_IMAGE, base, crane, made_once, registry_address, run
from regions.sandbox.node.network import Network
from regions.sandbox.toolchain import Say

_BUILD_SECONDS: Final = 600
_FOLDER: Final = "isoserve"
"""Where the registry has them."""
_ROOMS: Final = ("components", "model_specs", "regions", "stacks/images")
"""What the images' programs and their build may import."""


def push(network: Network, say: Say) -> dict[str, str]:
    """Put them into the region's registry; the address of each below the registry, by its name.

    Raises SandboxError where there is no builder of images, or a build fails.
    """
    with made_once(f"own-images-{_sources(base(say))}") as (kept, partial):
        if partial:
            say("building our own images (about 1 min)")
            _build(network, partial)
    made = {}
    for image in kept.iterdir():
        target = registry_address(f"isoserve.dev/{_FOLDER}/{image.name}:sandbox", network)
        told = crane("push", "--insecure", str(image), target)
        made[image.name] = told.strip().partition("/")[2]
    return made


def _sources(below: Path) -> str:
    """A digest of all that a build reads."""
    told = hashlib.sha256(below.name.encode())
    for path in sorted(_read_by_builds()):
        told.update(f"{path.relative_to(ROOT)} ".encode() + path.read_bytes())
    return told.hexdigest()[:16]


def _read_by_builds() -> Iterator[Path]:
    yield from (ROOT / "requirements.txt", ROOT / "pyproject.toml")
    for room in _ROOMS:
        for pattern in ("*.py", "Dockerfile"):
            yield from (ROOT / room).rglob(pattern)


def _build(network: Network, partial: Path) -> None:
    """Build and push them by `make images`, and keep each as a folder of OCI's image layout."""
    below, folder = registry_address(PYTHON_IMAGE, network), partial.parent
    digest = crane("digest", "--insecure", below).strip()
    words = ["-m", "stacks.images", "--base", f"{below.rpartition(':')[0]}@{digest}"]
    words += ["--registry", registry_address(f"isoserve.dev/{_FOLDER}", network), "--plain-http"]
    words += ["--builder=buildah", "--version=sandbox", "--source=", "--json"]
    storage = folder / "storage.conf"
    places = f'graphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
    storage.write_text(f'[storage]\ndriver = "overlay"\n{places}')
    env = {
        "CONTAINERS_STORAGE_CONF": str(storage),
        "NO_PROXY": network.api_address,
        "PYTHONPATH": str(ROOT),
    }
    built: dict[str, str] = json.loads(run([sys.executable, *words], env, _BUILD_SECONDS))
    for name, address in built.items():
        crane("pull", "--insecure", "--format=oci", address, str(partial / name))
