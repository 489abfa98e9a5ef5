"""The cache agent against a real S3 API: what it fetches, what it shows, what it never shows."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.model_cache import notices
from components.model_cache.config import Wanted
from components.model_cache.evict import GRACE_SECONDS
from components.model_cache.retry import Retries
from components.model_registry import ranges
from components.model_registry.growing import Growing
from tests.cache_node import Node, check_visible
from tests.counted_store import Counted, counted_store, sha256

PART = ranges.RANGE_BYTES
A_DAY = 86_400.0


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


def content(seed: str, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def test_a_listed_model_appears_as_it_was_pushed(node: Node, store: Counted) -> None:
    files = {"config.json": b"{}", "empty": b"", "deep/er/w.bin": content("a", 2 * PART + 5)}
    one = store.push(files, "appears/model:v1")
    node.hold(one)
    assert node.files(one) == files
    assert check_visible(node.root, {("appears", one.digest): files}) == 1
    assert node.metric("held_bytes", project="appears", model="model") == 2 * PART + 7
    assert node.metric("budget_bytes") == node.budget_bytes
    assert node.signs.ready


def test_a_file_is_read_once(node: Node, store: Counted) -> None:
    data = content("once", PART + 5)
    one = store.push({"w.bin": data, "again.bin": data}, "once/model:v1")
    node.hold(one, one)
    assert store.blob_reads() == [(sha256(data), "")], "two files of one content are one download"
    node.restart()
    node.hold(one)
    assert len(store.blob_reads()) == 1, "what is there is not asked for again"


def test_versions_share_what_they_have_in_common(node: Node, store: Counted) -> None:
    shared = content("shared", 1000)
    old = store.push({"w.bin": shared, "c.json": b"1"}, "shares/model:v1")
    new = store.push({"w.bin": shared, "c.json": b"2"}, "shares/model:v2")
    node.hold(old, new)
    shelf = node.shelf("shares")
    inodes = {os.stat(shelf.version(one.digest) / "w.bin").st_ino for one in (old, new)}
    assert len(inodes) == 1, "a hard link takes no room"
    assert node.metric("used_bytes") == 1002
    assert node.metric("held_bytes", project="shares", model="model") == 1002, "counted once"


def test_a_project_has_no_content_by_naming_the_digest_of_another_s(
    node: Node, store: Counted
) -> None:
    secret = content("secret", 100)
    theirs = store.push({"w.bin": secret}, "owner/model:v1")
    guess = store.push({"w.bin": secret, "x": b"x"}, "thief/model:v1")
    store.store.put(f"thief/blobs/sha256/{sha256(secret)}", b"not it")
    node.hold(theirs, guess)
    assert node.files(theirs) == {"w.bin": secret}
    assert node.files(guess) == {}, "each project's content comes from its own prefix"


# -- resuming --------------------------------------------------------------------------------


def leave_partial(node: Node, project: str, data: bytes, there: bytes) -> None:
    """As an agent leaves it that was killed while it wrote `data`."""
    shelf = node.shelf(project)
    shelf.prepare()
    shelf.partial(sha256(data)).write_bytes(there)


def test_what_was_written_before_a_kill_is_not_fetched_again(node: Node, store: Counted) -> None:
    data = content("resume", 3 * PART)
    one = store.push({"w.bin": data}, "resumes/model:v1")
    leave_partial(node, "resumes", data, data[: 2 * PART])
    node.hold(one)
    assert node.files(one) == {"w.bin": data}
    assert store.blob_reads() == [(sha256(data), f"bytes={2 * PART}-{3 * PART - 1}")]


@pytest.mark.parametrize("there", [bytes(PART), bytes(5 * PART)], ids=["zeros", "too much"])
def test_a_spoilt_partial_file_is_begun_anew_and_the_registry_not_blamed(
    node: Node, store: Counted, there: bytes
) -> None:
    data = content("power cut", 2 * PART)
    one = store.push({"w.bin": data}, "powercut/model:v1")
    leave_partial(node, "powercut", data, there)
    node.hold(one)
    assert node.files(one) == {"w.bin": data}, "a preallocated file of zeros is a known trap"
    assert node.metric("failures_total", project="powercut", reason="corrupt") == 0


def test_a_partial_file_that_was_closed_already_can_be_gone_on_with(
    node: Node, store: Counted
) -> None:
    data = content("closed", 100)
    one = store.push({"w.bin": data}, "closed/model:v1")
    leave_partial(node, "closed", data, data)
    os.chmod(node.shelf("closed").partial(sha256(data)), 0o444)
    node.hold(one)
    assert node.files(one) == {"w.bin": data}
    assert not store.blob_reads(), "it had all bytes and lacked its name only"


def test_files_that_were_complete_before_a_restart_are_not_fetched_again(
    node: Node, store: Counted
) -> None:
    good, other = content("complete", 300), content("other", 200)
    one = store.push({"good": good, "other": other}, "restarts/model:v1")
    store.spoil("restarts", other, other[:-1])
    node.hold(one)
    store.spoil("restarts", other, other)
    store.reads.clear()
    node.restart()
    node.hold(one)
    assert node.files(one) == {"good": good, "other": other}
    assert store.blob_reads() == [(sha256(other), "bytes=0-199")]


# -- wrong content ---------------------------------------------------------------------------


def flipped(data: bytes) -> bytes:
    return data[:50] + bytes([data[50] ^ 1]) + data[51:]


@pytest.mark.parametrize(
    ("case", "spoil"),
    [("flipped", flipped), ("short", lambda d: d[:-1]), ("zeros", lambda d: bytes(len(d)))],
)
def test_wrong_content_never_appears_and_the_old_version_stays(
    node: Node, store: Counted, case: str, spoil: object
) -> None:
    assert callable(spoil)
    old = store.push({"w.bin": content(case, 99)}, f"{case}/model:v1")
    node.hold(old)
    data = content(f"{case} 2", 200)
    new = store.push({"w.bin": data, "good": b"good"}, f"{case}/model:v2")
    store.spoil(case, data, spoil(data))
    node.hold(old, new)
    shelf = node.shelf(case)
    assert shelf.versions() == [old.digest], "never visible, and nothing else is harmed"
    assert not shelf.blob(sha256(data)).exists()
    assert node.metric("failures_total", project=case, reason="corrupt") >= 1
    kept = [path.name for path in (shelf.hidden / "quarantine").iterdir()]
    assert kept == ([] if case == "short" else [sha256(data)]), "for who asks what it was"
    for _ in range(3):
        node.hold(old, new)
    notice = notices.read(shelf, new.digest)
    assert notice
    assert notice.refused, "after three attempts its pods need not wait any more"
    assert "w.bin" in notice.trouble
    assert "push the model anew" in notice.trouble
    assert node.signs.ready, "one model's fault is not the node's"
    store.spoil(case, data, data)
    node.hold(old, new)
    assert node.files(new) == {"w.bin": data, "good": b"good"}, "mended by a push, without a hand"
    assert shelf.notices() == []


def test_a_manifest_that_is_not_its_digest_s_is_not_believed(node: Node, store: Counted) -> None:
    one = store.push({"w.bin": b"w"}, "manifest/model:v1")
    other = store.push({"w.bin": b"evil"}, "manifest/model:v2")
    key = "manifest/manifests/sha256/"
    store.store.put(key + one.digest, store.store.read(key + other.digest))
    node.hold(one)
    assert node.files(one) == {}
    assert node.metric("failures_total", project="manifest", reason="corrupt") == 1


def test_a_model_that_nobody_pushed_is_refused_with_its_name(node: Node, store: Counted) -> None:
    there = store.push({"w.bin": b"w"}, "nobody/model:v1")
    absent = Wanted(
        project="nobody", model="m", address="a", digest="0" * 64, bytes=0, pinned=False
    )
    for _ in range(8):
        node.hold(there, absent)
    assert node.files(there) == {"w.bin": b"w"}, "the others are held all the same"
    notice = notices.read(node.shelf("nobody"), absent.digest)
    assert notice
    assert notice.refused
    assert "there is no nobody/manifests" in notice.trouble


def test_a_version_that_lost_a_file_is_withdrawn_and_fetched_anew(
    node: Node, store: Counted
) -> None:
    one = store.push({"a": b"aaa", "b": b"bbb"}, "loses/model:v1")
    node.hold(one)
    top = node.shelf("loses").version(one.digest)
    os.chmod(top, 0o755)
    (top / "a").unlink()
    node.restart()
    node.hold(one)
    assert node.files(one) == {"a": b"aaa", "b": b"bbb"}


# -- room ------------------------------------------------------------------------------------


def test_the_longest_unlisted_version_makes_room(node: Node, store: Counted) -> None:
    oldest, old, new = (
        store.push({"w.bin": content(f"room {n}", 400)}, f"room/model:v{n}") for n in range(3)
    )
    node.budget_bytes = 1000
    node.hold(oldest)
    node.hold(old)
    node.turn(new)
    assert node.files(new) == {}, "both old ones may still be mounted by pods that drain"
    notice = notices.read(node.shelf("room"), new.digest)
    assert notice
    assert notice.refused
    assert "give larger disks or cache fewer models" in notice.trouble
    node.age(oldest, GRACE_SECONDS + 60)
    node.age(old, GRACE_SECONDS)
    node.seconds += A_DAY
    node.hold(new)
    assert node.shelf("room").versions() == sorted([old.digest, new.digest])
    assert node.metric("evicted_total", project="room") == 1
    assert node.metric("used_bytes") == 800, "its content went with it"


def test_a_version_that_a_process_reads_does_not_make_room(node: Node, store: Counted) -> None:
    old, new = (
        store.push({"w.bin": content(f"reads {n}", 600)}, f"reads/model:v{n}") for n in range(2)
    )
    node.budget_bytes = 1000
    node.hold(old)
    node.turn()
    node.age(old, A_DAY)
    with open(node.shelf("reads").version(old.digest) / "w.bin", "rb"):
        node.hold(new)
        assert node.shelf("reads").versions() == [old.digest], "the kernel knows of every opener"
    node.seconds += A_DAY
    node.hold(new)
    assert node.shelf("reads").versions() == [new.digest]


def test_a_listed_version_is_never_evicted_while_nobody_knows_what_pods_need(
    node: Node, store: Counted
) -> None:
    one, two = (
        store.push({"w.bin": content(f"both {n}", 600)}, f"both/model:v{n}") for n in range(2)
    )
    node.budget_bytes = 1000
    node.hold(one, two)
    (first,) = node.shelf("both").versions()
    for _ in range(2):
        node.hold(one, two)
    assert node.shelf("both").versions() == [first], "first come, and the other is told why"


def test_a_smaller_budget_is_kept_at_the_next_look(node: Node, store: Counted) -> None:
    old, new = (
        store.push({"w.bin": content(f"less {n}", 600)}, f"less/model:v{n}") for n in range(2)
    )
    node.hold(old, new)
    node.turn(new)
    node.age(old, A_DAY)
    node.budget_bytes = 1000
    node.turn(new)
    assert node.shelf("less").versions() == [new.digest]


def test_content_that_a_new_version_shares_is_not_counted_as_room(
    node: Node, store: Counted
) -> None:
    shared = content("counted", 600)
    oldest = store.push({"w.bin": shared}, "counted/model:v1")
    old = store.push({"w.bin": content("counted old", 300)}, "counted/model:v2")
    new = store.push({"w.bin": shared, "x": content("counted new", 300)}, "counted/model:v3")
    node.budget_bytes = 1000
    node.hold(oldest, old)
    node.turn()
    node.age(oldest, 2 * A_DAY)
    node.age(old, A_DAY)
    node.hold(new)
    assert node.shelf("counted").versions() == [new.digest]
    assert node.metric("used_bytes") == 900, "evicting only the oldest would have freed nothing"


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_and_leaves_nothing_half(
    node: Node, store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = store.push({"w.bin": b"old"}, "full/model:v1")
    new = store.push({"w.bin": content("full", PART)}, "full/model:v2")
    node.hold(old)
    with monkeypatch.context() as patched:
        patched.setattr(Growing, "add", full)
        node.turn(old, new)
    shelf = node.shelf("full")
    assert shelf.versions() == [old.digest]
    assert list(shelf.partials()) == [], "what cannot be finished would keep the disk full"
    assert node.metric("failures_total", project="full", reason="disk_full") == 1
    notice = notices.read(shelf, new.digest)
    assert notice
    assert notice.refused
    assert "No space left" in notice.trouble
    node.seconds += A_DAY
    node.hold(old, new)
    assert node.shelf("full").versions() == sorted([old.digest, new.digest]), "goes on by itself"


def test_the_file_system_is_not_filled_to_the_brim(
    node: Node, store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = store.push({"w.bin": content("brim", 600)}, "brim/model:v1")
    disk = shutil.disk_usage(node.root)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    node.hold(one)
    assert store.blob_reads() == [], "the kubelet evicts pods of a node whose disk is full"
    assert node.metric("failures_total", project="brim", reason="disk_full") == 1


def test_what_a_version_had_fetched_is_dropped_when_nobody_lists_it(
    node: Node, store: Counted
) -> None:
    data = content("dropped", 300)
    one = store.push({"w.bin": data}, "dropped/model:v1")
    leave_partial(node, "dropped", data, data[:100])
    (node.shelf("dropped").hidden / "trees" / one.digest).mkdir()
    node.turn()
    assert node.metric("used_bytes") == 0
    assert list((node.shelf("dropped").hidden / "trees").iterdir()) == []


# -- herds -----------------------------------------------------------------------------------


def test_a_new_model_is_not_asked_for_by_all_nodes_at_once(store: Counted, tmp_path: Path) -> None:
    seconds = 0.0
    retries = Retries(lambda: seconds, lambda most: most / 2, 30.0)
    retries.only([("p", "d")], [])
    assert not retries.is_due(("p", "d")), "ConfigMaps change everywhere at the same time"
    seconds = 15.0
    assert retries.is_due(("p", "d"))
    waits = []
    for _ in range(12):
        retries.failed(("p", "d"), "registry", "down")
        before = seconds
        while not retries.is_due(("p", "d")):
            seconds += 1.0
        waits.append(seconds - before)
    assert waits == sorted(waits)
    assert waits[-1] == 150.0, "half of the most, as chance has it here"
    assert not retries.is_refused(("p", "d")), "a registry comes back; its pods wait on"


def test_the_disk_of_a_project_that_left_is_given_back(node: Node, store: Counted) -> None:
    gone = store.push({"w.bin": content("left", 700)}, "left/model:v1")
    new = store.push({"w.bin": content("stays", 700)}, "stays/model:v1")
    node.budget_bytes = 1000
    node.hold(gone)
    node.turn()
    node.age(gone, A_DAY)
    node.restart()
    node.hold(new)
    assert node.shelf("left").versions() == []
    assert node.shelf("stays").versions() == [new.digest]


def test_without_what_the_agent_knows_visible_versions_are_served_on(
    node: Node, store: Counted
) -> None:
    one = store.push({"w.bin": b"w"}, "known/model:v1")
    node.hold(one)
    shutil.rmtree(node.shelf("known").hidden)
    node.restart()
    node.hold(one)
    assert node.files(one) == {"w.bin": b"w"}
