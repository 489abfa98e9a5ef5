"""The sandbox's loopback ports, chosen once and kept as long as it lives."""

from __future__ import annotations

import json
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import PORTS_FILE, REGIONS, write_atomically
from regions.sandbox.processes import free_ports, is_free

_REGION_PARTS: Final = ("etcd", "etcd-peer", "kube-apiserver")
_NAMES: Final = ("moto", *(f"{region}.{part}" for region in REGIONS for part in _REGION_PARTS))


def choose_ports(*, anything_runs: bool) -> None:
    """Choose the ports of a new sandbox; those of a living one stay. One thread only.

    Of a sandbox of which nothing runs, say after a reboot, a taken port makes all be chosen anew.
    """
    chosen = known_ports()
    usable = anything_runs or all(map(is_free, chosen.values()))
    if set(chosen) != set(_NAMES) or not usable:
        chosen = dict(zip(_NAMES, free_ports(len(_NAMES)), strict=True))
        write_atomically(PORTS_FILE, json.dumps(chosen, indent=2) + "\n")


def ports() -> dict[str, int]:
    """The port of every part by name (`moto`, `sandbox-aws.etcd`, ...).

    Raises SandboxError when there is no sandbox.
    """
    chosen = known_ports()
    if set(chosen) != set(_NAMES):
        raise SandboxError("there is no sandbox here; start it by `python -m regions.sandbox up`")
    return chosen


def known_ports() -> dict[str, int]:
    """The ports chosen so far; empty when there is no sandbox."""
    try:
        return {str(name): int(port) for name, port in json.loads(PORTS_FILE.read_text()).items()}
    except (FileNotFoundError, ValueError):
        return {}


def object_store_url() -> str:
    """The address of the local AWS for clients."""
    return f"http://127.0.0.1:{ports()['moto']}"
