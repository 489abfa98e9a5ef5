"""What a container sees of this machine: the steps by which enter.py builds its root.

The host's system folders, its Python and the virtual environments stand in for the image's layers,
read-only; nothing else of the host is there. The root is a small tmpfs, gone with the container.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from regions.sandbox.layout import ROOT, SERVERS
from regions.sandbox.process_node.spec import Container, Mount

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OURS: Final = (
    "components",
    "regions/__init__.py",
    "regions/aws_partitions.py",
    "regions/sandbox/example/scorer.py",
)
"""What images hold of this repository, as their Dockerfiles copy it, and no more of other rooms."""
TERMINATION_LOG: Final = "/dev/termination-log"
_SYSTEM: Final = ("/bin", "/lib", "/lib64", "/sbin")
_ETC: Final = (
    "alternatives", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types",
    "passwd", "pki", "ssl/certs", "ssl/openssl.cnf",
)  # fmt: skip
_DEVICES: Final = ("full", "null", "random", "tty", "urandom", "zero")
# Else a container's root could turn switches of the host; container runtimes do the same.
_HOST_SWITCHES: Final = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_FOLDERS: Final = (
    ("/dev", 0o755),
    ("/dev/shm", 0o1777),
    ("/etc", 0o755),
    ("/run", 0o755),
    ("/tmp", 0o1777),
    ("/var", 0o755),
    ("/var/tmp", 0o1777),
)
_LINKS: Final = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
)
# Names come from /etc/hosts alone, at once: there is no name server to wait for.
_FILES: Final = (
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    ("/etc/resolv.conf", "options timeout:1 attempts:1\n"),
)
_SHARED_MEMORY: Final = ("/dev/shm", "mode=1777,size=64m")  # as large as container runtimes make it


def plan_of(container: Container) -> dict[str, Any]:
    """What enter.py does for this container, as plain values."""
    shared_memory = [] if "/dev/shm" in _targets(container.mounts) else [_SHARED_MEMORY]
    return inside_plan(container, container.argv) | {
        "binds": [[str(m.source), m.target, m.read_only] for m in _binds(container)],
        "files": _FILES,
        "folders": _FOLDERS,
        "links": (*_LINKS, *((path, str(Path(path).readlink())) for path in _system_links())),
        "read_only_root": container.read_only_root,
        "root": str(root_of(container.home.resolve())),
        "root_options": "mode=0755,size=64m",
        "tmpfs": shared_memory,
    }


def inside_plan(container: Container, argv: Iterable[str]) -> dict[str, Any]:
    """What a program that runs inside needs, the first one or a later one."""
    user = container.user
    return {
        "argv": list(argv),
        "env": {"PATH": DEFAULT_PATH, **container.env},
        "user": {
            "capabilities": user.capabilities,
            "gid": user.gid,
            "groups": user.groups,
            "uid": user.uid,
        },
        "working_directory": container.working_directory or "/",
    }


def root_of(home: Path) -> Path:
    """Where the root is built; on the host it stays an empty folder."""
    return home / "root"


def termination_log_of(home: Path) -> Path:
    """What the container's program sees as /dev/termination-log."""
    return home / "termination-log"


def _binds(container: Container) -> list[Mount]:
    """Everything that is mounted, outer ones first: an inner one would be hidden else."""
    own = (
        _mount(container.hosts, "/etc/hosts", read_only=True),
        _mount(termination_log_of(container.home), TERMINATION_LOG, read_only=False),
        *(_mount(m.source, _inside(m.target), read_only=m.read_only) for m in container.mounts),
    )
    taken = _targets(own)
    system = [mount for mount in _machine() if mount.target not in taken]
    return sorted((*system, *own), key=lambda mount: len(Path(mount.target).parts))


def _machine() -> list[Mount]:
    read_only = (
        "/usr",
        *(path for path in _SYSTEM if not Path(path).is_symlink()),
        *(f"/etc/{name}" for name in _ETC),
        *(f"/proc/{name}" for name in _HOST_SWITCHES),
        *_programs(),
    )
    return [
        _mount(Path("/proc"), "/proc", read_only=False),
        *(_mount(Path(f"/dev/{n}"), f"/dev/{n}", read_only=False) for n in _DEVICES),
        *(_mount(Path(path), path, read_only=True) for path in read_only if Path(path).exists()),
    ]


def _programs() -> list[str]:
    """Python, what is installed for it, and what images hold of this repository."""
    python = {sys.base_prefix, str(Path(sys.base_prefix).resolve())}
    ours = {str(ROOT / name) for name in _OURS}
    paths = sorted({*python, *ours, sys.prefix, str(SERVERS)})
    return [path for path in paths if not Path(path).is_relative_to("/usr")]


def _system_links() -> list[str]:
    return [path for path in _SYSTEM if Path(path).is_symlink()]


def _targets(mounts: Iterable[Mount]) -> set[str]:
    return {_inside(mount.target) for mount in mounts}


def _inside(target: str) -> str:
    """The absolute path that is meant; `..` does not lead out of the root."""
    return os.path.normpath("/" + target.lstrip("/"))


def _mount(source: Path, target: str, *, read_only: bool) -> Mount:
    return Mount(source=source, target=target, read_only=read_only)
