"""A version appears whole or not at all, never moves, and costs only what is not there yet."""

from __future__ import annotations

import json
import os
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from components.model_registry import keys, local_files, part_stream, prefixes
from components.model_registry.catalogue import move_tag, read_manifest, resolve
from components.model_registry.errors import RegistryError
from components.model_registry.keys import address
from components.model_registry.local_files import (
    KEPT_BYTES,
    MAX_PARTS,
    LocalFile,
    describe,
    find,
    part_bytes_of,
)
from components.model_registry.part_stream import PartStream
from components.model_registry.push import Pushed
from components.model_registry.sessions import Registry, connect
from tests.components.model_registry.conftest import (
    MIB,
    NOBODY,
    Program,
    files_in,
    keys_of,
    push,
)
from tests.counted_store import sha256

V1 = "search/sentiment:v1"


def calls(registry: Registry, operation: str) -> list[Any]:
    """Every later call of an S3 operation."""
    found: list[Any] = []
    registry.client.meta.events.register(
        f"before-call.s3.{operation}", lambda **about: found.append(about)
    )
    return found


def test_a_push_stores_each_content_once(registry: Registry, tmp_path: Path) -> None:
    files = {"a.bin": b"same", "b/c.bin": b"same", "empty": b"", "config.json": b"{}"}
    pushed = push(registry, files_in(tmp_path, files), V1)
    assert [file.path for file in pushed.manifest.files] == sorted(files)
    blobs = [key for key in keys_of(registry) if "/blobs/" in key]
    assert len(blobs) == 3, "two equal files are one blob"
    assert resolve(registry.store, address(V1)) == pushed.digest
    assert read_manifest(registry.store, "search", pushed.digest) == pushed.manifest
    assert all(key.startswith("search/") for key in registry.store.keys("")), (
        "readers are granted their project's prefix only"
    )


def test_a_blob_that_was_cut_short_is_sent_again(registry: Registry, tmp_path: Path) -> None:
    sizes = {"small.bin": 1000, "middle.bin": 9 * MIB, "large.bin": 17 * MIB}
    files = {path: os.urandom(size) for path, size in sizes.items()}
    first = push(registry, files_in(tmp_path, files), V1)
    keys_by_path = {f.path: keys.blob("search", f.sha256) for f in first.manifest.files}
    for path, key in keys_by_path.items():
        registry.client.put_object(Bucket=registry.bucket, Key=key, Body=files[path][:-1])
    assert push(registry, tmp_path, V1).sent_bytes == sum(sizes.values())
    for path, key in keys_by_path.items():
        body = registry.client.get_object(Bucket=registry.bucket, Key=key)["Body"].read()
        assert body == files[path], "what is published must be whole"


def test_a_large_content_has_the_digests_of_its_beginnings_beside_it(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (local_files, prefixes):
        monkeypatch.setattr(module, "PREFIX_BYTES", 3 * MIB)
    sizes = {"none.bin": 3 * MIB, "one.bin": 3 * MIB + 1, "many.bin": 17 * MIB + 5}
    files = {path: os.urandom(size) for path, size in sizes.items()}
    version = push(registry, files_in(tmp_path, files), V1)
    found = {f.path: prefixes.load(registry.store, "search", f) for f in version.manifest.files}
    assert found == {
        path: [sha256(data[:at]) for at in range(3 * MIB, len(data), 3 * MIB)] or ()
        for path, data in files.items()
    }
    for file in version.manifest.files:
        registry.client.delete_object(
            Bucket=registry.bucket, Key=keys.prefixes("search", file.sha256)
        )
    assert push(registry, tmp_path, V1).sent_bytes == 0
    assert {
        f.path: prefixes.load(registry.store, "search", f) for f in version.manifest.files
    } == found, "content of an older push gets them too, when it is pushed again"


def test_a_push_that_is_repeated_sends_nothing(registry: Registry, tmp_path: Path) -> None:
    files_in(tmp_path, {"a.bin": b"weights"})
    first = push(registry, tmp_path, V1)
    second = push(registry, tmp_path, V1)
    assert (first.new, first.sent_bytes) == (True, 7)
    assert (second.new, second.sent_bytes) == (False, 0)
    assert second.digest == first.digest


def test_a_version_never_moves(registry: Registry, tmp_path: Path) -> None:
    first = push(registry, files_in(tmp_path, {"a.bin": b"one"}), V1)
    files_in(tmp_path, {"a.bin": b"two"})
    before = keys_of(registry)
    with pytest.raises(RegistryError, match="a version never moves; push under a new version"):
        push(registry, tmp_path, V1)
    assert resolve(registry.store, address(V1)) == first.digest
    assert keys_of(registry) == before, "what is refused is refused before it is sent"


def test_of_two_pushes_of_a_version_one_wins(registry: Registry, tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=30)
    outcomes: dict[str, Pushed | RegistryError] = {}

    def one(name: str) -> None:
        waited = threading.Event()

        def told(work: str, count: int) -> None:
            if not waited.is_set():  # both have seen that there is no such version
                waited.set()
                both.wait()

        try:
            outcomes[name] = push(registry, tmp_path / name, V1, told)
        except RegistryError as error:
            outcomes[name] = error

    for name in ("x", "y"):
        files_in(tmp_path / name, {"a.bin": name.encode()})
    racing = [threading.Thread(target=one, args=(name,)) for name in ("x", "y")]
    for thread in racing:
        thread.start()
    for thread in racing:
        thread.join(60)
    won = [found for found in outcomes.values() if isinstance(found, Pushed)]
    lost = [found for found in outcomes.values() if isinstance(found, RegistryError)]
    assert (len(won), len(lost)) == (1, 1)
    assert "exists with other content" in str(lost[0])
    assert resolve(registry.store, address(V1)) == won[0].digest


def test_a_killed_push_is_invisible_and_is_continued(
    registry: Registry, tmp_path: Path, program: Program
) -> None:
    files_in(tmp_path, {"a.bin": os.urandom(48 * MIB)})
    killed = program(
        "def told(work, count):\n"
        "    if work == 'send':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        f"push(registry, Path(sys.argv[1]), {V1!r}, told)\n",
        tmp_path,
    )
    assert killed.returncode == -9, killed.stderr
    assert keys_of(registry) == [], "a half push must not be seen"
    left = registry.client.list_multipart_uploads(Bucket=registry.bucket)["Uploads"]
    assert len(left) == 1
    began, sent = calls(registry, "CreateMultipartUpload"), calls(registry, "UploadPart")
    pushed = push(registry, tmp_path, V1)
    assert not began, "the upload that is there is gone on with"
    assert len(sent) < 6, "parts that are there are not sent again"
    assert pushed.sent_bytes == len(sent) * 8 * MIB
    assert registry.store.size(keys.blob("search", pushed.manifest.files[0].sha256)) == 48 * MIB
    assert "Uploads" not in registry.client.list_multipart_uploads(Bucket=registry.bucket)


def test_two_pushes_of_one_content_share_an_upload(registry: Registry, tmp_path: Path) -> None:
    files_in(tmp_path, {"a.bin": os.urandom(17 * MIB)})
    other = connect(registry.bucket, registry.client.meta.endpoint_url, NOBODY)
    inner: list[Pushed] = []

    def overtake(**about: Any) -> None:
        if not inner:
            inner.append(push(other, tmp_path, "search/sentiment:v2"))

    registry.client.meta.events.register("before-call.s3.CompleteMultipartUpload", overtake)
    outer = push(registry, tmp_path, V1)
    assert inner[0].sent_bytes == 0, "it has found the parts of the one it overtook"
    assert inner[0].digest == outer.digest, (
        "who comes late finds the upload gone and the blob there"
    )


def test_parts_that_are_not_the_files_are_sent_again(registry: Registry, tmp_path: Path) -> None:
    source = files_in(tmp_path, {"a.bin": os.urandom(17 * MIB)}) / "a.bin"
    key = keys.blob("search", describe("a.bin", source, len_of_nothing).sha256)
    upload = registry.client.create_multipart_upload(Bucket=registry.bucket, Key=key)["UploadId"]
    registry.client.upload_part(
        Bucket=registry.bucket, Key=key, UploadId=upload, PartNumber=1, Body=bytes(8 * MIB)
    )
    push(registry, tmp_path, V1)
    body = registry.client.get_object(Bucket=registry.bucket, Key=key)["Body"].read()
    assert body == source.read_bytes(), "another's bytes must not end in this blob"


def len_of_nothing(count: int) -> None:
    """Nobody counts."""


@pytest.mark.parametrize("size", [5, KEPT_BYTES + 1, 20 * MIB])
def test_a_file_that_changes_while_it_is_pushed_is_refused(
    registry: Registry, tmp_path: Path, size: int
) -> None:
    source = files_in(tmp_path, {"a.bin": bytes(size)}) / "a.bin"
    digested = 0

    def told(work: str, count: int) -> None:
        nonlocal digested
        digested += count
        if work == "digest" and digested == size:
            stat = source.stat()
            with open(source, "r+b") as file:
                file.write(b"x")
            os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    with pytest.raises(RegistryError, match="changed while it was pushed"):
        push(registry, tmp_path, V1, told)
    assert not [key for key in keys_of(registry) if "/models/" in key], "it must not be a version"


def test_a_file_that_changes_while_it_is_digested_is_refused(tmp_path: Path) -> None:
    source = files_in(tmp_path, {"a.bin": bytes(3 * MIB)}) / "a.bin"

    def change(count: int) -> None:
        with open(source, "r+b") as file:
            file.write(b"x")  # where it was read already: no digest can tell

    with pytest.raises(RegistryError, match="changed while it was pushed"):
        describe("a.bin", source, change)


@pytest.mark.parametrize(("size", "readings"), [(0, 1), (KEPT_BYTES, 1), (KEPT_BYTES + 1, 2)])
def test_a_small_file_is_read_once(
    registry: Registry, tmp_path: Path, size: int, readings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    again: list[int] = []

    class Watched(PartStream):
        def __init__(self, file: LocalFile, index: int) -> None:
            super().__init__(file, index)
            again.append(index)

    monkeypatch.setattr(part_stream, "PartStream", Watched)
    content = os.urandom(size)
    pushed = push(registry, files_in(tmp_path, {"a.bin": content}), V1)
    assert 1 + len(again) == readings
    key = keys.blob("search", pushed.manifest.files[0].sha256)
    assert registry.store.read(key) == content


def test_a_part_notices_bytes_that_were_not_digested(tmp_path: Path) -> None:
    source = files_in(tmp_path, {"a.bin": bytes(100)}) / "a.bin"
    known = describe("a.bin", source, len_of_nothing)
    with open(source, "r+b") as file:
        file.seek(50)
        file.write(b"x")
    with PartStream(known, 0) as part, pytest.raises(RegistryError, match="changed"):
        part.read()


def test_a_tag_moves_and_is_no_version(registry: Registry, tmp_path: Path) -> None:
    one = push(registry, files_in(tmp_path / "1", {"a": b"1"}), V1)
    two = push(registry, files_in(tmp_path / "2", {"a": b"2"}), "search/sentiment:v2")
    assert move_tag(registry.store, address(V1), "prod", one.digest) == ""
    assert move_tag(registry.store, address(V1), "prod", two.digest) == one.digest
    assert resolve(registry.store, address("search/sentiment:prod")) == two.digest
    with pytest.raises(RegistryError, match="v2 is a version"):
        move_tag(registry.store, address(V1), "v2", one.digest)
    with pytest.raises(RegistryError, match="prod is a tag"):
        push(registry, tmp_path / "1", "search/sentiment:prod")


def safetensors(shapes: dict[str, tuple[str, list[int]]]) -> bytes:
    tensors = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}
        for name, (dtype, shape) in shapes.items()
    }
    header = json.dumps({"__metadata__": {"format": "pt"}} | tensors).encode()
    return struct.pack("<Q", len(header)) + header


def test_the_manifest_tells_the_parameters_of_all_shards(
    registry: Registry, tmp_path: Path
) -> None:
    shards = {
        "model-1.safetensors": safetensors({"a": ("BF16", [1000, 20]), "b": ("F32", [])}),
        "model-2.safetensors": safetensors({"c": ("BF16", [5])}),
    }
    pushed = push(registry, files_in(tmp_path, shards), V1)
    assert pushed.manifest.facts == {"parameters": 20006, "dtypes": {"BF16": 20005, "F32": 1}}


@pytest.mark.parametrize(
    "content",
    [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        b"",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 14) + b'{"a":{"x":[1]}}',
    ],
)
def test_what_only_looks_like_safetensors_is_refused(
    registry: Registry, tmp_path: Path, content: bytes
) -> None:
    files_in(tmp_path, {"model.safetensors": content})
    with pytest.raises(RegistryError, match="git-lfs pointer"):
        push(registry, tmp_path, V1)
    assert keys_of(registry) == []


def test_links_to_files_are_followed_and_nothing_is_left_out(tmp_path: Path) -> None:
    hub, model = tmp_path / "models--org--name", tmp_path / "models--org--name/snapshots/9f0c"
    files_in(hub, {"blobs/1": b"weights", "snapshots/9f0c/.gitattributes": b""})
    (model / "w.bin").symlink_to("../../blobs/1")
    (model / "same.bin").symlink_to("w.bin")
    found = [path for path, _ in find(model)]
    whole = [".gitattributes", "same.bin", "w.bin"]
    assert found == whole, "Hugging Face's caches are made of links"
    (model / "more").symlink_to(hub / "blobs")
    with pytest.raises(RegistryError, match="links to a directory"):
        list(find(model))


@pytest.mark.parametrize("home", ["model", "models--org--name/snapshots/9f0c", "snapshots/a/b"])
def test_a_link_out_of_the_directory_is_not_published(tmp_path: Path, home: str) -> None:
    files_in(tmp_path, {"credentials": b"key", f"{home}/config.json": b"{}"})
    (tmp_path / home / "w.bin").symlink_to(tmp_path / "credentials")
    with pytest.raises(RegistryError, match=r"w\.bin links out of the directory, to .*credentials"):
        list(find(tmp_path / home))


@pytest.mark.parametrize("target", ["nowhere", "w.bin", "/nonexistent/w.bin"])
def test_a_link_to_nothing_is_told_by_its_name(tmp_path: Path, target: str) -> None:
    files_in(tmp_path, {"config.json": b"{}"})
    (tmp_path / "w.bin").symlink_to(target)
    with pytest.raises(RegistryError, match=r"w\.bin links to what cannot be read; remove it"):
        list(find(tmp_path))


@pytest.mark.parametrize("blobs", ["/", "../.."])
def test_a_cache_s_blobs_that_are_a_link_are_no_way_out(tmp_path: Path, blobs: str) -> None:
    hub, model = tmp_path / "models--org--name", tmp_path / "models--org--name/snapshots/9f0c"
    files_in(tmp_path, {"credentials": b"key", "models--org--name/snapshots/9f0c/c.json": b"{}"})
    (hub / "blobs").symlink_to(blobs)
    (model / "w.bin").symlink_to(f"../../blobs/{(tmp_path / 'credentials').relative_to('/')}")
    with pytest.raises(RegistryError, match="links"):
        list(find(model))


def test_a_pipe_is_no_part_of_a_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RegistryError, match="no regular file"):
        list(find(tmp_path))


@pytest.mark.parametrize("size", [0, 1, 80 * 1024**3, 81 * 1024**3, 5 * 1024**4])
def test_no_file_has_more_parts_than_an_upload_may(size: int) -> None:
    part = part_bytes_of(size)
    assert -(-size // part) <= MAX_PARTS
    assert part % MIB == 0, "another push must cut the file alike"
