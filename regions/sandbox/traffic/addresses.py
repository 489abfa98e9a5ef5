"""The address of each Service on loopback: by its name, and the same after every restart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from regions.sandbox.layout import hosts_file, write_atomically
from regions.sandbox.networks import FIRST_POD_SUBNET, FIRST_SERVICE_SUBNET

_PER_SUBNET: Final = 254
_PLACES: Final = (FIRST_POD_SUBNET - FIRST_SERVICE_SUBNET) * _PER_SUBNET


def given(known: Mapping[str, str], names: Iterable[str], network: str) -> dict[str, str]:
    """The address of every name of `names`, those of `known` unchanged, in `network` (`127.N`).

    A name that is gone keeps its address, for a client may still have it, until others need it.
    """
    wanted = sorted(set(names))
    kept = {name: ip for name, ip in known.items() if ip.startswith(f"{network}.")}
    if len(kept | dict.fromkeys(wanted, "")) > _PLACES:
        kept = {name: ip for name, ip in kept.items() if name in wanted}
    taken = set(kept.values())
    for name in wanted[:_PLACES]:
        if name not in kept:
            kept[name] = _free(name, network, taken)
            taken.add(kept[name])
    return kept


def _free(name: str, network: str, taken: set[str]) -> str:
    first = int(hashlib.sha256(name.encode()).hexdigest(), 16)
    places = ((first + step) % _PLACES for step in range(_PLACES))
    return next(ip for place in places if (ip := _address(network, place)) not in taken)


def _address(network: str, place: int) -> str:
    subnet, host = divmod(place, _PER_SUBNET)
    return f"{network}.{FIRST_SERVICE_SUBNET + subnet}.{host + 1}"


def record(region: str) -> Path:
    """Where the addresses of a region's Services are kept between runs."""
    return hosts_file(region).with_name("service-addresses.json")


def read(region: str) -> dict[str, str]:
    """The recorded addresses by `NAMESPACE/NAME`; empty without a readable record."""
    try:
        return {str(name): str(ip) for name, ip in json.loads(record(region).read_text()).items()}
    except (FileNotFoundError, ValueError):
        return {}


def write(region: str, addresses: Mapping[str, str]) -> None:
    """Record the addresses."""
    write_atomically(record(region), json.dumps(dict(sorted(addresses.items())), indent=2) + "\n")
