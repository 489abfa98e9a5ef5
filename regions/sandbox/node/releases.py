"""What killed runs leave of Helm releases: records by which Helm refuses to install a chart again.

Helm keeps a Secret for each revision of a release, and takes one that is pending for a run that
works still (helm.sh/helm/v3: pkg/action/install.go, availableName, and upgrade.go, errPending;
pkg/storage/driver/secrets.go has the labels). It adopts what the release has made, by the labels
and annotations of each object (pkg/action/validate.go, checkOwnership).
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import quote

from regions.addons import ADDONS, RELEASE_PENDING
from regions.sandbox import engine
from regions.sandbox.kube import Cluster
from regions.sandbox.layout import addons_of

_TYPE: Final = "kubernetes:helm.sh/v3:Release"


def forget_interrupted(cluster: Cluster) -> list[str]:
    """Delete the records that nobody goes on with: of releases that the stack REGION.addons does
    not know, and of the others what is pending. No other run may be at work. The deleted records.
    """
    known = _known(addons_of(cluster.region))
    gone = []
    for name, row in ADDONS.items():
        if not row.hooks:
            continue
        labels = f"owner=helm,name={name}"
        if name in known:
            labels += f",{RELEASE_PENDING}"
        path = f"/api/v1/namespaces/{row.namespace}/secrets"
        found = cluster.get(f"{path}?labelSelector={quote(labels)}") or {}
        for one in found.get("items", ()):
            record = one["metadata"]["name"]
            cluster.delete(f"{path}/{record}")
            gone.append(record)
    return gone


def _known(stack: str) -> set[str]:
    """The releases that are in a stack's state."""
    file = engine.stack_file(stack)
    if not file.exists():
        return set()
    # A stack whose first run was killed has nothing.
    latest = json.loads(file.read_text())["checkpoint"].get("latest") or {}
    made = (one["urn"] for one in latest.get("resources", ()) if one["type"] == _TYPE)
    return {urn.rpartition("::")[2] for urn in made}
