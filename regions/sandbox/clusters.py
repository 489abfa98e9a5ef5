"""Existing clusters in place of the sandbox's own control planes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object, connect, read_kubeconfig
from regions.sandbox.layout import REGIONS, kubeconfig_of, region_home, write_atomically


def parse(option: str) -> tuple[str, Path, str | None]:
    """`REGION=PATH[:CONTEXT]` as its parts; raises SandboxError when it isn't that."""
    region, equals, rest = option.partition("=")
    path, _, context = rest.partition(":")
    if not equals or not path or region not in REGIONS:
        raise SandboxError(
            f"--kubeconfig {option}: give REGION=PATH or REGION=PATH:CONTEXT, with REGION one of "
            f"{', '.join(REGIONS)}"
        )
    return region, Path(path).expanduser(), context or None


def adopt(region: str, path: Path, context: str | None) -> Cluster:
    """Write the region's kubeconfig from an existing one, and connect.

    Raises SandboxError when the file, the context or the cluster can't be used.
    """
    document = minified(read_kubeconfig(path), path, context, region)
    write_atomically(kubeconfig_of(region), yaml.safe_dump(document), mode=0o600)
    _mark(region).write_text(str(path))
    return readopt(region)


def readopt(region: str) -> Cluster:
    """Connect to the cluster that an earlier `up` was given; raises SandboxError if it's away."""
    cluster = connect(region, kubeconfig_of(region))
    if not cluster.wait_until_ready(timeout_seconds=10):
        raise SandboxError(
            f"region {region}: the cluster of {_mark(region).read_text()} at {cluster.url} doesn't "
            "answer /readyz"
        )
    return cluster


def is_adopted(region: str) -> bool:
    """Whether the region lives on an existing cluster."""
    return _mark(region).exists()


def _mark(region: str) -> Path:
    return region_home(region) / "adopted"


def minified(document: Object, path: Path, context: str | None, region: str) -> Object:
    """The one context of a kubeconfig, renamed to the region, with its files by full path."""
    wanted = context or document.get("current-context") or ""
    chosen = _named(document, "contexts", wanted, path)["context"]
    cluster = dict(_named(document, "clusters", chosen.get("cluster", ""), path)["cluster"])
    user = dict(_named(document, "users", chosen.get("user", ""), path)["user"])
    for values in (cluster, user):
        for key in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
            if key in values:
                values[key] = str((path.parent / values[key]).resolve())
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": region,
        "clusters": [{"name": region, "cluster": cluster}],
        "users": [{"name": region, "user": user}],
        "contexts": [{"name": region, "context": {**chosen, "cluster": region, "user": region}}],
    }


def _named(document: Object, section: str, name: str, path: Path) -> dict[str, Any]:
    entries = document.get(section) or []
    for entry in entries:
        if entry.get("name") == name:
            found: dict[str, Any] = entry
            return found
    names = ", ".join(str(entry.get("name")) for entry in entries) or "none"
    raise SandboxError(f"{path} has no {section[:-1]} named {name!r}; it has {names}")
