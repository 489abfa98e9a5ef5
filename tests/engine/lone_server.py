"""One region's API server, controllers, scheduler and simulated kubelets, and no more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from regions.sandbox import crds
from tests.engine.world import World, copy_tree

_START: Final = """
from regions.sandbox import control_plane, ports
ports.choose_ports(anything_runs=False)
control_plane.start(control_plane.on_loopback("{}"))
"""
_STOP: Final = "from regions.sandbox import control_plane; control_plane.stop('{}')"


@contextmanager
def lone_server(root: Path, region: str) -> Iterator[World]:
    """Started from a copy of the tree at `root`, with the region's custom resources defined."""
    world = copy_tree(root)
    done = world.run(sys.executable, "-c", _START.format(region))
    try:
        assert done.returncode == 0, done.stderr[-3000:]
        crds.install(world.cluster(region))
        yield world
    finally:
        if world.run(sys.executable, "-c", _STOP.format(region)).returncode == 0:
            world.forget()
