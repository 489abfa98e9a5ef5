"""Answers the kubelet and Prometheus while the agent is at work."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from components.model_cache.listen import AddressServer, SmallHandler, answering
from components.model_cache.signs import Signs


class _Server(AddressServer):
    def __init__(self, host: str, port: int, signs: Signs) -> None:
        self.signs = signs
        super().__init__(host, port, _Handler)


class _Handler(SmallHandler):
    server: _Server
    timeout = 10  # who asks and does not listen holds a thread no longer

    def do_GET(self) -> None:
        """Say what is asked."""
        signs = self.server.signs
        if self.path == "/metrics":
            self._reply(200, signs.text(), "text/plain; version=0.0.4; charset=utf-8")
        elif self.path == "/healthz":
            self._say(signs.alive(), "the agent has done nothing for a long time")
        elif self.path == "/readyz":
            self._say(signs.ready, "not all models of this node are there")
        else:
            self._reply(404, b"metrics, healthz and readyz are here\n", "text/plain")

    def _say(self, good: bool, otherwise: str) -> None:
        text = "ok" if good else otherwise
        self._reply(200 if good else 503, f"{text}\n".encode(), "text/plain")

    def _reply(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: every node is asked every few seconds."""


def serving(host: str, port: int, signs: Signs) -> AbstractContextManager[int]:
    """Answer on `port` of `host` (none is every address), or a free one for 0; gives the port."""
    return answering(_Server(host, port, signs), "health")
