"""Real HTTP servers on loopback that answer as a test wants, and a row of the prober about them."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from components.synthetic_probe.ask import ask, open_session
from components.synthetic_probe.settings import Row
from components.synthetic_probe.verdict import Result

PROTECTION_SECONDS: Final = 30.0
"""No test waits for so long; one that does hangs, and this ends it."""


@dataclass(frozen=True)
class Request:
    """What a server was asked."""

    path: str
    headers: dict[str, str]
    body: Any
    connection: int
    """The client's port, by which two connections differ."""


@dataclass
class Served:
    """A server at work: where it is, what it was asked, and what ends its waits."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """Gives every POST to the test's own answer; health is always good."""

    served: Served
    answer: Callable[[Handler], None]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        port = self.client_address[1]
        self.served.requests.append(Request(self.path, headers, json.loads(body), port))
        self.served.asked.set()
        with suppress(BrokenPipeError, ConnectionResetError):  # the prober left, as it should
            type(self).answer(self)

    def do_GET(self) -> None:
        self.reply(b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def reply(
        self,
        body: bytes,
        status: int = 200,
        kind: str = "application/json",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """A whole answer."""
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def raw(self, text: bytes) -> None:
        """These bytes, whatever they mean."""
        self.wfile.write(text)

    def hang(self) -> None:
        """Say nothing until the test is over."""
        self.served.over.wait(PROTECTION_SECONDS)

    def trickle(self, pieces: Iterable[bytes]) -> None:
        """Send piece after piece, a moment between them, until the test is over."""
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()
            if self.served.over.wait(0.02):
                return


def says(
    body: bytes,
    status: int = 200,
    kind: str = "application/json",
    headers: Iterable[tuple[str, str]] = (),
) -> Callable[[Handler], None]:
    """An answer that is always the same."""
    return lambda handler: handler.reply(body, status, kind, headers)


@contextmanager
def serving(
    answer: Callable[[Handler], None], tls: ssl.SSLContext | None = None
) -> Iterator[Served]:
    """A server that gives `answer`, on a free port."""
    served = Served()
    kind = type("Answering", (Handler,), {"served": served, "answer": answer})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    served.url = f"http{'s' if tls else ''}://localhost:{server.server_port}/v1/completions"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        served.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def a_row(**over: Any) -> Row:
    whole: dict[str, Any] = {
        "body": {"prompt": "ping"},
        "id": "search/sentiment",
        "interval_seconds": 30,
        "json_path": "",
        "length": 0,
        "latency_seconds": PROTECTION_SECONDS,
        "method": "POST",
        "matches": "",
        "model": "sentiment",
        "status": 200,
        "token_path": "",
        "track": "",
        "url": "http://localhost:1/",
        "version": "",
    }
    return Row(**{**whole, **over})


def results_of(*rows: Row) -> list[Result]:
    """What one probe of each of `rows` finds, all sent at the same time."""
    return results_in_turn(rows)


def results_in_turn(*rounds: Iterable[Row]) -> list[Result]:
    """What the probes of each round find, one round after the other in the same session."""

    async def all_of_them() -> list[Result]:
        found: list[Result] = []
        async with open_session() as session:
            for rows in rounds:
                found += await asyncio.gather(*(ask(session, judges, row) for row in rows))
        return found

    with ThreadPoolExecutor(2) as judges:
        return asyncio.run(all_of_them())


def result_of(answer: Callable[[Handler], None], **over: Any) -> Result:
    """What one probe of a server that gives `answer` finds."""
    with serving(answer) as served:
        return results_of(a_row(url=served.url, **over))[0]
