"""Content that a disk changes is found, taken away and fetched anew, whoever has it open."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.model_cache.config import Wanted
from components.model_cache.recheck import EVERY_SECONDS, PACE_BYTES_PER_SECOND, Recheck
from tests.cache_node import Node
from tests.counted_store import Counted, counted_store, sha256
from tests.peer_nodes import content


@pytest.fixture(scope="module")
def server() -> Iterator[Counted]:
    with counted_store() as found:
        yield found


@pytest.fixture
def store(server: Counted) -> Counted:
    server.reads.clear()
    return server


@pytest.fixture
def node(store: Counted, tmp_path: Path) -> Node:
    return Node(tmp_path, store.store)


class Slept:
    """A sleep that takes no time, and says how long it was."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, seconds: float) -> None:
        self.seconds += seconds


def checked(node: Node, after_seconds: float) -> tuple[int, float]:
    """All that is due so long from now; how many contents that were, and the pauses it took."""
    slept = Slept()
    add = node.holder.condemned.add
    recheck = Recheck(node.root, add, lambda: time.time() + after_seconds, slept)
    number = 0
    while recheck.step():
        number += 1
        assert number < 100, "what was checked is due no more"
    return number, slept.seconds


def spoil(node: Node, one: Wanted, name: str) -> bytes:
    """Change a byte of a visible file, as a disk does."""
    path = node.shelf(one.project).version(one.digest) / name
    right = path.read_bytes()
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.write(bytes([right[0] ^ 1]))
    os.chmod(path, 0o444)
    return right


def test_each_content_is_read_once_a_week_and_slowly(node: Node, store: Counted) -> None:
    data = content(10 * 2**20, 1)
    one = store.push({"w.bin": data, "again.bin": data, "c.json": b"{}"}, "weekly/model:v1")
    node.hold(one)
    fetched = list(store.blob_reads())
    assert checked(node, EVERY_SECONDS - 60) == (0, 0.0), "it was right when it came"
    number, seconds = checked(node, EVERY_SECONDS + 60)
    assert number == 2, "two files of one content are one"
    assert seconds == pytest.approx((len(data) + 2) / PACE_BYTES_PER_SECOND)
    assert checked(node, EVERY_SECONDS + 120) == (0, 0.0), "checked, for a week"
    assert checked(node, 2 * EVERY_SECONDS + 120)[0] == 2
    node.turn(one)
    assert node.metric("rotten_total", project="weekly") == 0
    assert list(store.blob_reads()) == fetched, "nothing was fetched again"


def test_changed_content_is_fetched_anew(node: Node, store: Counted) -> None:
    one = store.push({"w.bin": b"weights", "c.json": b"{}"}, "changed/model:v1")
    other = store.push({"w.bin": b"weights", "d.json": b"[]"}, "changed/other:v1")
    bystander = store.push({"x": b"x"}, "changed/bystander:v1")
    node.hold(one, other, bystander)
    inode = (node.shelf("changed").version(bystander.digest) / "x").stat().st_ino
    spoil(node, one, "w.bin")
    store.reads.clear()
    assert checked(node, EVERY_SECONDS + 60)[0] == 4
    node.hold(one, other, bystander)
    assert node.files(one) == {"w.bin": b"weights", "c.json": b"{}"}
    assert node.files(other) == {"w.bin": b"weights", "d.json": b"[]"}, "it had the same inode"
    assert [sha for sha, _ in store.blob_reads()] == [sha256(b"weights")], "only what was wrong"
    assert node.metric("rotten_total", project="changed") == 1
    assert (node.shelf("changed").version(bystander.digest) / "x").stat().st_ino == inode
    assert list(node.shelf("changed").rots()) == [], "and that is the end of it"
    node.restart()
    node.hold(one, other, bystander)
    assert len(store.blob_reads()) == 1


def test_a_version_that_a_process_reads_stays_till_it_is_closed(node: Node, store: Counted) -> None:
    one = store.push({"w.bin": b"in use", "c.json": b"{}"}, "used/model:v1")
    node.hold(one)
    spoil(node, one, "w.bin")
    shelf = node.shelf("used")
    with open(shelf.version(one.digest) / "c.json", "rb"):
        checked(node, EVERY_SECONDS + 60)
        node.hold(one)
        assert node.files(one)["w.bin"] != b"in use", "a server is not ended for it"
        assert not shelf.blob(sha256(b"in use")).exists(), "but no peer or new version gets it"
        assert node.metric("rotten_served") == 1, "and somebody is told"
        twin = store.push({"w.bin": b"in use"}, "used/twin:v1")
        node.hold(one, twin)
        assert node.files(twin) == {"w.bin": b"in use"}, "fetched for itself"
        folder = shelf.version(twin.digest).stat().st_ino
        node.restart()
        node.hold(one, twin)
        assert node.metric("rotten_served") == 1, "also after a restart"
        same = shelf.version(twin.digest).stat().st_ino
        assert same == folder, "the twin's own copy is right, and was never away"
    node.hold(one, twin)
    node.hold(one, twin)
    assert node.files(one) == {"w.bin": b"in use", "c.json": b"{}"}
    assert node.files(twin) == {"w.bin": b"in use"}
    assert node.metric("rotten_served") == 0


def test_what_makes_room_meanwhile_is_no_fault(node: Node, store: Counted) -> None:
    data = content(8 * 2**20, 2)
    one = store.push({"w.bin": data}, "gone/model:v1")
    node.hold(one)
    blob = node.shelf("gone").blob(sha256(data))
    condemned: list[tuple[str, str]] = []

    def sleep(_: float) -> None:
        blob.unlink(missing_ok=True)

    later = lambda: time.time() + EVERY_SECONDS + 60  # noqa: E731
    recheck = Recheck(node.root, lambda *row: condemned.append(row), later, sleep)
    assert recheck.step()
    assert condemned == []
    assert not recheck.step(), "its mark went with it"
    assert list(node.shelf("gone").marks()) == []
