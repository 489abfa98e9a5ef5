"""Answers the API server for what the containers of a node wrote, as a kubelet does.

`kubectl logs` and who waits for a prober's answers ask the API server, which asks the node at this
port and path (pkg/kubelet/server: /containerLogs/{namespace}/{pod}/{container}). It does not look
at whose certificate a node has unless it is told to, so the node shows the API server's own.
"""

from __future__ import annotations

import re
import ssl
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from regions.sandbox.process_node.setting import log_of

KUBELET_PORT: Final = 10250
_NAME: Final = "[a-z0-9][a-z0-9.-]*"
_PATH: Final = re.compile(f"/containerLogs/({_NAME})/({_NAME})/({_NAME})")
_ALL: Final = 100_000
"""Lines, from the end, where no number is asked for."""


def answer(home: Path, target: str) -> bytes | None:
    """The last lines of a container's log in a node's `home`; None where there is none."""
    url = urlsplit(target)
    match = _PATH.fullmatch(url.path)
    if match is None:
        return None
    lines = int(parse_qs(url.query).get("tailLines", [str(_ALL)])[0])
    try:
        with log_of(home, *match.groups()).open("rb") as log:
            return b"".join(deque(log, maxlen=lines))
    except FileNotFoundError:
        return None


def serve(home: Path, address: str, certificates: Path) -> None:
    """Answer on a thread of its own, at the node's address, for what its `home` holds.

    `certificates` is the directory where the API server keeps its own. Raises OSError.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answer(home, self.path)
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "apiserver.crt", certificates / "apiserver.key")
    server = ThreadingHTTPServer((address, KUBELET_PORT), Handler)
    # Shaken hands with on the request's own thread: who says nothing holds up nobody else.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    threading.Thread(target=server.serve_forever, name="container logs", daemon=True).start()
