"""The network of one region: a namespace for its control plane, and one for each of its machines.

A region has a number N that no other region of this host has, and all of its addresses follow. Who
has a number is a link in /run/isoserve to the region's folder, which only one can make; like
namespaces it does not survive a reboot.

    198.18.N.1         the host, seen from the region
    198.18.N.2         the region's API server
    198.19.N.1         the router of its machines, in the region's namespace
    198.19.N.(10+K)    machine K
    198.19.N.200, 201  the gateways, internal and public, as a load balancer would have them
    10.244.K.0/24      the pods of machine K: the same in every region, and never seen outside
    10.96.0.0/16       Services: the same in every region

RFC 2544 keeps 198.18.0.0/15 for tests of networks between devices. Of the host's own network only a
veth pair and a route to the machines are new, both named after the region's number.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import region_home
from regions.sandbox.node.packages import environment

NUMBERS: Final = range(1, 255)
POD_RANGE: Final = "10.244.0.0/16"
SERVICE_RANGE: Final = "10.96.0.0/16"
API_SERVICE: Final = "10.96.0.1"
DNS_SERVICE: Final = "10.96.0.10"
INTERNAL_SERVICE: Final = "10.96.0.80"
PUBLIC_SERVICE: Final = "10.96.0.81"
"""Where pods find every host of the region's domain: below `internal.`, and the others."""
ISSUER_SERVICE: Final = "10.96.0.82"
"""Where pods find who signs tokens."""
_GATEWAYS: Final = {"internal": 200, "public": 201}
_NAMESPACES: Final = Path("/run/netns")
_CLAIMS: Final = Path("/run/isoserve")
_FORWARD: Final = "echo 1 >/proc/sys/net/ipv4/ip_forward"
_BRIDGE: Final = "machines"


@dataclass(frozen=True, slots=True)
class Network:
    """The names and addresses of the region with a number of `NUMBERS`."""

    number: int

    @property
    def name(self) -> str:
        """The region's namespace, and the host's end of the veth pair."""
        return f"isoserve-{self.number}"

    @property
    def host_address(self) -> str:
        """The host, seen from the region."""
        return f"198.18.{self.number}.1"

    @property
    def api_address(self) -> str:
        """Where the API server listens."""
        return f"198.18.{self.number}.2"

    @property
    def machine_range(self) -> str:
        """The network of the machines: the host has a route to it."""
        return f"198.19.{self.number}.0/24"

    @property
    def router_address(self) -> str:
        """The machines' way to each other's pods, the API server and the host."""
        return f"198.19.{self.number}.1"

    def machine_namespace(self, index: int) -> str:
        """The namespace of machine `index`, counted from 1."""
        return f"{self.name}-{index}"

    def machine_address(self, index: int) -> str:
        """The address of machine `index`."""
        return f"198.19.{self.number}.{10 + index}"

    def gateway_address(self, name: str) -> str:
        """Where the host finds a gateway, `internal` or `public`."""
        return f"198.19.{self.number}.{_GATEWAYS[name]}"

    def pod_range(self, index: int) -> str:
        """The pods of machine `index`."""
        return f"10.244.{index}.0/24"


def claimed(owner: Path) -> Network | None:
    """The network of the region whose folder is `owner`; None where it has none."""
    for link in _CLAIMS.glob("*"):
        with contextlib.suppress(OSError, ValueError):
            if link.readlink() == owner:
                return Network(int(link.name))
    return None


def network_of(region: str) -> Network | None:
    """The network of a region's real machines; None where an existing cluster takes their place."""
    return claimed(region_home(region))


def claim(owner: Path) -> Network:
    """Take a number that nobody has for the region whose folder is `owner`.

    Raises SandboxError where all are taken, or this user may not.
    """
    try:
        _CLAIMS.mkdir(exist_ok=True)
        for number in random.sample(NUMBERS, len(NUMBERS)):
            link = _CLAIMS / str(number)
            if not (_NAMESPACES / Network(number).name).exists():
                with contextlib.suppress(FileExistsError):
                    link.symlink_to(owner)
                    return Network(number)
    except OSError as reason:
        raise SandboxError(f"{_CLAIMS} cannot be written: {reason.strerror}") from reason
    raise SandboxError(f"all {len(NUMBERS)} regions of this host are taken; take one down")


def release(network: Network) -> None:
    """Give the number back: the last step, once nothing of the region is left."""
    (_CLAIMS / str(network.number)).unlink(missing_ok=True)


def enter(namespace: str) -> tuple[str, ...]:
    """The words before a command that is to run in the namespace.

    Not `ip netns exec`: that mounts /sys anew, which hides the control groups.
    """
    return ("nsenter", f"--net={_NAMESPACES / namespace}", "--")


def make_region(network: Network) -> None:
    """Make the region's namespace, unless it stands whole.

    Raises SandboxError where this user may not.
    """
    if _stands(network.name):
        return
    remove(network)
    inside = ("ip", "-n", network.name)
    _run(
        ("ip", "netns", "add", network.name),
        ("ip", "link", "add", network.name, "type", "veth", "peer", "eth0", "netns", network.name),
        ("ip", "address", "add", f"{network.host_address}/24", "dev", network.name),
        ("ip", "link", "set", network.name, "up"),
        (*inside, "address", "add", f"{network.api_address}/24", "dev", "eth0"),
        (*inside, "link", "set", "eth0", "up"),
        # No default route: the host answers at its own address, and nothing lies behind it.
        (*enter(network.name), "sh", "-c", _FORWARD),
        ("ip", "route", "add", network.machine_range, "via", network.api_address),
        (*inside, "link", "add", _BRIDGE, "type", "bridge"),
        (*inside, "address", "add", f"{network.router_address}/24", "dev", _BRIDGE),
        (*inside, "link", "set", _BRIDGE, "up"),
        _whole(network.name),
    )


def make_machine(network: Network, index: int) -> None:
    """Make the namespace of a machine of the region, unless it stands whole."""
    own, port = network.machine_namespace(index), f"machine-{index}"
    if _stands(own):
        return
    _remove_namespace(own)
    # The kernel removes it a moment after its other end.
    _try("ip", "-n", network.name, "link", "delete", port)
    inside, region = ("ip", "-n", own), ("ip", "-n", network.name)
    address = network.machine_address(index)
    _run(
        ("ip", "netns", "add", own),
        (*enter(own), "sh", "-c", _FORWARD),
        (*enter(own), "nft", _leaving_as(address)),
        (*region, "link", "add", port, "type", "veth", "peer", "eth0", "netns", own),
        (*region, "link", "set", port, "master", _BRIDGE, "up"),
        (*inside, "address", "add", f"{address}/24", "dev", "eth0"),
        (*inside, "link", "set", "eth0", "up"),
        (*inside, "route", "add", "default", "via", network.router_address),
        (*region, "route", "replace", network.pod_range(index), "via", address),
        *_ways_to_gateways(network, index),
        _whole(own),
    )


def remove(network: Network) -> None:
    """Remove the region's and its machines' namespaces, the veth pair and the route.

    The processes in them must have ended: a namespace lives as long as one of them.
    """
    # The route goes with the host's end of the pair, and the pair with either of its ends.
    _try("ip", "link", "delete", network.name)
    for name in (*map(network.machine_namespace, machines_of(network)), network.name):
        _remove_namespace(name)


def remove_machine(network: Network, index: int) -> None:
    """Remove a machine's namespace, and the way to its pods; its processes must have ended."""
    _try("ip", "-n", network.name, "route", "delete", network.pod_range(index))
    _remove_namespace(network.machine_namespace(index))


def machines_of(network: Network) -> list[int]:
    """The indices of the machines whose namespaces there are."""
    names = [path.name for path in _NAMESPACES.glob(f"{network.name}-*")]
    return sorted(int(name.rpartition("-")[2]) for name in names)


def processes_in(namespace: str) -> list[int]:
    """The processes of the namespace, by the host's ids."""
    told = _try("ip", "netns", "pids", namespace)
    return [int(word) for word in told.stdout.split()]


def _ways_to_gateways(network: Network, index: int) -> list[tuple[str, ...]]:
    """The first machine takes what comes for the gateways, and its kube-proxy leads it on."""
    if index != 1:
        return []
    route = ("ip", "-n", network.name, "route", "replace")
    via = ("via", network.machine_address(1))
    return [(*route, network.gateway_address(name), *via) for name in _GATEWAYS]


def _leaving_as(address: str) -> str:
    """Pods leave the region under the machine's address, and speak to each other under their own.

    The API server and the machines' own network count as outside, as on a machine of a data centre.
    """
    chain = "ip machine leaving"
    return (
        "add table ip machine; "
        f"add chain {chain} {{ type nat hook postrouting priority srcnat; }}; "
        f"add rule {chain} ip saddr {POD_RANGE} ip daddr != {POD_RANGE} snat to {address}"
    )


def _whole(namespace: str) -> tuple[str, ...]:
    """The last step of making a namespace: without it a kill has cut that short."""
    return ("ip", "-n", namespace, "link", "set", "lo", "up")


def _stands(namespace: str) -> bool:
    if not (_NAMESPACES / namespace).exists():
        return False
    return bool(_try("ip", "-n", namespace, "-brief", "link", "show", "dev", "lo", "up").stdout)


def _remove_namespace(name: str) -> None:
    _try("ip", "netns", "delete", name)


def _try(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)


def _run(*commands: Sequence[str]) -> None:
    for command in commands:
        done = _try(*command)
        if done.returncode:
            raise SandboxError(f"`{' '.join(command)}` was refused: {done.stderr.strip()}")
