"""Kubernetes Events of what somebody must look at: content that is wrong, versions refused.

A courtesy to who reads `kubectl get events`: metrics and the log have it all, so nothing waits for
an Event, and one that cannot be written is a line for debugging.
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import suppress
from datetime import UTC, datetime
from queue import Full, Queue
from typing import Any, Final

from components.model_cache.api_server import ApiServer

_WAITING: Final = 50
_SECONDS: Final = 5.0
_KEPT_SECONDS: Final = 3600.0
"""So long the API server keeps Events."""
_LONGEST: Final = 1000
"""Of the 1024 characters that the API server takes."""
_log = logging.getLogger("cache")


class Events(logging.Handler):
    """Makes Events of log records that carry an `event`, their reason, in a thread of its own."""

    def __init__(self, where: ApiServer) -> None:
        super().__init__()
        self._where = where
        self._queue: Queue[tuple[str, str]] = Queue(_WAITING)
        self._told: dict[str, float] = {}
        threading.Thread(target=self._run, name="events", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have it written some time, unless it was of late or too much waits."""
        reason = getattr(record, "event", "")
        if reason:
            now, sentence = record.created, record.getMessage()
            self._told = {text: at for text, at in self._told.items() if now - at < _KEPT_SECONDS}
            if sentence not in self._told:
                self._told[sentence] = now
                with suppress(Full):
                    self._queue.put_nowait((reason, sentence))

    def _run(self) -> None:
        while True:
            reason, sentence = self._queue.get()
            try:
                _write(self._where, reason, sentence)
            except Exception as error:  # whatever it is, models matter more
                _log.debug("no Event could be written: %s", error)


def _write(where: ApiServer, reason: str, sentence: str) -> None:
    space = where.told("namespace")
    made = _event(space, where.told("name"), where.node, reason, sentence)
    path, body = f"/api/v1/namespaces/{space}/events", json.dumps(made).encode()
    where.open(path, {"Content-Type": "application/json"}, _SECONDS, body).close()


def _event(space: str, pod: str, node: str, reason: str, sentence: str) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{pod}.", "namespace": space},
        "count": 1,
        "firstTimestamp": now,
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": pod, "namespace": space},
        "lastTimestamp": now,
        "message": sentence[:_LONGEST],
        "reason": reason,
        "source": {"component": "isoserve-cache-agent", "host": node},
        "type": "Warning",
    }
