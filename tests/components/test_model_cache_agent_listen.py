"""Nobody holds a connection of an agent for longer than what it asks for takes.

The servers' clock stands still until a test moves it, so that no figure here is one of speed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPResponse, RemoteDisconnected
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from components.model_cache import health, serve
from components.model_cache.health import serving
from components.model_cache.listen import (
    LARGEST_HEAD_BYTES,
    LEAST_BYTES_PER_SECOND,
    MOST_CONNECTIONS,
    SMALL_SECONDS,
    AddressServer,
)
from components.model_cache.shelf import of_project
from components.model_cache.signs import Signs
from tests.counted_store import sha256

HOST = "127.0.0.1"
TOKEN = "secret"
QUESTION = b"GET /healthz HTTP/1.0\r\n\r\n"
PATIENCE_SECONDS = 60.0
"""How long a test waits for what must come."""


class Clock:
    """What the servers take for the time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(AddressServer, "now", staticmethod(found))
    for handler in (health._Handler, serve._Handler):
        monkeypatch.setattr(handler, "timeout", 2 * PATIENCE_SECONDS)  # of one read or write
    return found


@contextmanager
def asked(port: int, said: bytes) -> Iterator[socket.socket]:
    """A connection on which this much of a question was said."""
    with closing(socket.create_connection((HOST, port), PATIENCE_SECONDS)) as one:
        one.sendall(said)
        yield one


def hung_up(one: socket.socket) -> bool:
    """Whether the other side ends it, whatever was on its way."""
    try:
        while one.recv(2**16):
            pass
    except ConnectionResetError:
        pass
    return True


def answered(port: int, said: bytes) -> bytes:
    """The whole answer, once the threads of others have ended."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with asked(port, said) as one:
                answer = answer_of(one)
                if answer.status == 206 or said == QUESTION:
                    return answer.read()
        except (ConnectionError, RemoteDisconnected):
            pass
        assert time.monotonic() < give_up, "no place becomes free"
        time.sleep(0.01)


def status(one: socket.socket) -> int:
    """The status of the answer, of which nothing more is read than its head."""
    return int(answer_of(one).status)


def answer_of(one: socket.socket) -> HTTPResponse:
    answer = HTTPResponse(one)
    answer.begin()
    return answer


@pytest.mark.parametrize("said", [b"", b"G", QUESTION[:-2]])
def test_who_says_its_question_byte_by_byte_is_hung_up_on(clock: Clock, said: bytes) -> None:
    with serving(HOST, 0, Signs("node-1")) as port, ExitStack() as stack:
        slow = [stack.enter_context(asked(port, said)) for _ in range(MOST_CONNECTIONS)]
        with asked(port, QUESTION) as one:
            assert hung_up(one), "all places are taken"
        clock.seconds = SMALL_SECONDS - 0.1
        slow[0].sendall(QUESTION[len(said) :])
        assert status(slow.pop(0)) in (200, 503), "who ends in time has its answer"
        for one in slow:
            one.sendall(QUESTION[len(said) : len(said) + 1])  # a byte more buys no time
        clock.seconds = SMALL_SECONDS + 0.1
        assert all(map(hung_up, slow))
        assert answered(port, QUESTION), "and there is room again"


def question(name: str, span: str = "") -> bytes:
    more = f"Range: {span}\r\n" if span else ""
    head = f"GET /owner/blobs/{name} HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n{more}\r\n"
    return head.encode()


class OneToken:
    """What stands for the tokens of all projects."""

    def of(self, project: str) -> str:
        return TOKEN


@contextmanager
def giving(root: Path, data: bytes) -> Iterator[int]:
    shelf = of_project(root, "owner")
    shelf.prepare()
    shelf.blob(sha256(data)).write_bytes(data)
    with serve.giving(HOST, 0, root, OneToken()) as port:  # type: ignore[arg-type]
        yield port


def test_who_takes_its_answer_byte_by_byte_is_hung_up_on(clock: Clock, tmp_path: Path) -> None:
    data = bytes(32 * 2**20)  # more than the kernel takes from one who does not read
    name = sha256(data)
    with giving(tmp_path, data) as port, ExitStack() as stack:
        slow = [stack.enter_context(asked(port, question(name))) for _ in range(serve.TRANSFERS)]
        assert [status(one) for one in slow] == [206] * serve.TRANSFERS
        for one in slow:
            one.recv(1)
        with asked(port, question(name)) as late:
            assert status(late) == 503, "all transfers are taken"
        clock.seconds = SMALL_SECONDS + len(data) / LEAST_BYTES_PER_SECOND + 0.1
        assert all(map(hung_up, slow)), "though each takes a byte before 30 s of silence"
        assert answered(port, question(name, "bytes=0-9")) == data[:10], "and there is room again"


def test_a_long_answer_has_the_time_that_its_size_takes(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "_PIECE_BYTES", 1000)
    granted: list[tuple[float, int]] = []
    allow = AddressServer.allow

    def slower(self: AddressServer, connection: socket.socket, size: int) -> None:
        clock.seconds += SMALL_SECONDS - 0.1  # as long as each piece may take
        granted.append((clock.seconds, size))
        allow(self, connection, size)

    data = bytes(range(250)) * 10
    with giving(tmp_path, data) as port:
        monkeypatch.setattr(AddressServer, "allow", slower)
        with asked(port, question(sha256(data))) as one:
            assert answer_of(one).read() == data
    assert [size for _, size in granted] == [0, 1000, 1000, 500], "piece by piece"
    assert granted[-1][0] > 3 * SMALL_SECONDS, "longer than a question may take"


def test_a_connection_that_gets_no_thread_keeps_no_place(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with serving(HOST, 0, Signs("node-1")) as port:
        with monkeypatch.context() as patched:
            patched.setattr(ThreadingHTTPServer, "process_request", no_thread)
            for _ in range(MOST_CONNECTIONS + 1):
                with asked(port, QUESTION) as one:
                    assert hung_up(one)
        assert answered(port, QUESTION)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * LARGEST_HEAD_BYTES + b" HTTP/1.0\r\n\r\n",
        b"GET /metrics HTTP/1.0\r\nX: " + b"x" * LARGEST_HEAD_BYTES + b"\r\n\r\n",
        b"GET /metrics HTTP/1.0\r\n" + (b"X: " + b"x" * 200 + b"\r\n") * 90 + b"\r\n",
    ],
    ids=["a path", "a line", "many lines"],
)
def test_who_asks_at_length_is_hung_up_on(head: bytes) -> None:
    with serving(HOST, 0, Signs("node-1")) as port:
        with asked(port, head) as one, suppress(ConnectionResetError):
            assert one.recv(1) == b"", "or so many at once would fill the agent's memory"
        assert answered(port, QUESTION), "all others are answered"


def test_a_question_with_what_clients_add_is_a_short_one() -> None:
    more = b"X-Forwarded-For: 10.0.0.1\r\n" * 90
    with (
        serving(HOST, 0, Signs("node-1")) as port,
        asked(port, QUESTION[:-2] + more + b"\r\n") as one,
    ):
        assert status(one) == 200 or status(one) == 503
