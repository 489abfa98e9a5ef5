"""The agent on a small disk that it shares with images and logs: it leaves what must stay free."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.model_cache import notices
from components.model_cache.config import Wanted
from components.model_cache.evict import GRACE_SECONDS
from tests.cache_node import GIB, Node
from tests.counted_store import Counted, counted_store

MIB = 1024**2
DISK = 1300 * MIB
FREE_PERCENT = 90
RESERVE = DISK * FREE_PERCENT // 100  # 1170 MiB, more than the 1 GiB that always stays free
MODEL = 8 * MIB


@pytest.fixture(scope="module")
def store() -> Iterator[Counted]:
    with counted_store() as found:
        yield found


def taken_bytes(folder: Path) -> int:
    """What a folder's files take, each once however many names it has."""
    found = (path.lstat() for path in folder.rglob("*") if path.is_file())
    return sum({row.st_ino: row.st_blocks * 512 for row in found}.values())


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of DISK bytes; only told to be one where nobody may mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0:
        yield folder
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        return
    like = shutil.disk_usage(folder)

    def told(_: Path) -> object:
        taken = taken_bytes(folder)
        return like._replace(total=DISK, used=taken, free=DISK - taken)

    monkeypatch.setattr(shutil, "disk_usage", told)
    yield folder


@pytest.fixture
def node(disk: Path, store: Counted) -> Node:
    """A node whose models may take far more than its disk has; images take all but two models."""
    others_write(disk, DISK - RESERVE - 2 * MODEL - MIB)
    (disk / "isoserve").mkdir()
    return Node(
        disk / "isoserve", store.store, budget_bytes=64 * GIB, disk_free_percent=FREE_PERCENT
    )


def others_write(disk: Path, size: int) -> None:
    """Let images and logs grow by so much."""
    with open(disk / "images", "ab") as out:
        for _ in range(size // MIB):
            out.write(bytes(MIB))


def a_model(store: Counted, project: str, version: int) -> Wanted:
    data = random.Random(f"{project} {version}").randbytes(MODEL)
    return store.push({"w.bin": data}, f"{project}/model:v{version}")


def free(node: Node) -> int:
    return shutil.disk_usage(node.root).free


def test_a_cache_that_is_configured_larger_than_its_disk_stops_at_the_reserve(
    node: Node, store: Counted
) -> None:
    models = [a_model(store, "stops", version) for version in range(3)]
    node.hold(*models)
    held = node.shelf("stops").versions()
    assert len(held) == 2, "there is room for two"
    assert free(node) >= RESERVE, "below its threshold the kubelet evicts the node's pods"
    assert node.metric("budget_bytes") == pytest.approx(2 * MODEL, abs=2 * MIB), (
        "of 64 GiB that are configured"
    )
    (refused,) = (one for one in models if one.digest not in held)
    notice = notices.read(node.shelf("stops"), refused.digest)
    assert notice
    assert notice.refused
    assert "its cache may take 69 GB, and 1.23 GB of the disk must stay free" in notice.trouble
    assert "since the kubelet evicts pods" in notice.trouble


def test_when_images_grow_what_nobody_lists_goes_and_what_is_listed_stays(
    node: Node, disk: Path, store: Counted
) -> None:
    old, new = (a_model(store, "grow", version) for version in range(2))
    node.hold(old, new)
    node.turn(new)
    node.age(old, GRACE_SECONDS + 60)
    node.hold(new)
    assert node.shelf("grow").versions() == sorted([old.digest, new.digest]), "it harms nobody"
    others_write(disk, 4 * MIB)
    node.hold(new)
    assert node.shelf("grow").versions() == [new.digest], "before the kubelet makes room itself"
    assert free(node) >= RESERVE
    assert node.metric("evicted_total", project="grow") == 1
    others_write(disk, 16 * MIB)
    node.hold(new)
    assert node.shelf("grow").versions() == [new.digest], "its pods may start at any time"
    assert node.metric("budget_bytes") == 0, "nothing more fits"


def test_when_images_grow_what_a_process_reads_stays(
    node: Node, disk: Path, store: Counted
) -> None:
    old = a_model(store, "reads", 0)
    node.hold(old)
    node.turn()
    node.age(old, GRACE_SECONDS + 60)
    with open(node.shelf("reads").version(old.digest) / "w.bin", "rb"):
        others_write(disk, 16 * MIB)
        node.hold()
        assert node.shelf("reads").versions() == [old.digest]
    node.hold()
    assert node.shelf("reads").versions() == []


def test_an_agent_looks_at_the_disk_every_minute(node: Node, disk: Path, store: Counted) -> None:
    old = a_model(store, "minute", 0)
    node.hold(old)
    node.turn()
    node.age(old, GRACE_SECONDS + 60)
    others_write(disk, 16 * MIB)
    node.seconds += 59.0
    node.turn()
    assert node.shelf("minute").versions() == [old.digest]
    node.seconds += 1.0
    node.turn()
    assert node.shelf("minute").versions() == [], "an image of gigabytes takes a minute or two"


def test_a_share_of_nothing_still_leaves_a_gibibyte(node: Node, disk: Path, store: Counted) -> None:
    one = a_model(store, "least", 0)
    node.disk_free_percent = 0
    others_write(disk, DISK - GIB - MODEL // 2 - taken_bytes(disk))
    node.hold(one)
    assert node.files(one) == {}
    assert free(node) >= GIB, "the node's own files are on the disk too"


def inodes_taken(folder: Path) -> int:
    return len({path.lstat().st_ino for path in folder.rglob("*")})


@pytest.fixture
def few_inodes(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has inodes for one model of 50 files beside those that must stay free."""
    before, really = inodes_taken(node.root), os.statvfs

    def told(path: Path) -> os.statvfs_result:
        free = 100 + 80 - (inodes_taken(node.root) - before)
        found = list(really(path))
        found[5:8] = [1000, free, free]  # f_files, f_ffree, f_favail
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", told)


def of_many_files(store: Counted, version: int) -> Wanted:
    files = {f"{number:02}.bin": f"{version} {number}".encode() for number in range(50)}
    return store.push(files, f"many/model:v{version}")


@pytest.mark.usefixtures("few_inodes")
def test_a_model_of_more_files_than_the_disk_has_inodes_for_is_not_held(
    node: Node, store: Counted
) -> None:
    first, second = (of_many_files(store, version) for version in range(2))
    node.hold(first, second)
    (held,) = node.shelf("many").versions()
    (refused,) = {first.digest, second.digest} - {held}
    notice = notices.read(node.shelf("many"), refused)
    assert notice
    assert "inodes for it: 10 % of the disk's must stay free" in notice.trouble


@pytest.mark.usefixtures("few_inodes")
def test_a_version_that_nobody_lists_makes_room_for_files_too(node: Node, store: Counted) -> None:
    first, second = (of_many_files(store, version) for version in range(2, 4))
    node.hold(first)
    node.turn()
    node.age(first, GRACE_SECONDS + 60)
    node.hold(second)
    assert node.shelf("many").versions() == [second.digest]
