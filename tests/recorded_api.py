"""A simulated API server: answers with objects it was given, and signs tokens of a chosen life."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from regions.sandbox.kube import Cluster


@dataclass
class RecordedApi:
    """Objects by API path; what was asked for tokens; the life of the next token, from `began`."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    began: int = 0
    ends: int = 0

    def token(self) -> str:
        """Another token with every request, in the form of a JWT."""
        told = {"iat": self.began, "exp": self.ends, "jti": str(len(self.asked))}
        claims = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
        return f"head.{claims}.signature"


@contextmanager
def recorded_api() -> Iterator[tuple[RecordedApi, Cluster]]:
    """The server on loopback, and a client of it."""
    api = RecordedApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = api.objects.get(self.path)
            self._answer(404 if found is None else 200, found or {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            api.asked.append((self.path, body))
            if self.path in api.objects:
                self._answer(201, {"status": {"token": api.token()}})
            else:
                self._answer(404, {"message": "no such account"})

        def _answer(self, code: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, requests.Session() as session:
        session.trust_env = False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield api, Cluster("here", f"http://127.0.0.1:{server.server_port}", session)
        finally:
            server.shutdown()
