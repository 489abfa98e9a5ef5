"""Our own images for a real region, built by `make images` over the sandbox's base."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from regions.sandbox.node.machine import REGISTRY_PORT
from regions.sandbox.node.network import Network
from tests.engine.real_region import RealRegion
from tests.examples import ROOT


def built_images(region: RealRegion, folder: Path) -> dict[str, str]:
    """Build and push both; each image's address in the region's registry, by its name.

    `folder` is the builder's storage: a second build in it begins from what the first has left.
    """
    registry = f"{Network(region.number).api_address}:{REGISTRY_PORT}"
    storage = folder / "storage.conf"
    places = f'graphroot = "{folder / "images"}"\nrunroot = "{folder / "run"}"\n'
    storage.write_text(f'[storage]\ndriver = "overlay"\n{places}')
    crane = region.world.root / ".isoserve" / "bin" / "crane"
    digest = _printed(str(crane), "digest", "--insecure", f"{registry}/python:1").strip()
    words = (sys.executable, "-m", "stacks.images", "--base", f"{registry}/python@{digest}")
    target = ("--registry", f"{registry}/isoserve", "--plain-http", "--json", "--builder=buildah")
    env = os.environ | {"CONTAINERS_STORAGE_CONF": str(storage), "NO_PROXY": "*"}
    made: dict[str, str] = json.loads(_printed(*words, *target, env=env))
    return made


def _printed(*argv: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
