"""The loopback network of each region, 127.N.0.0/16, chosen once and kept as long as it lives.

Several sandboxes may stand on one machine, and every pod listens on the port that its image fixes:
so each region has a network of its own, and in it each pod and Service an address.

    127.N.0.1                    the gateways' stand-in
    127.N.0.2                    what lies outside the cluster: the registry's store
    127.N.1.1 - 127.N.15.254     Services
    127.N.K.1 - 127.N.K.254      pods of the process node with number K, from 16 on
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import NETWORKS_FILE, REGIONS, write_atomically

FIRST_SERVICE_SUBNET: Final = 1
FIRST_POD_SUBNET: Final = 16
LAST_SUBNET: Final = 255
# 127.0 is everybody's, and Debian gives the host's own name 127.0.1.1.
_OCTETS: Final = range(16, 255)


def choose_networks(*, anything_runs: bool) -> None:
    """Choose the networks of a new sandbox; those of a living one stay. One thread only.

    Of a sandbox of which nothing runs, a network in which somebody else listens is chosen anew.
    """
    chosen, taken = _known(), set() if anything_runs else listening()
    if set(chosen) != set(REGIONS) or taken & set(chosen.values()):
        free = [octet for octet in _OCTETS if octet not in taken]
        chosen = dict(zip(REGIONS, random.sample(free, len(REGIONS)), strict=True))
        write_atomically(NETWORKS_FILE, json.dumps(chosen, indent=2) + "\n")


def network(region: str) -> str:
    """The first two numbers of every address of the region, `127.N`.

    Raises SandboxError when there is no sandbox.
    """
    try:
        return f"127.{_known()[region]}"
    except KeyError as reason:
        raise SandboxError(
            "there is no sandbox here; start it by `python -m regions.sandbox up`"
        ) from reason


def gateway_address(region: str) -> str:
    """Where the gateways' stand-in listens, on the ports of their listeners."""
    return f"{network(region)}.0.1"


def outside_address(region: str) -> str:
    """Where pods reach what lies outside the cluster."""
    return f"{network(region)}.0.2"


def listening() -> set[int]:
    """The second numbers of all loopback addresses on which somebody listens at this moment."""
    found: set[int] = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        address = int(local.partition(":")[0], 16)  # little-endian: 0100007F is 127.0.0.1
        if state == "0A" and address & 0xFF == 127:
            found.add(address >> 8 & 0xFF)
    return found


def _known() -> dict[str, int]:
    try:
        return {str(name): int(n) for name, n in json.loads(NETWORKS_FILE.read_text()).items()}
    except (FileNotFoundError, ValueError):
        return {}
