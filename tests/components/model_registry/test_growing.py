"""A file that grows has the digest of all that is in it, in whatever pieces it came."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.model_registry.growing import Growing

MIB = 2**20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.bin"


@pytest.fixture
def opened(path: Path) -> Iterator[int]:
    path.touch()
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("lengths", [(), (1,), (5 * MIB,), (3, 8 * MIB, 9, 4 * MIB, MIB)])
def test_what_is_added_is_written_and_digested(
    path: Path, opened: int, lengths: tuple[int, ...]
) -> None:
    content = os.urandom(sum(lengths))
    rest = memoryview(content)
    with Growing(opened) as grown:
        for length in lengths:
            buffer = bytearray(rest[:length])
            grown.add(memoryview(buffer))
            buffer[:] = bytes(length)  # whoever gave it uses it again
            rest = rest[length:]
        assert grown.size == len(content)
    assert path.read_bytes() == content
    assert grown.sha256 == hashlib.sha256(content).hexdigest()


def test_what_was_there_is_digested_and_gone_on_with(path: Path, opened: int) -> None:
    there = os.urandom(2 * MIB + 5)
    path.write_bytes(there)
    with Growing(opened) as grown:
        assert grown.size == len(there), "so much need not be fetched"
        grown.add(memoryview(b"more"))
    assert path.read_bytes() == there + b"more"
    assert grown.sha256 == hashlib.sha256(there + b"more").hexdigest()


@pytest.mark.parametrize("length", [10, 8 * MIB])
def test_a_disk_that_refuses_is_told_at_once(path: Path, length: int) -> None:
    path.touch()
    readable = os.open(path, os.O_RDONLY)
    try:
        with Growing(readable) as grown, pytest.raises(OSError, match="Bad file descriptor"):
            grown.add(memoryview(bytearray(length)))
    finally:
        os.close(readable)


def test_what_came_since_the_mark_is_forgotten(path: Path, opened: int) -> None:
    with Growing(opened) as grown:
        for _ in range(2):  # as often as need be
            grown.add(memoryview(b"wrong" * 3 * MIB))
            grown.rewind()
            assert path.read_bytes() == b"", "at first the mark is the beginning"
        grown.add(memoryview(b"right"))
        grown.mark()
        grown.add(memoryview(b"wrong"))
        grown.rewind()
        assert grown.size == 5
        grown.add(memoryview(b" and more"))
    assert path.read_bytes() == b"right and more"
    assert grown.sha256 == hashlib.sha256(b"right and more").hexdigest()
