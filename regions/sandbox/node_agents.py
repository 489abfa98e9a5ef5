"""The agents of process nodes: one daemon a node, which runs its pods as processes of this machine.

A Node says who runs it: kwok, or the sandbox whose folder it is annotated with. Two sandboxes may
share one cluster, and each starts agents for its own nodes only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from regions.sandbox import processes
from regions.sandbox.kube import Object
from regions.sandbox.layout import HOME, RUN, region_home
from regions.sandbox.process_node.container import end_leftovers

_KIND: Final = "isoserve.dev/sandbox-node"
_OWNER: Final = "isoserve.dev/sandbox-home"


def marks() -> dict[str, str]:
    """What marks a Node as one that an agent of this sandbox runs."""
    return {_KIND: "process", _OWNER: str(HOME)}


def start(region: str, nodes: Iterable[Object]) -> int:
    """Start the agents of those nodes that are this sandbox's; how many are new."""
    own = marks().items()
    names = [
        node["metadata"]["name"]
        for node in nodes
        if own <= node["metadata"].get("annotations", {}).items()
    ]
    return sum(
        processes.start(
            f"{region}.node.{name}",
            [sys.executable, "-m", "regions.sandbox.process_node", region, name],
            processes.python_env(),
        )
        for name in names
    )


def stop(region: str) -> int:
    """End all agents of a region, and with them every pod's processes; how many agents ran."""
    running = [path.stem for path in RUN.glob(f"{region}.node.*.pid")]
    with ThreadPoolExecutor() as pool:
        ended = sum(pool.map(processes.stop, running))
    # An agent that was killed could end nothing.
    for home in (region_home(region) / "nodes").glob("*"):
        end_leftovers(home)
    return ended
