"""Gives other nodes' agents what this node has verified, if they have the project's token.

    GET /<project>/blobs/<sha256>         content, whole or from a byte on
    GET /<project>/manifests/<digest>     a manifest's bytes

A blob is named by its digest and moved to its place when it is right, so what is here is verified;
what is on its way or in quarantine has other places and is never given. Who has no token is told
nothing, not even what there is.
"""

from __future__ import annotations

import hmac
import os
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from components.model_cache.listen import AddressServer, SmallHandler, answering
from components.model_cache.shelf import of_project
from components.model_cache.tokens import Tokens

PEER_PORT: Final = 9092  # as objects.py renders it
TRANSFERS: Final = 4
"""At once: the node's line is its pods' first."""
RETRY_AFTER_SECONDS: Final = 5
_PIECE_BYTES: Final = 64 * 1024 * 1024
"""After each it is seen whether the next is still taken fast enough (listen.py)."""
_PATH: Final = re.compile(
    "/(?P<project>[a-z](?:[a-z0-9-]*[a-z0-9])?)/(?P<kind>blobs|manifests)/(?P<name>[0-9a-f]{64})"
)
_RANGE: Final = re.compile(r"bytes=(\d{1,15})-(\d{1,15})")


class _Server(AddressServer):
    def __init__(self, host: str, port: int, root: Path, tokens: Tokens) -> None:
        self.root = root
        self.tokens = tokens
        self.free = threading.BoundedSemaphore(TRANSFERS)
        super().__init__(host, port, _Handler)

    @contextmanager
    def transfer(self) -> Iterator[bool]:
        """Whether one more may begin."""
        mine = self.free.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self.free.release()


class _Handler(SmallHandler):
    server: _Server
    timeout = 30  # of each read and write: who does not take what it asked for

    def do_GET(self) -> None:
        """Give one content or manifest."""
        wanted = _PATH.fullmatch(self.path)
        if not wanted or not self._may_read(wanted["project"]):
            return self._refuse(403)
        shelf = of_project(self.server.root, wanted["project"])
        place = shelf.blob if wanted["kind"] == "blobs" else shelf.manifest
        with self.server.transfer() as may:
            return self._give(place(wanted["name"])) if may else self._refuse(503)

    def _may_read(self, project: str) -> bool:
        token = self.server.tokens.of(project)
        told = self.headers.get("Authorization", "")
        return bool(token) and hmac.compare_digest(told.encode(), f"Bearer {token}".encode())

    def _give(self, path: Path) -> None:
        with suppress(FileNotFoundError), open(path, "rb") as file:
            return self._send(file)
        return self._refuse(404)

    def _send(self, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        asked = _RANGE.fullmatch(self.headers.get("Range", f"bytes=0-{size - 1}"))
        start, end = (int(asked[1]), int(asked[2])) if asked else (size, size)
        if not start <= end < size:
            return self._refuse(416)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Length", str(end + 1 - start))
        self.end_headers()
        for at in range(start, end + 1, _PIECE_BYTES):
            piece = min(_PIECE_BYTES, end + 1 - at)
            self.server.allow(self.connection, piece)
            self.connection.sendfile(file, at, piece)
        return None

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if status == 503:
            self.send_header("Retry-After", str(RETRY_AFTER_SECONDS))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing: a new model is asked for by every node."""


def giving(host: str, port: int, root: Path, tokens: Tokens) -> AbstractContextManager[int]:
    """Answer peers on `port` of `host` (none is every address), or a free one for 0; the port."""
    return answering(_Server(host, port, root, tokens), "peers")
