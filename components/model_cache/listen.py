"""HTTP servers of the agent: on one address of the machine, or on all that it has.

A connection has so much time as its size asks for at a least rate, whether it stands still or
trickles: who sends its question or takes its answer byte by byte is hung up on too.
"""

from __future__ import annotations

import io
import logging
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

MOST_CONNECTIONS: Final = 64
"""At once. Each is a thread; whoever comes beyond them is hung up on, and comes again."""
SMALL_SECONDS: Final = 10.0
"""For a question and an answer of some kB, and beside the time of each larger piece. The kubelet
waits for one second and Prometheus for ten (their defaults), a peer for as long (asking.py)."""
LEAST_BYTES_PER_SECOND: Final = 8 * 1024 * 1024
"""What is taken of a larger answer: a quarter of what those who ask wait for (asking.py)."""
LARGEST_HEAD_BYTES: Final = 16 * 1024
"""Of a question. The library takes a hundred lines of 64 KiB, 6.5 MB a connection: all together
they would fill the agent's memory."""

_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""That what was not taken yet is thrown away at the end (socket(7), SO_LINGER)."""
_log = logging.getLogger("cache")


class _Head(io.RawIOBase):
    """A question's head, as long as it is a short one."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        self._left = LARGEST_HEAD_BYTES

    def readline(self, most: int | None = -1, /) -> bytes:
        """The next line. Raises ConnectionAbortedError beyond LARGEST_HEAD_BYTES."""
        line = self._file.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise ConnectionAbortedError
        return line

    def close(self) -> None:
        """Give the socket back."""
        self._file.close()
        super().close()


class SmallHandler(BaseHTTPRequestHandler):
    """Answers a question without a body, whose head is short."""

    def setup(self) -> None:
        """Bound what is read."""
        super().setup()
        self.rfile = _Head(self.rfile)  # type: ignore[assignment]


class AddressServer(ThreadingHTTPServer):
    """On `port` of `host`; no host is both families of addresses, whichever the cluster has."""

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self._everywhere = not host and socket.has_dualstack_ipv6()
        is_6 = self._everywhere or ":" in host
        self.address_family = socket.AF_INET6 if is_6 else socket.AF_INET
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._until: dict[socket.socket, float] = {}
        self._until_lock = threading.Lock()
        super().__init__((host, port), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, while there are few of them."""
        if self._free.acquire(blocking=False):
            self.allow(request, 0)
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Hang up, and make room for another where this one had a place."""
        with self._until_lock:
            had_place = self._until.pop(request, None) is not None
        super().shutdown_request(request)
        if had_place:
            self._free.release()

    @staticmethod
    def now() -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()

    def allow(self, connection: socket.socket, size: int) -> None:
        """From now on a connection has the time for `size` bytes more, and for its head."""
        seconds = SMALL_SECONDS + size / LEAST_BYTES_PER_SECOND
        with self._until_lock:
            self._until[connection] = self.now() + seconds

    def service_actions(self) -> None:
        """Hang up on whoever's time is over; serve_forever() comes here twice a second."""
        with self._until_lock:
            late = [one for one, until in self._until.items() if until < self.now()]
        for connection in late:
            with suppress(OSError):  # its thread may have ended by itself
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None:
        """Say little: who asked went away or was hung up on."""
        _log.debug("a connection ended", exc_info=True)

    def server_bind(self) -> None:
        """As usual, without asking the cluster's DNS how this machine is called."""
        if self._everywhere:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]


@contextmanager
def answering(server: AddressServer, name: str) -> Iterator[int]:
    """Let `server` answer in a thread of this name; gives its port."""
    thread = threading.Thread(target=server.serve_forever, name=name, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
