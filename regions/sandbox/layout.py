"""Where the sandbox keeps everything it makes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

from model_specs.names import ADDONS_STACK

ROOT: Final = Path(__file__).resolve().parents[2]
"""The directory that holds Pulumi.yaml."""

HOME: Final = ROOT / ".isoserve"
BIN: Final = HOME / "bin"
PLUGINS: Final = HOME / "plugins"
STATE: Final = HOME / "state"
RUN: Final = HOME / "run"
LOG: Final = HOME / "log"
AWS: Final = HOME / "aws"
BUILD: Final = HOME / "build"
CHARTS: Final = HOME / "charts"
PULUMI_HOME: Final = HOME / "pulumi-home"
PORTS_FILE: Final = HOME / "sandbox.json"
LOCK_FILE: Final = HOME / "lock"
TOOLCHAIN: Final = ROOT / "regions" / "sandbox" / "toolchain"
SERVERS: Final = (HOME / "servers").resolve()
"""The virtual environment of the model servers; copies of a tree may share one by a link."""
LAYERS: Final = (HOME / "layers").resolve()
"""Image layers that take long to make; copies of a tree may share them by a link too."""

REGIONS: Final = ("sandbox-aws", "sandbox-onprem")
AWS_REGIONS: Final = ("sandbox-aws",)


def addons_of(region: str) -> str:
    """The stack of the add-ons of a region's cluster."""
    return f"{region}{ADDONS_STACK}"


STACKS: Final = (*REGIONS, *map(addons_of, REGIONS))
"""Every stack that the sandbox may have."""


def region_home(region: str) -> Path:
    """The folder of one region's kubeconfig, certificates and etcd data."""
    return HOME / region


def kubeconfig_of(region: str) -> Path:
    """The kubeconfig that the region's profile names."""
    return region_home(region) / "kubeconfig"


def certificates_of(region: str) -> Path:
    """The directory of a region's certificates; with real machines also its authority's."""
    return region_home(region) / "certs"


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write through a temporary name, so that a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
        Path(partial).chmod(mode)
        Path(partial).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(partial).unlink()
        raise
