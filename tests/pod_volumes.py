"""One node with one pod's folder, its disk, and a simulated API server that it asks."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from regions.sandbox.kube import Cluster
from regions.sandbox.process_node.volumes import prepare, refresh
from tests.recorded_api import RecordedApi, recorded_api

GROUP: Final = 10001
CAN_GIVE_AWAY: Final = os.geteuid() == 0


@dataclass
class Node:
    """One node with one pod's folder, its disk, and the API server it asks."""

    api: RecordedApi
    cluster: Cluster
    folder: Path
    disk: Path

    def prepare(self, pod: dict[str, Any]) -> dict[str, Path]:
        return prepare(pod, self.folder, self.disk, self.cluster)

    def one(self, source: dict[str, Any], **spec: Any) -> Path:
        """The one volume of a pod."""
        return self.prepare(pod_with({"name": "v", **source}, **spec))["v"]

    def refresh(self, pod: dict[str, Any]) -> None:
        refresh(pod, self.folder, self.cluster)

    def config(self, **data: str) -> None:
        self.api.objects["/api/v1/namespaces/search/configmaps/settings"] = {"data": data}

    def secret(self, **data: bytes) -> None:
        coded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        self.api.objects["/api/v1/namespaces/search/secrets/keys"] = {"data": coded}

    def claim(self, phase: str, volume: dict[str, Any]) -> None:
        claims = "/api/v1/namespaces/search/persistentvolumeclaims/models"
        self.api.objects[claims] = {
            "spec": {"volumeName": "search-models"},
            "status": {"phase": phase},
        }
        self.api.objects["/api/v1/persistentvolumes/search-models"] = {"spec": volume}


@contextmanager
def open_node(folder: Path) -> Iterator[Node]:
    (folder / "disk").mkdir()
    with recorded_api() as (api, cluster):
        yield Node(api, cluster, folder / "volumes", folder / "disk")


def pod_with(*volumes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "annotations": {"note": 'say "hi"'},
            "labels": {"b": "2", "a": "1"},
            "name": "ranker-0",
            "namespace": "search",
            "uid": "u-1",
        },
        "spec": {
            "containers": [{"name": "server"}],
            "serviceAccountName": "ranker",
            "volumes": list(volumes),
            **spec,
        },
    }


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(folder: Path) -> dict[str, str]:
    shown = (path for path in folder.iterdir() if not path.name.startswith(".."))
    return {path.name: path.read_text() for path in shown}


CONFIG = {"configMap": {"name": "settings"}}
SECRET = {"secret": {"secretName": "keys"}}
CLAIM = {"persistentVolumeClaim": {"claimName": "models"}}
SHARED = {"securityContext": {"fsGroup": GROUP}}
