"""An S3 that forgets what is in large objects and answers zeros: a GiB costs it no memory.

moto keeps every part and takes minutes for what is here done in seconds.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit

_PIECE: Final = bytes(1024 * 1024)
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d+)")


class _Zeros(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    small: dict[str, bytes]
    large: dict[str, int]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _place(self) -> tuple[str, dict[str, list[str]]]:
        url = urlsplit(self.path)
        return url.path, parse_qs(url.query, keep_blank_values=True)

    def _answer(self, code: int, body: bytes = b"", size: int | None = None, **more: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.send_header("ETag", '"0"')
        self.send_header("Last-Modified", "Sun, 22 Nov 2026 00:00:00 GMT")
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _missing(self) -> None:
        self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    def do_PUT(self) -> None:
        path, query = self._place()
        length = int(self.headers["Content-Length"])
        if "partNumber" not in query:
            self.small[path] = self.rfile.read(length)
        else:
            for start in range(0, length, len(_PIECE)):
                self.rfile.read(min(len(_PIECE), length - start))
            self.large[path] = self.large.get(path, 0) + length
        self._answer(200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "uploads" in self._place()[1]:
            self._answer(200, b"<X><UploadId>1</UploadId></X>")
        else:
            self._answer(200, b"<X><ETag>1</ETag></X>")

    def do_HEAD(self) -> None:
        path, _ = self._place()
        if path in self.large:
            self._answer(200, size=self.large[path])
        elif path in self.small:
            self._answer(200, size=len(self.small[path]))
        else:
            self._answer(404)

    def do_GET(self) -> None:
        path, query = self._place()
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if "uploads" in query:
            self._answer(200, b"<X><IsTruncated>false</IsTruncated></X>")
        elif path in self.large and asked:
            start, end = int(asked[1]), int(asked[2])
            about = f"bytes {start}-{end}/{self.large[path]}"
            self._answer(206, size=end - start + 1, Content_Range=about)
            for at in range(start, end + 1, len(_PIECE)):
                self.wfile.write(_PIECE[: end + 1 - at])
        elif path in self.small:
            self._answer(200, self.small[path])
        else:
            self._missing()


@contextmanager
def zeros() -> Iterator[str]:
    """The endpoint of such a store."""
    handler = type("Handler", (_Zeros,), {"small": {}, "large": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
