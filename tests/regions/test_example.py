"""The example model is trained alike everywhere, and comes whole into every region's registry."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

from components.model_registry import keys
from components.model_registry.catalogue import read_manifest, resolve, resolved
from components.model_registry.checked import verify
from components.model_registry.local_files import find
from components.model_registry.sessions import Registry
from model_specs.load import load
from regions.sandbox import object_store, ports, servers
from regions.sandbox.errors import SandboxError
from regions.sandbox.example import publish, training
from regions.sandbox.layout import ROOT
from tests.moto_store import moto_store

HOME, OTHER = "sandbox-aws", "sandbox-onprem"
HOME_BUCKET, OTHER_BUCKET = "isoserve-models-sandbox-aws", "isoserve-models-sandbox-onprem"
MODEL = keys.address("search/ranker:v7")
BOUND_SECONDS = 30


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An object store of its own, as the sandbox starts one; gives a client."""
    with moto_store() as url:
        chosen = dict.fromkeys(ports._NAMES, 0) | {"moto": urlsplit(url).port}
        (tmp_path / "sandbox.json").write_text(json.dumps(chosen))
        monkeypatch.setattr(ports, "PORTS_FILE", tmp_path / "sandbox.json")
        for module in (object_store, publish):
            monkeypatch.setattr(module, "AWS", tmp_path / "aws")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        object_store._write_aws_files()
        client = object_store.client("s3")
        yield client
        for bucket in (row["Name"] for row in client.list_buckets()["Buckets"]):
            if bucket in (HOME_BUCKET, OTHER_BUCKET):
                emptied(client, bucket)
                client.delete_bucket(Bucket=bucket)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in the place of the trained model, and a spec that does not pin them yet."""
    folder = tmp_path / "ranker"
    folder.mkdir()
    for name in ("README.md", "model-settings.json", "model.joblib"):
        (folder / name).write_text(f"{name} of a test")
    monkeypatch.setattr(training, "ensure", lambda say: folder)
    spec = tmp_path / "ranker.yaml"
    monkeypatch.setattr(publish, "SPEC", str(spec))
    spec.write_text(f"model: {MODEL}@sha256:{'0' * 64}\n")
    return spec


def made(client: Any, *buckets: str) -> None:
    for bucket in buckets:
        client.create_bucket(Bucket=bucket)
        versioned = {"Status": "Enabled"}
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioned)


def emptied(client: Any, bucket: str) -> None:
    """What one test leaves the next would find: moto has one world in a process."""
    for key, version in written(client, bucket):
        client.delete_object(Bucket=bucket, Key=key, VersionId=version)


def published() -> list[str]:
    said: list[str] = []
    publish.publish(HOME, [OTHER], said.append, threading.Event())
    return said


def pinned(spec: Path) -> str:
    """Let the spec pin what was pushed by a run that ended in an error."""
    with pytest.raises(SandboxError):
        published()
    digest = resolve(registry(HOME_BUCKET).store, MODEL)
    spec.write_text(f"model: {MODEL}@{digest}\n")
    return digest


def registry(bucket: str) -> Registry:
    return publish._registry(bucket)


def written(client: Any, bucket: str) -> list[tuple[str, str]]:
    """Every object ever written: the bucket keeps old versions."""
    rows = client.list_object_versions(Bucket=bucket).get("Versions", [])
    return sorted((row["Key"], row["VersionId"]) for row in rows)


def test_every_region_gets_the_model_whole(store: Any, example: Path) -> None:
    made(store, HOME_BUCKET, OTHER_BUCKET)
    digest = pinned(example)
    said = published()
    for bucket in (HOME_BUCKET, OTHER_BUCKET):
        there = registry(bucket).store
        found = resolved(there, keys.address("search/ranker:prod"))
        assert found.digest == digest, f"{bucket} has the version and its tag"
        bad = verify(there, "search", found.manifest, lambda work, count: None)
        assert not bad, f"{bucket} has what the manifest tells of"
        assert found.manifest.metadata["task"] == "ranking", "people see what it is for"
        pairs = store.get_object(Bucket=bucket, Key="_datasets/search/pairs/pairs.csv")["Body"]
        assert len(pairs.read().splitlines()) == 3, "and what search/scores scores"
    assert "copied as S3 replication would, which moto does not do" in said[-1], "and it is told"


def test_published_again_it_changes_nothing(store: Any, example: Path) -> None:
    made(store, HOME_BUCKET, OTHER_BUCKET)
    digest = pinned(example)
    published()
    before = [written(store, bucket) for bucket in (HOME_BUCKET, OTHER_BUCKET)]
    said = published()
    home, other = (set(written(store, bucket)) for bucket in (HOME_BUCKET, OTHER_BUCKET))
    assert other == set(before[1]), "not one object is copied anew"
    anew = {key for key, _ in home - set(before[0])}
    assert anew == {keys.manifest("search", digest)}, "the same bytes: a push mends what was broken"
    assert f"{OTHER} has all of it" in said[-1]


def test_a_half_copy_is_invisible_and_is_completed(
    store: Any, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(store, HOME_BUCKET, OTHER_BUCKET)
    digest = pinned(example)
    monkeypatch.setattr(object_store, "client", lambda service: store)
    there, runs, cut_short = registry(OTHER_BUCKET).store, 0, True
    while cut_short:
        runs += 1
        with interrupted(store, after=1):
            cut_short = attempt()
        for pointer in there.keys(keys.versions("search", "ranker")):
            assert pointer == keys.version("search", "ranker", "v7")
            manifest = read_manifest(there, "search", digest)
            bad = verify(there, "search", manifest, lambda work, count: None)
            assert not bad, f"after {runs} objects the version is there, and not all of it"
    assert runs >= 6, "3 files, manifest, version and tag, one a run"
    assert resolve(there, keys.address("search/ranker:prod")) == digest


@contextmanager
def interrupted(client: Any, after: int) -> Iterator[None]:
    """Lets `after` copies through; the next one fails as when the machine goes down."""
    left = after

    def count(**call: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise ConnectionAbortedError("the machine went down")

    client.meta.events.register("before-call.s3.CopyObject", count)
    try:
        yield
    finally:
        client.meta.events.unregister("before-call.s3.CopyObject", count)


def attempt() -> bool:
    """Publish; whether it was cut short."""
    try:
        published()
    except ConnectionAbortedError:
        return True
    return False


def test_it_waits_for_the_stack_to_make_the_bucket(store: Any, example: Path) -> None:
    made(store, HOME_BUCKET)
    digest = pinned(example)
    ended: list[list[str]] = []
    running = threading.Thread(target=lambda: ended.append(published()), daemon=True)
    running.start()
    made(store, OTHER_BUCKET)
    running.join(BOUND_SECONDS)
    assert ended, "it goes on once the bucket is there"
    assert resolve(registry(OTHER_BUCKET).store, MODEL) == digest


def test_it_ends_when_the_buckets_will_not_come(store: Any, example: Path) -> None:
    given_up = threading.Event()
    given_up.set()
    said: list[str] = []
    publish.publish(HOME, [OTHER], said.append, given_up)
    assert said == [], "a failed `pulumi up` is told by itself"


def test_another_model_than_the_pinned_one_is_named_with_the_cure(
    store: Any, example: Path
) -> None:
    made(store, HOME_BUCKET)
    with pytest.raises(SandboxError) as error:
        published()
    found = resolve(registry(HOME_BUCKET).store, MODEL)
    for word in (f"sha256:{'0' * 64}", found, "isoserve model pin", HOME, publish.SPEC):
        assert word in str(error.value), "both digests, and the very command that mends it"


# -- the real training -----------------------------------------------------------------------


@pytest.fixture
def trainer() -> Path:
    """The model servers' Python, which `make engine` has had built."""
    assert servers.is_current(), "run `python -m regions.sandbox build`"
    return servers.PYTHON


def trained(folder: Path, monkeypatch: pytest.MonkeyPatch, **env: str) -> dict[str, bytes]:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    training.train(folder)
    return {path: source.read_bytes() for path, source in find(folder)}


KERNELS: Final = {
    "Haswell": {"avx2", "fma"},
    "Prescott": {"pni"},
    "SkylakeX": {"avx2", "fma", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}
"""Kernels of OpenBLAS, and what of /proc/cpuinfo each needs: it runs one that a variable names
without asking (force_coretype in driver/others/dynamic.c of 0.3.30)."""


@pytest.mark.engine
def test_the_model_is_trained_alike_on_every_machine(
    trainer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = trained(tmp_path / "first", monkeypatch, OMP_NUM_THREADS="1")
    assert set(wanted) == {"README.md", "model-settings.json", "model.joblib"}
    able = set(Path("/proc/cpuinfo").read_text().split())
    runnable = [kernel for kernel, needed in KERNELS.items() if needed <= able]
    assert len(runnable) > 1, "or nothing is compared"
    for number, kernel in enumerate(runnable):
        found = trained(
            tmp_path / kernel,
            monkeypatch,
            OMP_NUM_THREADS=str(number + 1),
            OPENBLAS_NUM_THREADS=str(number + 1),
            OPENBLAS_CORETYPE=kernel,
        )
        assert found == wanted, f"with the kernels for {kernel}: another address for one model"


@pytest.mark.engine
def test_the_spec_and_its_lock_file_are_of_the_trained_model(
    trainer: Path, store: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training, "FOLDER", tmp_path / "example")
    made(store, HOME_BUCKET, OTHER_BUCKET)
    published()  # refuses what the spec does not pin
    address = str(yaml.safe_load((ROOT / publish.SPEC).read_text())["model"])
    found = resolved(registry(OTHER_BUCKET).store, keys.address(address))
    facts = load(ROOT / "model_specs").facts[address]
    told = (facts.bytes, facts.files)
    assert told == (found.manifest.bytes, len(found.manifest.files)), "plans count with these"


@pytest.mark.engine
def test_a_training_that_was_killed_is_done_anew(
    trainer: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training, "FOLDER", tmp_path)
    said: list[str] = []
    folder = training.ensure(said.append)
    assert training.ensure(said.append) == folder
    assert len(said) == 1, "once, while nothing changes"
    (tmp_path / "ranker.stamp").unlink()
    (folder / "model.joblib").write_bytes(b"half")
    assert (training.ensure(said.append) / "model.joblib").stat().st_size > len(b"half")


def test_without_the_servers_the_training_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "PYTHON", tmp_path / "none")
    with pytest.raises(SandboxError, match=r"regions\.sandbox build"):
        training.train(tmp_path / "model")
