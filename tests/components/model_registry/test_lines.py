"""Large ranges come over kept connections, and whatever goes wrong there is obstore's to tell."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from components.model_registry.errors import Corrupt
from components.model_registry.lines import Lines
from components.model_registry.ranges import RANGE_BYTES, reading
from components.model_registry.sessions import Registry
from tests.components.model_registry.conftest import MIB

KEY = "search/blobs/sha256/a"
SIZE = 2 * RANGE_BYTES + MIB + 7


@pytest.fixture
def content(registry: Registry) -> bytes:
    made = os.urandom(SIZE)
    registry.client.put_object(Bucket=registry.bucket, Key=KEY, Body=made)
    return made


@pytest.fixture
def lines(registry: Registry) -> Iterator[Lines]:
    with closing(Lines(registry.store.sign)) as made:
        yield made


def test_a_line_fills_memory_with_just_the_range(lines: Lines, content: bytes) -> None:
    buffer = bytearray(b"x" * 3000)
    for start in (0, 5000, SIZE - 1000):  # the second and third over the first one's connection
        assert lines.fill(memoryview(buffer)[1000:2000], KEY, start, SIZE)
        assert buffer == b"x" * 1000 + content[start : start + 1000] + b"x" * 1000


@pytest.mark.parametrize(
    ("key", "start", "size"),
    [
        (KEY, 0, SIZE + 1),
        (KEY, SIZE - 10, SIZE),
        (KEY, SIZE, SIZE + 1000),
        ("search/none", 0, SIZE),
    ],
)
def test_what_is_not_as_it_should_be_does_not_count(
    lines: Lines, content: bytes, key: str, start: int, size: int
) -> None:
    buffer = memoryview(bytearray(1000))
    assert not lines.fill(buffer, key, start, size)
    assert lines.fill(buffer, KEY, 0, SIZE), "and spoils no later answer"
    assert bytes(buffer) == content[:1000]


def test_a_blob_comes_whole_by_lines_and_by_obstore(
    registry: Registry, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_line: list[int] = []
    by_obstore: list[int] = []
    fill, fill_by_obstore = Lines.fill, registry.store.fill

    def filled(self: Lines, buffer: memoryview, key: str, start: int, size: int) -> bool:
        by_line.append(start)
        return start != RANGE_BYTES and fill(self, buffer, key, start, size)

    def filled_by_obstore(buffer: memoryview, key: str, start: int, size: int) -> None:
        by_obstore.append(start)
        fill_by_obstore(buffer, key, start, size)

    monkeypatch.setattr(Lines, "fill", filled)
    monkeypatch.setattr(registry.store, "fill", filled_by_obstore)
    with reading(registry.store) as ranges:
        assert b"".join(map(bytes, ranges.read(KEY, 0, SIZE))) == content
        assert by_obstore == [RANGE_BYTES], "what a line could not bring"
        assert b"".join(map(bytes, ranges.read(KEY, 9, SIZE))) == content[9:], "in memory used anew"
    assert sorted(by_line)[:2] == [0, 9], "large ranges come by lines"


def test_a_blob_of_another_size_is_corrupt(registry: Registry, content: bytes) -> None:
    with reading(registry.store) as ranges, pytest.raises(Corrupt, match="the manifest says"):
        list(ranges.read(KEY, 0, SIZE + RANGE_BYTES))


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that says this to everyone, and no more; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def serve() -> None:
            with server.accept()[0] as caller:
                caller.recv(65536)
                caller.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/a?b"
        thread.join()


HEAD = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/10\r\n"


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        (HEAD + b"Content-Length: 10\r\n\r\n0123456789", True),
        (HEAD + b"Content-Length: 10\r\n\r\n01234", False),
        (HEAD + b"Content-Length: 11\r\n\r\n01234567890", False),
        (HEAD + b"Content-Length: 9\r\n\r\n012345678", False),
        (HEAD.replace(b"0-9/10", b"1-10/11") + b"Content-Length: 10\r\n\r\n0123456789", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", False),
        (b"nonsense\r\n\r\n", False),
        (b"", False),
    ],
    ids=[
        "good",
        "cut",
        "too long",
        "too short",
        "another range",
        "no range",
        "nonsense",
        "silence",
    ],
)
def test_only_the_very_answer_counts(answer: bytes, good: bool) -> None:
    with answering(answer) as url, closing(Lines(lambda key: url)) as lines:
        assert lines.fill(memoryview(bytearray(10)), KEY, 0, 10) == good


def test_a_store_that_takes_no_signed_url_is_not_asked_again() -> None:
    asked: list[str] = []
    with answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as url:

        def sign(key: str) -> str:
            asked.append(key)
            return url

        with closing(Lines(sign)) as lines:
            for _ in range(3):
                assert not lines.fill(memoryview(bytearray(10)), KEY, 0, 10)
    assert len(asked) == 1, "obstore has its own way to sign"
