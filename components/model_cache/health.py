"""Answers the kubelet and Prometheus while the agent is at work."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from components.model_cache.signs import Signs


class _Server(ThreadingHTTPServer):
    """Both families of addresses where there are two, whichever the cluster has."""

    daemon_threads = True
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def __init__(self, port: int, signs: Signs) -> None:
        self.signs = signs
        super().__init__(("", port), _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class _Handler(BaseHTTPRequestHandler):
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
            self._say(signs.ready, "not all listed models are there")
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


@contextmanager
def serving(port: int, signs: Signs) -> Iterator[int]:
    """Answer on `port`, or a free one for 0; gives the port."""
    server = _Server(port, signs)
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
