"""A registry on loopback that answers as a test wants, and tells what it was asked."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

INDEX: Final = "application/vnd.oci.image.index.v1+json"
BODY: Final = b'{"schemaVersion":2,"manifests":[]}'
DIGEST: Final = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Reply:
    """One answer; by default the manifest of an index, as a registry gives it."""

    code: int = 200
    headers: Mapping[str, str] = field(
        default_factory=lambda: {"Content-Type": INDEX, "Docker-Content-Digest": DIGEST}
    )
    body: bytes = BODY


Answer = Callable[[Asked], Reply]


@dataclass
class Registry:
    """A registry at work: `host` is the part of an image's name that leads to it."""

    host: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def registry(answer: Answer) -> Iterator[Registry]:
    """A registry that gives `answer`, on a free port."""
    served = Registry("")

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            one = Asked(self.command, self.path, headers, body)
            served.asked.append(one)
            reply = answer(one)
            self.send_response(reply.code)
            for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = _serve

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
