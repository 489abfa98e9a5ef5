"""A file that is visible is right, whatever the registry holds and whenever the pull was killed."""

from __future__ import annotations

import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.model_registry import keys
from components.model_registry.catalogue import read_manifest
from components.model_registry.checked import verify
from components.model_registry.errors import Corrupt, RegistryError
from components.model_registry.keys import Address, address
from components.model_registry.lines import Lines
from components.model_registry.manifest import Manifest, ManifestFile
from components.model_registry.paths import PARTIAL
from components.model_registry.pull import Pull
from components.model_registry.push import Pushed
from components.model_registry.ranges import RANGE_BYTES, Ranges
from components.model_registry.sessions import Registry
from components.model_registry.share import share
from components.model_registry.store import Store
from tests.components.model_registry.conftest import (
    MIB,
    Program,
    files_in,
    keys_of,
    push,
    run_program,
    silent,
)
from tests.components.model_registry.zeros import zeros

V1 = "search/sentiment:v1"
FILES = {"config.json": b"{}", "sub/w.bin": os.urandom(MIB), "copy.bin": b"{}", "empty": b""}


@pytest.fixture
def pushed(registry: Registry, tmp_path: Path) -> Pushed:
    return push(registry, files_in(tmp_path / "source", FILES), V1)


def blob_of(pushed: Pushed, path: str) -> str:
    return next(
        keys.blob("search", file.sha256) for file in pushed.manifest.files if file.path == path
    )


def tree_of(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and PARTIAL not in path.parts
    }


def test_a_pull_brings_what_was_pushed(registry: Registry, pushed: Pushed, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert Pull(registry.store, "search", out, silent).run(pushed.manifest) == []
    assert tree_of(out) == FILES
    assert not (out / PARTIAL).exists()


def test_a_second_pull_mends_and_fetches_only_what_is_wrong(
    registry: Registry, pushed: Pushed, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    Pull(registry.store, "search", out, silent).run(pushed.manifest)
    (out / "config.json").write_bytes(b"[]")
    kept = (out / "sub/w.bin").stat().st_ino
    assert Pull(registry.store, "search", out, silent).run(pushed.manifest) == []
    assert tree_of(out) == FILES
    assert (out / "sub/w.bin").stat().st_ino == kept, "what is right stays"


def spoilt(good: bytes, harm: str) -> bytes:
    return {
        "changed": good[:-1] + bytes([good[-1] ^ 1]),
        "cut": good[:-1],
        "emptied": b"",
        "longer": good + b"x",
    }[harm]


@pytest.mark.parametrize("harm", ["changed", "cut", "emptied", "longer", "missing"])
def test_a_bad_blob_is_named_and_never_visible(
    registry: Registry, pushed: Pushed, tmp_path: Path, harm: str
) -> None:
    key = blob_of(pushed, "sub/w.bin")
    good = FILES["sub/w.bin"]
    if harm == "missing":
        registry.client.delete_object(Bucket=registry.bucket, Key=key)
    else:
        bad = spoilt(good, harm)
        registry.client.put_object(Bucket=registry.bucket, Key=key, Body=bad)
    named = [one.path for one in verify(registry.store, "search", pushed.manifest, silent)]
    assert named == ["sub/w.bin"]
    out = tmp_path / "out"
    found = Pull(registry.store, "search", out, silent).run(pushed.manifest)
    assert [one.path for one in found] == ["sub/w.bin"]
    assert set(tree_of(out)) == set(FILES) - {"sub/w.bin"}, "a reader must never see a bad byte"
    registry.client.put_object(Bucket=registry.bucket, Key=key, Body=good)
    assert Pull(registry.store, "search", out, silent).run(pushed.manifest) == []
    assert tree_of(out) == FILES


@pytest.mark.parametrize("start", [0, 4, 5, 9])
def test_an_object_of_another_size_is_corrupt_wherever_it_is_read(
    registry: Registry, start: int
) -> None:
    registry.store.put("search/blobs/sha256/a", b"12345")
    with pytest.raises(Corrupt, match="its blob has 5 bytes, the manifest says 10"):
        registry.store.fill(memoryview(bytearray(10 - start)), "search/blobs/sha256/a", start, 10)
    found = bytearray(3)
    registry.store.fill(memoryview(found), "search/blobs/sha256/a", 1, 5)
    assert found == b"234"


def test_a_killed_pull_goes_on_where_it_stopped(
    registry: Registry, tmp_path: Path, program: Program
) -> None:
    size = 40 * MIB
    pushed = push(registry, files_in(tmp_path / "source", {"w.bin": os.urandom(size)}), V1)
    out = tmp_path / "out"
    killed = program(
        "from components.model_registry.catalogue import read_manifest\n"
        "from components.model_registry.pull import Pull\n"
        "done = 0\n"
        "def told(work, count):\n"
        "    global done\n"
        "    done += count\n"
        f"    if done > {20 * MIB}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "manifest = read_manifest(registry.store, 'search', sys.argv[2])\n"
        "Pull(registry.store, 'search', Path(sys.argv[1]), told).run(manifest)\n",
        out,
        pushed.digest,
    )
    assert killed.returncode == -9, killed.stderr
    assert tree_of(out) == {}, "half a file must not be seen"
    partial = out / PARTIAL / pushed.manifest.files[0].sha256
    assert partial.stat().st_size == 24 * MIB
    told: list[int] = []
    pull = Pull(registry.store, "search", out, lambda work, count: told.append(count))
    assert pull.run(pushed.manifest) == []
    assert told == [24 * MIB, *[MIB] * 16], "what is there is digested, the rest fetched"
    assert (out / "w.bin").read_bytes() == (tmp_path / "source" / "w.bin").read_bytes()


def test_a_partial_that_a_power_cut_has_zeroed_is_fetched_anew(
    registry: Registry, pushed: Pushed, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    name = blob_of(pushed, "sub/w.bin").rpartition("/")[2]
    files_in(out / PARTIAL, {name: bytes(1000)})
    assert Pull(registry.store, "search", out, silent).run(pushed.manifest) == []
    assert tree_of(out) == FILES


def test_no_link_in_the_directory_leads_a_file_outside(
    registry: Registry, pushed: Pushed, tmp_path: Path
) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    (out / "sub").symlink_to(outside)
    with pytest.raises(RegistryError, match="leads out of"):
        Pull(registry.store, "search", out, silent).run(pushed.manifest)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("laid", ["folder", "lock", "content", "copy", "hard link", "pipe"])
def test_nothing_that_is_laid_among_unfinished_files_is_written_to(
    laid: str, registry: Registry, pushed: Pushed, tmp_path: Path
) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    victim = files_in(outside, {"victim": b"mine"}) / "victim"
    name = blob_of(pushed, "config.json").rpartition("/")[2]
    partial = out / PARTIAL
    if laid == "folder":
        out.mkdir()
        partial.symlink_to(outside)
    else:
        partial.mkdir(parents=True)
    if laid == "pipe":
        os.mkfifo(partial / name)
    elif laid == "hard link":
        (partial / f"{name}.copy").hardlink_to(victim)
    elif laid != "folder":
        at = {"lock": "lock", "content": name, "copy": f"{name}.copy"}[laid]
        (partial / at).symlink_to(victim)
    with pytest.raises(RegistryError, match="is no file that a pull has left unfinished"):
        Pull(registry.store, "search", out, silent).run(pushed.manifest)
    assert {p.name: p.read_bytes() for p in outside.iterdir()} == {"victim": b"mine"}


def test_two_pulls_into_one_directory_do_not_mix(
    registry: Registry, pushed: Pushed, tmp_path: Path
) -> None:
    errors: list[str] = []

    def told(work: str, count: int) -> None:
        if not errors:
            with pytest.raises(RegistryError) as refused:
                Pull(registry.store, "search", tmp_path / "out", silent).run(pushed.manifest)
            errors.append(str(refused.value))

    Pull(registry.store, "search", tmp_path / "out", told).run(pushed.manifest)
    assert "another pull writes there" in errors[0]


def test_a_model_larger_than_the_disk_is_refused_at_once(
    registry: Registry, tmp_path: Path
) -> None:
    file = ManifestFile(path="w", size=5 * 1024**4, sha256="0" * 64)
    huge = Manifest(files=(file,), metadata={}, facts={})
    with pytest.raises(RegistryError, match="short of space"):
        Pull(registry.store, "search", tmp_path / "out", silent).run(huge)


def test_a_manifest_that_is_not_its_digest_is_refused(registry: Registry, pushed: Pushed) -> None:
    registry.store.put(keys.manifest("search", pushed.digest), b"{}")
    with pytest.raises(Corrupt, match="not what its digest says"):
        read_manifest(registry.store, "search", pushed.digest)


def test_sharing_copies_inside_the_store(
    registry: Registry, pushed: Pushed, tmp_path: Path
) -> None:
    source = Address(project="search", model="sentiment", label="v1", digest=pushed.digest)
    target = address(f"chat/sentiment:v1@{pushed.digest}")
    assert share(registry, source, target, silent) == []
    out = tmp_path / "out"
    manifest = read_manifest(registry.store, "chat", pushed.digest)
    assert Pull(registry.store, "chat", out, silent).run(manifest) == []
    assert tree_of(out) == FILES
    assert len(list(registry.store.keys("chat/"))) == len(keys_of(registry))


def test_half_a_model_is_not_shared(registry: Registry, pushed: Pushed) -> None:
    registry.client.delete_object(Bucket=registry.bucket, Key=blob_of(pushed, "sub/w.bin"))
    source = Address(project="search", model="sentiment", label="v1", digest=pushed.digest)
    target = address(f"chat/sentiment:v1@{pushed.digest}")
    bad = share(registry, source, target, silent)
    assert [one.path for one in bad] == ["sub/w.bin"]
    assert list(registry.store.keys("chat/models/")) == []


class CountingStore(Store):
    """Zeros, and how many ranges were asked for at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now, self.most = 0, 0

    def fill(self, buffer: memoryview, key: str, start: int, size: int) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)


def test_ranges_in_memory_are_bounded_over_all_files() -> None:
    store = CountingStore()
    found: list[int] = []

    def read(ranges: Ranges, key: str) -> None:
        count = 0
        for _ in ranges.read(key, 0, 50 * RANGE_BYTES):
            count += 1
            with store.lock:
                store.now -= 1
        found.append(count)

    with ThreadPoolExecutor(16) as fetchers:
        ranges = Ranges(store, Lines(lambda key: ""), fetchers, 5)
        # Daemons: readers that wait for each other must fail this test and not hang it.
        readers = [threading.Thread(target=read, args=(ranges, k), daemon=True) for k in "abcd"]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(20)
    assert found == [50] * 4, "no reader starves"
    assert store.most <= 5 + 4, "each reader holds the one it was given besides"


def peak_mib(done: subprocess.CompletedProcess[str]) -> float:
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split("VmHWM:")[1].split()[0]) / 1024


@pytest.mark.engine
def test_a_large_file_takes_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "source").mkdir()
    with open(tmp_path / "source" / "w.bin", "wb") as file:
        file.truncate(1024 * MIB)
    tell = "print(open('/proc/self/status').read())\n"
    with zeros() as endpoint:
        pushing = f"push(registry, Path(sys.argv[1]), {V1!r})\n{tell}"
        assert peak_mib(run_program("models", endpoint, pushing, tmp_path / "source")) < 256
        pulling = (
            "from components.model_registry.catalogue import resolved\n"
            "from components.model_registry.keys import address\n"
            "from components.model_registry.pull import Pull\n"
            f"found = resolved(registry.store, address({V1!r})).manifest\n"
            "told = lambda work, count: None\n"
            "assert not Pull(registry.store, 'search', Path(sys.argv[1]), told).run(found)\n"
            f"{tell}"
        )
        assert peak_mib(run_program("models", endpoint, pulling, tmp_path / "out")) < 256
    assert (tmp_path / "out" / "w.bin").stat().st_size == 1024 * MIB
