"""What happens to the objects of one collection, for as long as anybody listens."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import requests

from regions.sandbox.complaints import Complaints
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object

RETRY_SECONDS: Final = 1.0
_WATCH_SECONDS: Final = 300
_CONNECT_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Listed:
    """All objects that there are; what was known and isn't among them is gone."""

    items: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """One object as it is now, or as it was last when `gone`."""

    item: Object
    gone: bool


def follow(cluster: Cluster, path: str, field_selector: str) -> Iterator[Listed | Changed]:
    """List, then every change, without an end. An API server that is away is waited for."""
    query = f"{path}?fieldSelector={quote(field_selector, safe='')}"
    complaints = Complaints(f"watching {path}")
    version = ""
    while True:
        try:
            if not version:
                listed = cluster.get(query) or {"items": [], "metadata": {}}
                version = listed["metadata"].get("resourceVersion", "")
                yield Listed(tuple(listed["items"]))
            for kind, item in _events(cluster, f"{query}&resourceVersion={version}"):
                if kind == "ERROR":  # mostly 410: the server no longer knows that version
                    version = ""
                    break
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    yield Changed(item, gone=kind == "DELETED")
            complaints.settled()
        except (SandboxError, requests.RequestException, ValueError) as reason:
            complaints.say(reason)
            time.sleep(RETRY_SECONDS)


def _events(cluster: Cluster, query: str) -> Iterator[tuple[str, Object]]:
    url = f"{cluster.url}{query}&watch=1&allowWatchBookmarks=true&timeoutSeconds={_WATCH_SECONDS}"
    limits = (_CONNECT_SECONDS, _WATCH_SECONDS + 30)
    with cluster.session.get(url, stream=True, timeout=limits) as answer:
        if not answer.ok:
            time.sleep(RETRY_SECONDS)
            yield "ERROR", {}
            return
        for line in answer.iter_lines(chunk_size=None):
            event = json.loads(line)
            yield str(event["type"]), event["object"]
