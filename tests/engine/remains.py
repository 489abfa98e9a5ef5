"""What a region of real machines has left on this machine after it was taken down: nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from regions.sandbox.node.network import Network, machines_of
from tests.engine.world import World


def names_of(network: Network) -> list[str]:
    """The network namespaces of a region that is up: its own, and one for each machine."""
    return [network.name, *map(network.machine_namespace, machines_of(network))]


def left_of(network: Network, names: Sequence[str], world: World) -> Mapping[str, Sequence[object]]:
    """By kind, what is left of the region whose namespaces had these names."""
    return {
        "namespaces": [name for name in names if Path("/run/netns", name).exists()],
        "links": [name for name in names if Path("/sys/class/net", name).exists()],
        "routes": [line for line in printed("ip", "route") if network.machine_range in line],
        "control groups": groups_named(names),
        "mounts": [one for one in printed("cat", "/proc/mounts") if str(world.root) in one],
        "loop devices": [one for one in printed("losetup", "-a") if str(world.root) in one],
        "processes": world.processes(),
    }


def groups_named(names: Collection[str]) -> list[str]:
    """The control groups of these names; others' may end meanwhile, which os.walk passes over."""
    return [place for place, _, _ in os.walk("/sys/fs/cgroup") if Path(place).name in names]


def printed(*argv: str) -> list[str]:
    """The lines that a command prints."""
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
