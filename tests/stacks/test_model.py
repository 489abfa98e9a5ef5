"""`isoserve model` on a registry with S3's rules: its words, its exit codes, what it writes."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from model_specs.load import load
from tests.moto_store import moto_store
from tests.stacks.conftest import ROOT, Answer, Isoserve

DIGEST = "sha256:" + "0" * 64
SPEC = "# who owns it\nmachine_type: gpu.l4.1  # small\nimage: vllm\n{line}\naccess: private\n"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_store() as url:
        yield url


@pytest.fixture
def isoserve(endpoint: str, isoserve: Isoserve) -> Isoserve:
    """The command, told how this machine reaches the store: no profile may name loopback."""

    def run(*words: str | Path) -> Answer:
        named = words[0] == "model" and "--endpoint" not in words
        return isoserve(*words, *(("--endpoint", endpoint) if named else ()))

    return run


@pytest.fixture
def here(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one region, an empty registry, and a model in `weights`."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    bucket = f"models-{abs(hash(tmp_path))}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    profile = (ROOT / "regions" / "seoul-dc1.yaml").read_text(encoding="utf-8")
    for before, after in (
        ("bucket: models\n", f"bucket: {bucket}\n"),
        ("profile: seoul-dc1\n", 'profile: ""\n'),
        ("~/.aws/", f"{tmp_path}/"),
    ):
        assert before in profile
        profile = profile.replace(before, after)
    (tmp_path / "regions").mkdir()
    (tmp_path / "regions" / "dc1.yaml").write_text(profile, encoding="utf-8")
    (tmp_path / "Pulumi.yaml").touch()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text("{}")
    (tmp_path / "weights" / "w.bin").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spec(here: Path, line: str, name: str = "sentiment") -> Path:
    folder = here / "model_specs" / "search"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "project.yaml").write_bytes(
        (ROOT / "model_specs" / "search" / "project.yaml").read_bytes()
    )
    path = folder / f"{name}.yaml"
    path.write_bytes(SPEC.format(line=line).encode())
    return path


def test_a_version_goes_there_and_back(here: Path, isoserve: Isoserve) -> None:
    pushed = isoserve(
        "model",
        "push",
        "weights",
        "search/sentiment:v1",
        "--tag",
        "prod",
        "--meta",
        "a=b=c",
        "--json",
    )
    assert pushed.code == 0, pushed.err
    assert pushed.data["metadata"] == {"a": "b=c"}
    assert pushed.data["files"] == 2
    assert pushed.data["bytes"] == 9
    listed = isoserve("model", "list", "search/sentiment", "--json").data["models"]
    assert [(row["version"], row["tags"], row["digest"]) for row in listed] == [
        ("v1", ["prod"], pushed.data["digest"])
    ]
    for name in ("search/sentiment:prod", f"search/sentiment@{pushed.data['digest']}"):
        assert isoserve("model", "pull", name, here / name[-6:]).code == 0
        assert (here / name[-6:] / "w.bin").read_bytes() == b"weights"
    assert isoserve("model", "verify", "search/sentiment:v1").code == 0
    assert "search/sentiment:v1" in isoserve("model", "list").out


def test_the_data_of_jobs_is_not_listed_with_the_models(
    here: Path, endpoint: str, isoserve: Isoserve
) -> None:
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    key = "_datasets/models/index/versions/v1"  # a project may be called `models`
    client.put_object(Bucket=f"models-{abs(hash(here))}", Key=key, Body=b"x")
    isoserve("model", "push", "weights", "search/sentiment:v1")
    listed = isoserve("model", "list", "--json").data["models"]
    assert [row["model"] for row in listed] == ["sentiment"]


def test_a_bad_blob_is_a_finding(here: Path, endpoint: str, isoserve: Isoserve) -> None:
    isoserve("model", "push", "weights", "search/sentiment:v1")
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    bucket = f"models-{abs(hash(here))}"
    for row in client.list_objects_v2(Bucket=bucket, Prefix="search/blobs/")["Contents"]:
        if row["Size"] == 7:
            client.put_object(Bucket=bucket, Key=row["Key"], Body=b"WEIGHTS")
    for words in (["verify", "search/sentiment:v1"], ["pull", "search/sentiment:v1", here / "o"]):
        answer = isoserve("model", *words)
        assert answer.code == 1
        assert "w.bin: its blob is corrupt" in answer.out
    assert [path.name for path in (here / "o").glob("*.*") if path.is_file()] == ["config.json"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["push", "weights", "search/sentiment"], "names no version"),
        (["push", "weights", "Search/x:v1"], "a model's address is"),
        (["push", "weights", "search/x:v1", "--meta", "a"], "--meta is key=value"),
        (["push", "weights", "search/x:v1", "--tag", "v1"], "needs a name of its own"),
        (["push", "weights", "search/x:v1", "--tag", "a/b"], "a version or tag is"),
        (["push", "weights", f"search/x:v1@{DIGEST}"], "the digest comes of the files"),
        (["push", "nowhere", "search/x:v1"], "is no directory"),
        (["push", "model_specs", "search/x:v1"], "has no files"),
        (["pull", "search/x:v9", "out"], "it has no version"),
        (["pull", f"search/x@{DIGEST}", "out"], "there is no search/manifests/sha256/000"),
        (["share", "search/x:v1", "Chat"], "a project is"),
        (["list", "search/nope"], "has no model in this registry"),
        (["list", "--region", "nope"], "no such region"),
        (["list", "--regions", "nowhere"], "no such directory"),
        (["list", "--endpoint", "http://127.0.0.1:1/"], "127.0.0.1:1"),
        (["pin", "nowhere.yaml"], "cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_sentence(
    here: Path, isoserve: Isoserve, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.model_registry.store.RETRIES", {"max_retries": 0})
    (here / "model_specs").mkdir()
    answer = isoserve("model", *words)
    assert answer.code in (1, 2)
    assert said in answer.err
    assert answer.err.count("\n") <= 2


def test_a_push_without_credentials_says_where_they_belong(
    here: Path, isoserve: Isoserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    answer = isoserve("model", "list")
    assert (answer.code, "no credentials for s3://" in answer.err) == (2, True)


def test_of_two_home_regions_one_must_be_named(isoserve: Isoserve, tmp_path: Path) -> None:
    answer = isoserve("model", "list", "--regions", ROOT / "regions")
    assert answer.code == 2
    assert "sandbox-aws, us-east-1" in answer.err, "a push into the wrong region is hard to undo"


def test_another_project_gets_a_copy(here: Path, isoserve: Isoserve) -> None:
    isoserve("model", "push", "weights", "search/sentiment:v1", "--tag", "prod")
    answer = isoserve("model", "share", "search/sentiment:prod", "chat")
    assert answer.code == 0, answer.err
    assert "chat/sentiment:v1@sha256:" in answer.out, "the version is named, not what may move"
    assert isoserve("model", "verify", "chat/sentiment:v1").code == 0
    assert isoserve("model", "share", "search/sentiment:v1", "search").code == 2


@pytest.mark.parametrize(
    "line",
    [
        "model: search/sentiment:v1",
        "model:   'search/sentiment:v1'   # the good one",
        'model: "search/sentiment:v1"',
        f"model: search/sentiment:v1@{DIGEST}",
        "model: search/sentiment:prod\r",
    ],
)
def test_pinning_changes_no_other_byte(here: Path, isoserve: Isoserve, line: str) -> None:
    isoserve("model", "push", "weights", "search/sentiment:v1", "--tag", "prod")
    digest = isoserve("model", "list", "--json").data["models"][0]["digest"]
    path = spec(here, line)
    before = path.read_bytes().decode()
    old = line.split()[1].strip("'\"")
    answer = isoserve("model", "pin", path)
    assert answer.code == 0, answer.err
    pinned = f"search/sentiment:v1@{digest}"
    assert path.read_bytes().decode() == before.replace(old, pinned)
    facts = load(here / "model_specs").facts[pinned]
    assert (facts.bytes, facts.files) == (9, 2)
    lock = path.parent / "models.lock.yaml"
    written = lock.read_bytes()
    assert isoserve("model", "pin", path).code == 0
    assert lock.read_bytes() == written, "pinning twice is pinning once"


@pytest.mark.parametrize("ttl", ["14d", "'14d'   # two sprints", "336h", "2w"])
def test_a_duration_is_pinned_as_the_moment_it_ends(
    here: Path, isoserve: Isoserve, monkeypatch: pytest.MonkeyPatch, ttl: str
) -> None:
    monkeypatch.setenv("ISOSERVE_AT", "2026-11-22T10:00:00Z")
    isoserve("model", "push", "weights", "search/sentiment:v1")
    path = spec(here, f"model: search/sentiment:v1\nttl: {ttl}")
    before = path.read_text(encoding="utf-8")
    answer = isoserve("model", "pin", path)
    assert answer.out.endswith(", wanted until 2026-12-06T10:00:00Z\n"), answer.err
    span = ttl.split()[0].strip("'")
    address = path.read_text(encoding="utf-8").split("model: ")[1].split()[0]
    wanted = before.replace("search/sentiment:v1", address).replace(span, "2026-12-06T10:00:00Z")
    assert path.read_text(encoding="utf-8") == wanted, "no other byte"
    (model,) = [m for m in load(here / "model_specs").models if m.name == path.stem]
    assert model.spec.ttl == datetime(2026, 12, 6, 10, tzinfo=UTC)
    monkeypatch.setenv("ISOSERVE_AT", "2026-11-29T10:00:00Z")
    assert isoserve("model", "pin", path).code == 0
    assert path.read_text(encoding="utf-8") == wanted, "pinning again moves no end"


def test_pinning_keeps_what_the_lock_file_says_besides(here: Path, isoserve: Isoserve) -> None:
    isoserve("model", "push", "weights", "search/sentiment:v1")
    path = spec(here, "model: search/sentiment:v1")
    lock = path.parent / "models.lock.yaml"
    head = (
        "# Ours.\nmodels:\n"
        f"  search/other:v1@{DIGEST}:  # the old one\n    bytes: 5\n    files: 1  # only\n"
    )
    tail = "# The end.\n"
    lock.write_text(head + tail, encoding="utf-8")
    assert isoserve("model", "pin", path).code == 0
    text = lock.read_text(encoding="utf-8")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(load(here / "model_specs").facts) == 2


def test_a_tag_is_pinned_as_the_version_it_stands_for(here: Path, isoserve: Isoserve) -> None:
    isoserve("model", "push", "weights", "search/sentiment:v1")
    (here / "weights" / "more").write_text("more")
    isoserve("model", "push", "weights", "search/sentiment:v2", "--tag", "prod")
    path = spec(here, "model: search/sentiment:v1")
    assert isoserve("model", "pin", path, "--to", "prod").code == 0
    assert "model: search/sentiment:v2@sha256:" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("model: chat/sentiment:v1", "isoserve model share chat/sentiment:v1 search"),
        ("model: >-\n  search/sentiment:v1", "not plain text on one line"),
        ("models: none", "no `model:"),
        ("model: [a]", "no `model:"),
        ("model: search/sentiment:v8", "it has v1"),
        ("model: nonsense", "a model's address is"),
    ],
)
def test_what_cannot_be_pinned_stays_as_it_is(
    here: Path, isoserve: Isoserve, line: str, said: str
) -> None:
    for project in ("search", "chat"):
        isoserve("model", "push", "weights", f"{project}/sentiment:v1")
    path = spec(here, line)
    before = path.read_bytes()
    answer = isoserve("model", "pin", path)
    assert (answer.code, said in answer.err) == (2, True), answer.err
    assert path.read_bytes() == before
    assert not (path.parent / "models.lock.yaml").exists()


def test_bars_are_for_terminals(here: Path, endpoint: str) -> None:
    words = ("model", "push", "weights", "search/x:v1", "--endpoint", endpoint)
    command = [sys.executable, "-m", "stacks.cli", *words]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=here, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), "a log must not be full of bars"


def test_what_a_node_runs_loads_neither_boto3_nor_pydantic() -> None:
    program = (
        "import sys, components.model_registry.checked, components.model_registry.keys\n"
        "print(*{m.split('.')[0] for m in sys.modules} & {'boto3', 'pydantic', 'pulumi', 'yaml'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [], "an agent on every node starts quickly and stays small"


LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "num_hidden_layers": 32, "max_position_embeddings": 131072,
    "vocab_size": 128256, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
}  # fmt: skip


def tensors(shape: list[int]) -> bytes:
    """A safetensors file with one tensor of `shape`, without its data."""
    header = json.dumps({"w": {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]}}).encode()
    return struct.pack("<Q", len(header)) + header


def test_pinning_records_what_the_model_takes_of_a_gpu(here: Path, isoserve: Isoserve) -> None:
    weights = here / "weights"
    (weights / "config.json").write_text(json.dumps(LLAMA))
    (weights / "model-1.safetensors").write_bytes(tensors([250_000_000, 32]))
    isoserve("model", "push", "weights", "search/sentiment:v1")
    path = spec(here, "model: search/sentiment:v1")
    lock = path.parent / "models.lock.yaml"
    assert isoserve("model", "pin", path).code == 0
    (facts,) = load(here / "model_specs").facts.values()
    assert facts.config is not None, "config.json is in the registry with the weights"
    assert (facts.config.layers, facts.config.kv_heads, facts.config.head_size) == (32, 8, 128)
    assert facts.weights == {"BF16": 8_000_000_000}
    written = lock.read_bytes()
    assert written.count(b"\n") == 3, "one line a model"
    assert isoserve("model", "pin", path).code == 0
    assert lock.read_bytes() == written, "pinning twice is pinning once"
    answer = isoserve("check", "--json")
    refused = [row for row in answer.data["errors"] if row["code"] == "E334"]
    assert "--max-model-len" in refused[0]["message"], "131072 tokens take 16 GiB beside 14.9"
    assert len(refused) == 1, "said once, however many regions lack it"


def test_pinning_counts_weights_that_are_there_twice_once(here: Path, isoserve: Isoserve) -> None:
    weights = here / "weights"
    (weights / "model-1.safetensors").write_bytes(tensors([1000, 10]))
    (weights / "consolidated.safetensors").write_bytes(tensors([1000, 10]))
    index = {"weight_map": {"w": "model-1.safetensors"}}
    (weights / "model.safetensors.index.json").write_text(json.dumps(index))
    isoserve("model", "push", "weights", "search/sentiment:v1")
    isoserve("model", "pin", spec(here, "model: search/sentiment:v1"))
    (facts,) = load(here / "model_specs").facts.values()
    assert facts.weights == {"BF16": 10_000}, "engines load what the index names"
    assert facts.config is None, "an empty config.json tells nothing"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"text_config": 3}', "\x00"])
def test_a_config_that_nobody_can_read_is_no_obstacle(
    here: Path, isoserve: Isoserve, text: str
) -> None:
    (here / "weights" / "config.json").write_text(text)
    isoserve("model", "push", "weights", "search/sentiment:v1")
    path = spec(here, "model: search/sentiment:v1")
    assert isoserve("model", "pin", path).code == 0
    (facts,) = load(here / "model_specs").facts.values()
    assert facts.config is None


def test_pinning_again_adds_facts_to_a_lock_of_before(here: Path, isoserve: Isoserve) -> None:
    (here / "weights" / "config.json").write_text(json.dumps(LLAMA))
    isoserve("model", "push", "weights", "search/sentiment:v1")
    path = spec(here, "model: search/sentiment:v1")
    isoserve("model", "pin", path)
    lock = path.parent / "models.lock.yaml"
    line = lock.read_text()
    old = re.sub(r", config: .*$", "}", line, flags=re.M)
    lock.write_text(old)
    (facts,) = load(here / "model_specs").facts.values()
    assert facts.config is None, "a file of before still loads"
    assert isoserve("model", "pin", path).code == 0
    assert lock.read_text() == line
