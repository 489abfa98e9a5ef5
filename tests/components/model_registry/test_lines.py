"""Large ranges come over kept connections, and whatever goes wrong there is obstore's to tell."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from components.model_registry import lines as one_store
from components.model_registry import ranges as ranges_of_one
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
    monkeypatch.setattr(ranges_of_one, "_while_quick", lambda pieces: iter(()))
    with reading(registry.store) as ranges:
        assert b"".join(map(bytes, ranges.read(KEY, 0, SIZE))) == content
        assert by_obstore == [RANGE_BYTES], "what a line could not bring"
        assert b"".join(map(bytes, ranges.read(KEY, 9, SIZE))) == content[9:], "in memory used anew"
    assert sorted(by_line)[:2] == [0, 9], "large ranges come by lines"


class Watch:
    """A clock that moves only when somebody says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("waiting_seconds", "dealing_seconds", "by_one_line"),
    [(1.0, 1.0, 40), (5.0, 1.0, 16)],
    ids=["a store nearby", "a store far away"],
)
def test_several_lines_are_asked_when_one_is_waited_for(
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    waiting_seconds: float,
    dealing_seconds: float,
    by_one_line: int,
) -> None:
    content, watch = os.urandom(40 * MIB), Watch()
    registry.client.put_object(Bucket=registry.bucket, Key=KEY, Body=content)
    pieces, fill, ranged = Lines.pieces, Lines.fill, list[int]()

    def late(self: Lines, *words: Any) -> Iterator[memoryview]:
        for piece in pieces(self, *words):
            watch.seconds += waiting_seconds
            yield piece

    def filled(self: Lines, buffer: memoryview, key: str, start: int, size: int) -> bool:
        ranged.append(len(buffer) // MIB)
        return fill(self, buffer, key, start, size)

    monkeypatch.setattr(Lines, "pieces", late)
    monkeypatch.setattr(Lines, "fill", filled)
    monkeypatch.setattr(ranges_of_one, "monotonic", watch)
    found = bytearray()
    with reading(registry.store) as ranges:
        for piece in ranges.read(KEY, 0, len(content)):
            found += piece
            watch.seconds += dealing_seconds
    assert found == content
    assert sum(ranged) == 40 - by_one_line, "the rest, and nothing that has come already"


def test_who_stops_while_the_next_piece_is_read_waits_for_it(
    registry: Registry, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces, is_asked, has_come = Lines.pieces, threading.Event(), threading.Event()

    def late(self: Lines, *words: Any) -> Iterator[memoryview]:
        for number, piece in enumerate(pieces(self, *words)):
            if number == 1:
                is_asked.set()
                has_come.wait(20)
            yield piece

    with reading(registry.store) as ranges, monkeypatch.context() as patched:
        patched.setattr(Lines, "pieces", late)
        found = ranges.read(KEY, 0, SIZE)
        assert bytes(next(found)) == content[: RANGE_BYTES // 2]
        assert is_asked.wait(20), "it is read ahead"
        threading.Timer(0.2, has_come.set).start()
        found.close()
        assert has_come.is_set(), "its memory is given to nobody else till then"
        patched.undo()
        assert b"".join(map(bytes, ranges.read(KEY, 0, SIZE))) == content


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


PART = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/20\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\n"
BODY = b"Content-Length: 10\r\n\r\n0123456789"


@pytest.mark.parametrize(
    ("answer", "size", "good"),
    [
        (PART + BODY, 20, True),
        (WHOLE + BODY, 10, True),
        (PART + BODY[:-5], 20, False),
        (WHOLE + BODY[:-5], 10, False),
        (PART + b"Content-Length: 11\r\n\r\n01234567890", 20, False),
        (PART + b"Content-Length: 9\r\n\r\n012345678", 20, False),
        (WHOLE + b"Content-Length: 11\r\n\r\n01234567890", 10, False),
        (PART.replace(b"0-9/20", b"1-10/20") + BODY, 20, False),
        (PART.replace(b"0-9/20", b"0-9/21") + BODY, 20, False),
        (PART + BODY, 10, False),
        (WHOLE + BODY, 20, False),
        (b"nonsense\r\n\r\n", 20, False),
        (b"", 20, False),
    ],
    ids=[
        "good range",
        "good whole",
        "range cut",
        "whole cut",
        "range too long",
        "range too short",
        "whole too long",
        "another range",
        "of another size",
        "range for a whole",
        "whole for a range",
        "nonsense",
        "silence",
    ],
)
def test_only_the_very_answer_counts(answer: bytes, size: int, good: bool) -> None:
    with answering(answer) as url, closing(Lines(lambda key: url)) as lines:
        assert lines.fill(memoryview(bytearray(10)), KEY, 0, size) == good


def test_pieces_come_in_order_and_end_where_the_answer_does() -> None:
    buffers = [memoryview(bytearray(4)) for _ in range(2)]
    for answer, expected in (
        (WHOLE + BODY, [b"0123", b"4567", b"89"]),
        (WHOLE + BODY[:-3], [b"0123"]),
        (WHOLE + BODY[:-2], [b"0123", b"4567"]),
    ):
        with answering(answer) as url, closing(Lines({KEY: url}.__getitem__)) as lines:
            assert [bytes(one) for one in lines.pieces(buffers, KEY, 0, 10, 10)] == expected


def test_a_file_of_one_line_goes_on_by_obstore_where_the_line_breaks(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(5 * MIB + 7)
    registry.client.put_object(Bucket=registry.bucket, Key=KEY, Body=content)
    pieces, starts = Lines.pieces, list[int]()
    fill = registry.store.fill

    def broken(self: Lines, *words: Any) -> Iterator[memoryview]:
        yield from itertools.islice(pieces(self, *words), 2)

    def filled(buffer: memoryview, key: str, start: int, size: int) -> None:
        starts.append(start)
        fill(buffer, key, start, size)

    monkeypatch.setattr(Lines, "pieces", broken)
    monkeypatch.setattr(Lines, "fill", lambda *_: False)
    monkeypatch.setattr(registry.store, "fill", filled)
    with reading(registry.store) as ranges:
        assert b"".join(map(bytes, ranges.read(KEY, 0, len(content)))) == content
    assert starts == [2 * MIB], "what had come is not asked for again"


def test_a_file_of_one_line_takes_one_request(registry: Registry, lines: Lines) -> None:
    content = os.urandom(3 * MIB)
    registry.client.put_object(Bucket=registry.bucket, Key=KEY, Body=content)
    found = lines.pieces([memoryview(bytearray(MIB))], KEY, 0, len(content), len(content))
    assert b"".join(map(bytes, found)) == content
    assert len(lines._idle) == 1, "and its line is kept for the next"


def test_a_store_that_is_silent_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_store, "_SILENCE_SECONDS", 0.2)
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def sign(key: str) -> str:
            asked.append(key)
            return f"http://127.0.0.1:{silent.getsockname()[1]}/a?b"

        with closing(Lines(sign)) as lines:
            for _ in range(3):
                assert not lines.fill(memoryview(bytearray(10)), KEY, 0, 10)
    assert len(asked) == 1, "obstore waits for it too, and twice is twice as long till it is told"


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
