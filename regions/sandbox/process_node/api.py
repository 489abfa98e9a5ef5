"""The kubelet's writes, for which the sandbox's small client has no words."""

from __future__ import annotations

import json
import threading
from typing import Final

import requests

from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import REQUEST_TIMEOUT_SECONDS, Cluster, Object

_MERGE: Final = "application/strategic-merge-patch+json"
_GONE_OR_ANOTHER: Final = (404, 409)


class Refused(SandboxError):
    """The API server understood and said no; `status` is its HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        """Remember the code beside what was said."""
        super().__init__(message)
        self.status = status


class Complaints:
    """Writes a trouble down once, however often it is met in a row; for any number of threads."""

    def __init__(self, about: str) -> None:
        """`about` begins every line."""
        self._about, self._last, self._lock = about, "", threading.Lock()

    def say(self, reason: object) -> None:
        """Print what is wrong, unless it was the last thing said."""
        with self._lock:
            text = str(reason)
            if text != self._last:
                self._last = text
                print(f"{self._about}: {text}", flush=True)

    def settled(self) -> None:
        """All is well: the same trouble would be news again."""
        with self._lock:
            self._last = ""


def create(cluster: Cluster, path: str, body: Object) -> Object:
    """POST an object to its collection. Raises SandboxError, Refused when the server said no."""
    return _send(cluster, "POST", path, body, "application/json")


def patch(cluster: Cluster, path: str, changes: Object) -> Object:
    """Merge changes in: conditions by their type, so that those of others stay."""
    return _send(cluster, "PATCH", path, changes, _MERGE)


def delete_now(cluster: Cluster, path: str, uid: str) -> None:
    """Delete exactly this pod without further grace; one that is gone or another is fine."""
    body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
    try:
        _send(cluster, "DELETE", path, body, "application/json")
    except Refused as refused:
        if refused.status not in _GONE_OR_ANOTHER:
            raise


def _send(cluster: Cluster, method: str, path: str, body: Object, content_type: str) -> Object:
    try:
        answer = cluster.session.request(
            method,
            cluster.url + path,
            data=json.dumps(body),
            headers={"Content-Type": content_type},
            timeout=REQUEST_TIMEOUT_SECONDS,
        )
    except requests.RequestException as reason:
        raise SandboxError(
            f"the API server at {cluster.url} doesn't answer ({type(reason).__name__})"
        ) from reason
    if not answer.ok:
        said = answer.text[:500]
        raise Refused(
            answer.status_code, f"{method} {path} was refused with {answer.status_code}: {said}"
        )
    made: Object = answer.json()
    return made
