"""The text of the hosts file by which pods find Services, the gateways and what lies outside."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from regions.sandbox.traffic.endpoints import Endpoints
from regions.sandbox.traffic.watch import Key

_HEAD: Final = (
    "# Kept by regions.sandbox.traffic; changes by hand are lost.",
    "127.0.0.1 localhost",
    "::1 localhost ip6-localhost ip6-loopback",
)


def text(
    outside: tuple[str, str],
    services: Mapping[Key, Endpoints],
    addresses: Mapping[str, str],
    gateway: tuple[str, Iterable[str]],
) -> str:
    """The whole file.

    `outside` is an address and the name of what lies there; `gateway` an address and the names of
    all routes. A headless Service has a line for each ready pod: a lookup finds them all.
    """
    outside_address, outside_name = outside
    lines = [*_HEAD, f"{outside_address} {' '.join(_forms(outside_name))}"]
    for (namespace, name), behind in sorted(services.items()):
        short = f"{name}.{namespace}.svc"
        if short == outside_name:
            continue  # one name is one place
        own = () if behind.headless else (addresses.get(f"{namespace}/{name}"),)
        places = sorted(set(behind.addresses)) if behind.headless else own
        lines += [f"{ip} {' '.join(_forms(short))}" for ip in places if ip]
    gateway_address, routes = gateway
    # A hosts file knows no wildcards.
    lines += [f"{gateway_address} {host}" for host in sorted(set(routes)) if host[:1] != "*"]
    return "\n".join(lines) + "\n"


def _forms(name: str) -> tuple[str, ...]:
    if not name.endswith(".svc"):
        return (name,)
    return name.removesuffix(".svc"), name, f"{name}.cluster.local"


def write_in_place(path: Path, wanted: str) -> bool:
    """Give the file this text; whether it had another.

    Containers hold the very file, so it must stay the same one. What it had more is overwritten by
    empty lines before it is cut off, so that nobody reads half a line of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        before = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        now = wanted.encode()
        if before == now:
            return False
        os.pwrite(descriptor, now.ljust(len(before), b"\n"), 0)
        os.ftruncate(descriptor, len(now))
        return True
    finally:
        os.close(descriptor)
