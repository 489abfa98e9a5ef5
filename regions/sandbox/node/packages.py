"""What a real machine needs of the host beside what is built: Debian's packages, and root."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from regions.sandbox.errors import SandboxError

PROGRAMS: Final[Mapping[str, str]] = {
    "buildah": "buildah",
    "ip": "iproute2",
    "ipset": "ipset",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
"""Each program, and the package of Debian that has it."""

FILES: Final[Mapping[str, str]] = {"/usr/include/seccomp.h": "libseccomp-dev"}
"""Each file that is not a program, and its package."""

_SYSTEM_FOLDERS: Final = "/usr/sbin:/sbin"  # not on everybody's PATH


def missing() -> list[str]:
    """The packages that this host lacks, by name."""
    path = f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}"
    programs = {package for name, package in PROGRAMS.items() if not shutil.which(name, path=path)}
    files = {package for name, package in FILES.items() if not Path(name).exists()}
    return sorted(programs | files)


def require() -> None:
    """Raise SandboxError with everything that this host lacks for real machines."""
    lacks = missing()
    told = [f"the packages {' '.join(lacks)}: `apt-get install {' '.join(lacks)}`"] if lacks else []
    if os.geteuid() != 0:
        told.insert(0, "root: a machine is a network namespace of the host")
    if told:
        raise SandboxError(f"real machines need {'; and '.join(told)}")


if __name__ == "__main__":
    print(" ".join(missing()))
