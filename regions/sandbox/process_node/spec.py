"""What a container is to be, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file or folder of the host, and its absolute path inside."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who the program is; the capabilities are those it keeps, as Kubernetes spells them: CHOWN.

    As in Kubernetes only root can use them. When the sandbox itself runs as an ordinary user, that
    user is mapped to this one: the program sees the ids, but no groups and no other ids' files.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]
    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One run of one container. `hosts` is seen as /etc/hosts, live if it is rewritten in place.

    `home` is this run's own folder, for its root's mount point, its pid record and its termination
    log; standard output and error are appended to `log`.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    mounts: tuple[Mount, ...]
    hosts: Path
    user: User
    read_only_root: bool
    working_directory: str
    home: Path
    log: Path
