"""Reads what the agent is told to hold. What is not well formed is refused as a whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from components.model_registry import keys
from components.model_registry.errors import RegistryError

_GIB: Final = 1024**3
_DIGEST: Final = "sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model version that nodes hold; `digest` is the manifest's, in hex digits."""

    project: str
    model: str
    address: str
    digest: str
    bytes: int
    """Its size as the plan has it, 0 when nobody told; an order and a notice depend on it."""
    pinned: bool
    """Whether every node holds it, be its pods there or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a node may hold: the models, the bytes that they may take together, what stays free."""

    budget_bytes: int
    disk_free_percent: int
    """Share of the file system that the models leave free, whatever their budget says."""
    models: tuple[Wanted, ...]


def wanted(text: str, size: int, *, pinned: bool) -> Wanted:
    """The version with this address, which must name a digest. Raises RegistryError."""
    found = keys.address(text)
    if not found.digest:
        raise RegistryError(f"{text} is not pinned; add @sha256:<digest of its manifest>")
    return Wanted(
        project=found.project,
        model=found.model,
        address=text,
        digest=found.digest.removeprefix(_DIGEST),
        bytes=size,
        pinned=pinned,
    )


def load(path: Path) -> Config:
    """The config in `path`; ValueError or OSError where it cannot be had.

    Names become directories of a root process, so only the address is believed, which is checked
    letter by letter; the row's other words must agree with it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        gib, percent = found["disk_budget_gib"], found["disk_free_percent"]
        rows = {(one.project, one.digest): one for one in map(_row, found["models"])}
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"is of another version than this program: {error!r}") from None
    except RegistryError as error:
        raise ValueError(str(error)) from None
    if type(gib) is not int or gib < 1:
        raise ValueError(f"disk_budget_gib is a whole number from 1, got {gib!r}")
    if type(percent) is not int or not 0 <= percent <= 90:
        raise ValueError(f"disk_free_percent is a whole number from 0 to 90, got {percent!r}")
    return Config(budget_bytes=gib * _GIB, disk_free_percent=percent, models=tuple(rows.values()))


def _row(row: dict[str, Any]) -> Wanted:
    found = wanted(row["address"], int(row["bytes"]), pinned=row["pinned"] is True)
    if (row["project"], row["digest"]) != (found.project, found.digest):
        raise ValueError(f"{found.address}: its project or digest is told differently beside it")
    return found
