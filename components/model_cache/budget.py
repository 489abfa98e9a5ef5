"""Keeps the models within their budget and leaves free what the kubelet wants free of the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.model_cache.choice import Row
from components.model_cache.config import Config
from components.model_cache.evict import Held, going, in_bytes, in_inodes
from components.model_cache.fetch import empty_quarantine
from components.model_cache.room import Place
from components.model_cache.shelf import on_node

_LEAST_FREE_BYTES: Final = 1024**3
"""Stays free whatever the config says: the node's own files may be on the same file system."""
_INODES_FREE_PERCENT: Final = 10
"""The kubelet evicts pods below 5 % of free inodes (nodefs.inodesFree of its hard thresholds,
kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction)."""
Places = Mapping[str, Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the models of a node may take together, and what they take."""

    bytes: int
    """The configured bytes, or fewer (0 at least) where more would use up the reserve."""
    used_bytes: int
    short_bytes: int
    """How many bytes have to go for that; negative while there is room."""
    reserve_bytes: int
    """What stays free: below its eviction threshold the kubelet evicts the node's pods."""


def budget_of(root: Path, config: Config) -> Budget:
    """The budget on the file system of `root` as it is now."""
    disk = shutil.disk_usage(root)  # by statvfs, as the kubelet does
    reserve = max(_LEAST_FREE_BYTES, disk.total * config.disk_free_percent // 100)
    used = sum(shelf.used_bytes() for shelf in on_node(root).values())
    most = min(config.budget_bytes, used + disk.free - reserve)
    return Budget(
        bytes=max(most, 0), used_bytes=used, short_bytes=used - most, reserve_bytes=reserve
    )


def short_inodes(root: Path, needed: int) -> int:
    """How many inodes lack for `needed` more; negative while there are enough.

    A file system that makes them as they are needed counts none.
    """
    disk = os.statvfs(root)
    if not disk.f_files:
        return -1
    return needed - (disk.f_favail - disk.f_files * _INODES_FREE_PERCENT // 100)


def make_room(
    root: Path, places: Places, config: Config, needed: int, inodes: int, coming: Row | None
) -> tuple[list[Held], str]:
    """Let versions go until `needed` bytes and `inodes` more fit, for a version that comes, if any.

    Gives who went, or why that cannot be. When nothing is needed, as much goes as the budget asks
    for and may go.
    """
    gone, lack = _room_of_bytes(root, places, config, needed, coming)
    if lack:
        return gone, lack
    short = short_inodes(root, inodes)
    if short <= 0:
        return gone, ""
    held = [row for one in places.values() for row in one.held()]
    chosen, freed = going(held, short, coming, in_inodes)
    if inodes and freed < short:
        return gone, (
            f"the node lacks {short - freed} inodes for it: {_INODES_FREE_PERCENT} % of the disk's "
            "must stay free, since the kubelet evicts pods from a node that has few; cache models "
            "of fewer files, or fewer models"
        )
    for row in chosen:
        places[row.project].withdraw(row)
    return [*gone, *chosen], ""


def _room_of_bytes(
    root: Path, places: Places, config: Config, needed: int, coming: Row | None
) -> tuple[list[Held], str]:
    if budget_of(root, config).short_bytes + needed <= 0:
        return [], ""
    for one in places.values():
        empty_quarantine(one.shelf)
    budget = budget_of(root, config)
    short = budget.short_bytes + needed
    chosen, freed = going(
        (row for one in places.values() for row in one.held()), short, coming, in_bytes
    )
    if needed and freed < short:
        return [], (
            f"the node lacks {(short - freed) / 1e9:.2f} GB for it: its cache may take "
            f"{config.budget_bytes / 1e9:.0f} GB, and {budget.reserve_bytes / 1e9:.2f} GB of the "
            "disk must stay free, since the kubelet evicts pods from a node whose disk is nearly "
            "full; give larger disks or cache fewer models"
        )
    for row in chosen:
        places[row.project].withdraw(row)
    return chosen, ""
