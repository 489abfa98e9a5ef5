"""The pod network of a node, 127.N.K.0/24: which K is the node's, and which address is free."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import region_home
from regions.sandbox.networks import FIRST_POD_SUBNET, LAST_SUBNET

PAUSE_SECONDS: Final = 30.0
"""How long a freed address rests: whoever still sends to the old pod mustn't meet the new one."""
_POD_HOSTS: Final = range(1, 255)
# On loopback only 127.255.255.255 is a broadcast: .255 is an address like any other.
_NODE_HOST: Final = 255


def claim(region: str, node: str) -> int:
    """The node's K, its own of before or the lowest that nobody has. Raises SandboxError."""
    folder = _folder(region)
    folder.mkdir(parents=True, exist_ok=True)
    for path in _claims_of(region, node):
        return int(path.name)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".claim.")
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(node)
        for number in range(FIRST_POD_SUBNET, LAST_SUBNET + 1):
            # A link is made whole or not at all, and never over another's.
            with contextlib.suppress(FileExistsError):
                os.link(name, folder / str(number))
                return number
    finally:
        Path(name).unlink()
    raise SandboxError(f"region {region}: no pod network is free for node {node}; see {folder}")


def give_back(region: str, node: str) -> None:
    """Let other nodes have this node's K; for a node that never comes back."""
    for path in _claims_of(region, node):
        path.unlink(missing_ok=True)


class Addresses:
    """The addresses of one pod network, `127.N.K`. Not for several threads at once."""

    def __init__(self, prefix: str) -> None:
        """All are free."""
        self.node = f"{prefix}.{_NODE_HOST}"
        self._all = [f"{prefix}.{host}" for host in _POD_HOSTS]
        self._taken: set[str] = set()
        self._freed: dict[str, float] = {}

    def take(self, now: float) -> str:
        """The lowest free address; one that was just freed only when there is no other.

        Raises SandboxError when all are taken.
        """
        free = [one for one in self._all if one not in self._taken]
        if not free:
            raise SandboxError(f"all {len(self._all)} pod addresses of the node are taken")
        rested = [
            one for one in free if now - self._freed.get(one, -PAUSE_SECONDS) >= PAUSE_SECONDS
        ]
        chosen = rested[0] if rested else min(free, key=lambda one: self._freed[one])
        self._taken.add(chosen)
        return chosen

    def free(self, address: str, now: float) -> None:
        """Nobody listens there any more."""
        self._taken.discard(address)
        self._freed[address] = now


def _folder(region: str) -> Path:
    return region_home(region) / "subnets"


def _claims_of(region: str, node: str) -> Iterator[Path]:
    for path in sorted(_folder(region).glob("[0-9]*")):
        with contextlib.suppress(FileNotFoundError):
            if path.read_text() == node:
                yield path
