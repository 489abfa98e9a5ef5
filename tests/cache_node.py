"""A node with a cache agent in it, whose time and chance are the test's."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.model_cache.config import Config, Wanted
from components.model_cache.hold import Holder
from components.model_cache.peers import Peers
from components.model_cache.retry import Retries
from components.model_cache.shelf import Shelf, is_digest, of_project
from components.model_cache.signs import Signs
from components.model_cache.source import Origin
from components.model_registry.store import Store

GIB = 1024**3


@dataclass
class Node:
    """`turn` is one turn of the agent; `seconds` are those since the machine's start."""

    root: Path
    store: Store
    peers: Peers | None = None
    budget_bytes: int = GIB
    disk_free_percent: int = 0
    """0, so that no test depends on how full this machine's disk is."""
    seconds: float = 0.0
    needs: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    """What pods need, by project; of one that is not in it nothing is known."""
    signs: Signs = field(default_factory=lambda: Signs("node-1"))

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The agent's process ends and another begins; the metrics go on, to be looked at."""
        retries = Retries(lambda: self.seconds, lambda most: most, 0.0)
        origin = Origin(self.store, self.peers)
        self.holder = Holder(self.root, origin, self.signs, retries, lambda: dict(self.needs))

    def turn(self, *models: Wanted) -> None:
        config = Config(
            budget_bytes=self.budget_bytes,
            disk_free_percent=self.disk_free_percent,
            models=models,
        )
        self.holder.turn(config)

    def hold(self, *models: Wanted) -> None:
        """As many turns as there are models, long enough apart for every retry."""
        for _ in models or (None,):
            self.turn(*models)
            self.seconds += 600.0

    def shelf(self, project: str) -> Shelf:
        return of_project(self.root, project)

    def age(self, one: Wanted, seconds: float) -> None:
        """Let it be longer that nobody asks for a version."""
        mark = self.shelf(one.project).unlisted(one.digest)
        before = mark.stat().st_mtime - seconds
        os.utime(mark, (before, before))

    def files(self, one: Wanted) -> dict[str, bytes]:
        """All that a pod sees of a version; nothing when it is not there."""
        return files_below(self.shelf(one.project).version(one.digest))

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series of this node."""
        wanted = {"node": "node-1", **labels}
        told = ",".join(f'{key}="{wanted[key]}"' for key in sorted(wanted))
        start = f"isoserve_cache_{name}{{{told}}} "
        (line,) = (row for row in self.signs.text().decode().splitlines() if row.startswith(start))
        return float(line.removeprefix(start))


def files_below(top: Path) -> dict[str, bytes]:
    return {p.relative_to(top).as_posix(): p.read_bytes() for p in top.rglob("*") if p.is_file()}


def check_visible(root: Path, expected: Mapping[tuple[str, str], Mapping[str, bytes]]) -> int:
    """Fail unless each directory that pods can mount is all of its version; how many there are."""
    found = 0
    for top in (path for path in root.glob("[!.]*/*") if is_digest(path.name)):
        files = expected[top.parent.name, top.name]
        assert files_below(top) == files, "visible means verified"
        modes = {stat.S_IMODE(path.stat().st_mode) for path in top.rglob("*")}
        assert modes <= {0o444, 0o555}, "nobody writes what is verified"
        found += 1
    return found


def a_version(
    digest: str,
    size: int = 1,
    model: str = "model",
    *,
    project: str = "search",
    pinned: bool = False,
) -> Wanted:
    """A version as the config lists it, which no store need have."""
    return Wanted(
        project=project,
        model=model,
        address=f"{project}/{model}:v1@sha256:{digest}",
        digest=digest,
        bytes=size,
        pinned=pinned,
    )
