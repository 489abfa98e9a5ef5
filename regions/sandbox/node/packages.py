"""What real machines need of the host beside what is built: packages, a kernel module, root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from regions.sandbox.errors import SandboxError

PROGRAMS: Final[Mapping[str, str]] = {
    "buildah": "buildah",
    "gcc": "gcc",
    "ip": "iproute2",
    "ipset": "ipset",
    "iptables": "iptables",
    "mkfs.ext4": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "pkg-config": "pkg-config",
    "unshare": "util-linux",
}
"""Each program, and the package of Debian that has it."""

FILES: Final[Mapping[str, str]] = {
    "/usr/include/seccomp.h": "libseccomp-dev",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
"""Each file that is not a program, and its package."""

_BRIDGE_FILTER: Final = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_SYSTEM_FOLDERS: Final = "/usr/sbin:/sbin"  # not on everybody's PATH


def environment() -> dict[str, str]:
    """The environment of whatever makes machines or runs on them.

    No proxy: a region reaches the host's one address alone, and Go's clients would ask a proxy for
    it.
    """
    kept = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"PATH": f"{kept.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}"}


def missing() -> list[str]:
    """The packages of `PROGRAMS` and `FILES` that this host lacks, by name."""
    path = environment()["PATH"]
    lacking = {package for name, package in PROGRAMS.items() if not shutil.which(name, path=path)}
    return sorted(lacking | {package for name, package in FILES.items() if not Path(name).exists()})


def require() -> None:
    """Raise SandboxError with everything that this host lacks for real machines."""
    names = " ".join(missing())
    told = [f"the packages {names}: `make packages`, or `apt-get install {names}`"] if names else []
    if os.geteuid() != 0:
        told.insert(0, "root: a machine is a network namespace of the host")
    elif not _filters_bridges():
        told.append("the kernel module br_netfilter: no policy holds on a bridge without it")
    if told:
        raise SandboxError(
            f"real machines need {'; and '.join(told)}. Without them: `up --kubeconfig "
            "REGION=PATH` uses a cluster of your own"
        )


def _filters_bridges() -> bool:
    if not _BRIDGE_FILTER.exists():
        with contextlib.suppress(FileNotFoundError):
            words = ("modprobe", "br_netfilter")
            subprocess.run(words, env=environment(), capture_output=True, check=False)
    return _BRIDGE_FILTER.exists()


if __name__ == "__main__":
    print(" ".join(missing()))
