"""The agent as pods run it: its command lines, its ports, and what it says when it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from components.model_cache import agent, agent_pod, notices
from components.model_cache import config as configs
from components.model_cache.config import Wanted
from components.model_cache.credentials import credentials
from components.model_cache.health import serving
from components.model_cache.notices import Notice
from components.model_cache.shelf import Shelf, of_project
from components.model_cache.signs import Signs
from components.model_cache.wait import Patience, wait
from components.model_registry.errors import RegistryError
from components.model_registry.store import Store
from model_specs.names import CACHE_NAMESPACE
from tests.cache_node import files_below
from tests.counted_store import BUCKET, CREDENTIALS, Counted, counted_store
from tests.examples import objects_of, of_kind
from tests.images import check_image
from tests.tracked import ROOT

PROTECTION_SECONDS = 60.0
DIGEST = "d" * 64


@pytest.fixture(scope="module")
def store() -> Iterator[Counted]:
    with counted_store() as found:
        yield found


WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
"""How its pod runs it, as root without any of root's capabilities; others have none anyway."""


def started(store: Counted, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*WITHOUT_RIGHTS, sys.executable, "-m", "components.model_cache.agent", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "NODE_NAME": "node-1", **store.env()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate(timeout=PROTECTION_SECONDS)
    return process.returncode, out


@contextmanager
def holding(store: Counted, root: Path, config: Path) -> Iterator[subprocess.Popen[str]]:
    words = ["hold", "--config", str(config), "--root", str(root)]
    process = started(store, *words, "--port", "0", "--spread-seconds", "0")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def row(one: Wanted) -> dict[str, Any]:
    return {
        "address": one.address,
        "bytes": one.bytes,
        "digest": one.digest,
        "pinned": one.pinned,
        "project": one.project,
    }


def told(models: list[dict[str, Any]], **other: Any) -> str:
    return json.dumps({"disk_budget_gib": 1, "disk_free_percent": 0, "models": models, **other})


def write_config(path: Path, *models: Wanted) -> Path:
    rows = [row(one) for one in models]
    path.write_text(told(rows))
    return path


def test_a_pod_waits_for_what_the_agent_holds(store: Counted, tmp_path: Path) -> None:
    one = store.push({"w.bin": b"weights"}, "search/sentiment:v3")
    config = write_config(tmp_path / "models.json")
    root = tmp_path / "root"
    window = root / "search"
    window.mkdir(parents=True)
    waiting = started(store, "wait", "--digest", one.digest, "--root", str(window))
    with holding(store, root, config) as held:
        write_config(config, one)  # no restart: the agent reads its list again
        code, said = ended(waiting)
        assert code == 0, said
        assert f"{one.digest} is there" in said
        assert files_below(window / one.digest) == {"w.bin": b"weights"}
        held.send_signal(signal.SIGTERM)
        assert held.wait(PROTECTION_SECONDS) == 128 + signal.SIGTERM


def test_two_agents_of_one_node_take_turns(store: Counted, tmp_path: Path) -> None:
    one = store.push({"w.bin": b"turns"}, "turns/model:v1")
    config = write_config(tmp_path / "models.json", one)
    root = tmp_path / "root"
    window = root / "turns"
    window.mkdir(parents=True)
    store.reads.clear()
    with holding(store, root, config), holding(store, root, config):
        waiting = started(store, "wait", "--digest", one.digest, "--root", str(window))
        code, said = ended(waiting)
        assert code == 0, said
    with holding(store, root, config):  # the kernel freed the lock of those that were killed
        other = store.push({"w.bin": b"others"}, "turns/model:v2")
        write_config(config, other)
        code, said = ended(started(store, "wait", "--digest", other.digest, "--root", str(window)))
        assert code == 0, said
    assert len(store.blob_reads()) == 2, "each content came to the node once"


def test_a_pod_without_a_cache_pulls_its_own_copy(store: Counted, tmp_path: Path) -> None:
    files = {"w.bin": b"pulled", "sub/c.json": b"{}"}
    one = store.push(files, "pulls/model:v1")
    words = ["pull", "--address", one.address, "--root", str(tmp_path)]
    store.reads.clear()
    both = [started(store, *words), started(store, *words)]
    for process in both:
        code, said = ended(process)
        assert code == 0, said
    assert files_below(tmp_path / one.digest) == files, "where the server's subPath points"
    assert len(store.blob_reads()) == 2, "who came second found it there"
    hidden = tmp_path / ".isoserve"
    assert [path.name for path in hidden.iterdir()] == ["lock"], "nothing is kept twice"


def test_a_pull_of_wrong_content_fails_with_a_sentence(store: Counted, tmp_path: Path) -> None:
    one = store.push({"w.bin": b"right"}, "wrong/model:v1")
    store.spoil("wrong", b"right", b"wrong")
    code, said = ended(started(store, "pull", "--address", one.address, "--root", str(tmp_path)))
    assert code == 1
    assert "cache agent: wrong/model:v1@" in said
    assert "w.bin: its blob is corrupt" in said
    assert "Traceback" not in said
    assert not (tmp_path / one.digest).exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pull", "--address", "search/sentiment:v3"], "is not pinned"),
        (["pull", "--address", "../x@sha256:1"], "a model's address is"),
        (["wait", "--digest", "../../etc"], "--digest is 64 hex digits"),
    ],
)
def test_bad_words_are_refused(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert agent.main([*words, "--root", str(tmp_path)]) == 1
    assert sentence in capsys.readouterr().err


# -- waiting ---------------------------------------------------------------------------------


def waited(shelf: Shelf, happens: Callable[[int], None]) -> tuple[str, list[str], float]:
    """What a wait comes to, says and takes when `happens` is done in each of its sleeps."""
    said: list[str] = []
    seconds = [0.0]

    def sleep(for_seconds: float) -> None:
        seconds[0] += for_seconds
        happens(int(seconds[0]))

    how = Patience(
        silence_seconds=900.0,
        poll_seconds=1.0,
        now=lambda: seconds[0],
        sleep=sleep,
        say=said.append,
    )
    return wait(shelf, DIGEST, how), said, seconds[0]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    found = of_project(tmp_path, "search")
    found.hidden.parent.mkdir()
    found.prepare()
    return found


def notice(beat: int, trouble: str = "", *, refused: bool = False) -> Notice:
    return Notice(beat=beat, missing_bytes=10**10, trouble=trouble, refused=refused)


def test_a_pod_waits_for_hours_while_the_agent_is_heard(shelf: Shelf) -> None:
    def happens(second: int) -> None:
        if second % 600 == 0:
            notices.post(shelf, DIGEST, notice(second))
        if second == 7200:
            shelf.version(DIGEST).mkdir()

    why, said, took = waited(shelf, happens)
    assert (why, took) == ("", 7200.0)
    assert said == [
        f"waiting for {DIGEST}: no word of the node's cache agent yet",
        f"waiting for {DIGEST}: the agent has still to fetch 10.00 GB",
        f"{DIGEST} is there",
    ], "a line when there is news, not with every look"


def test_a_pod_does_not_wait_for_an_agent_that_is_not_there(shelf: Shelf) -> None:
    notices.post(shelf, DIGEST, notice(1))
    why, _, took = waited(shelf, lambda _: None)
    assert "has said nothing for 900 s" in why
    assert took == 901.0


def test_a_pod_fails_at_once_with_the_agent_s_reason(shelf: Shelf) -> None:
    notices.post(shelf, DIGEST, notice(1, "the registry is slow"))

    def happens(_: int) -> None:
        notices.post(shelf, DIGEST, notice(2, "w.bin is corrupt", refused=True))

    why, said, took = waited(shelf, happens)
    assert why == f"the node's cache agent cannot hold {DIGEST}: w.bin is corrupt"
    assert "will try again: the registry is slow" in said[0]
    assert took == 1.0


# -- config ----------------------------------------------------------------------------------

GOOD = {
    "address": f"search/sentiment:v3@sha256:{DIGEST}",
    "bytes": 5,
    "digest": DIGEST,
    "pinned": False,
    "project": "search",
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({"disk_budget_gib": 1, "models": []}),
        told([], disk_budget_gib=0),
        told([{**GOOD, "project": ".."}]),
        told([{**GOOD, "digest": "../../etc"}]),
        told([{**GOOD, "address": "../x:v@sha256:1"}]),
        told([{**GOOD, "bytes": None}]),
    ],
)
def test_a_config_that_is_not_well_formed_is_refused_whole(text: str, tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text(text)
    with pytest.raises(ValueError):  # noqa: PT011  # each has its own words
        configs.load(path)


@pytest.mark.parametrize("percent", [-1, 91, 20.0, "20", True, None])
def test_a_share_of_the_disk_that_is_none_is_refused(percent: object, tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text(told([GOOD], disk_free_percent=percent))
    with pytest.raises(ValueError, match=r"disk_free_percent is a whole number from 0 to 90, got"):
        configs.load(path)


@pytest.mark.parametrize("percent", [0, 20, 90])
def test_the_agent_reads_how_much_of_the_disk_stays_free(percent: int, tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text(told([GOOD], disk_free_percent=percent))
    assert configs.load(path).disk_free_percent == percent


def test_what_is_rendered_is_what_the_agent_reads(tmp_path: Path) -> None:
    assert agent_pod.METRICS_PORT == agent.METRICS_PORT
    read = 0
    for made in of_kind("ConfigMap", objects_of("sandbox-aws")):
        if made["metadata"]["namespace"] == CACHE_NAMESPACE:
            path = tmp_path / "models.json"
            path.write_text(made["data"]["models.json"])
            read += len(configs.load(path).models)
    assert read > 2


# -- credentials -------------------------------------------------------------------------------


def write_keys(folder: Path, **files: str) -> None:
    """As the kubelet does: a folder of its own for each version, and a link that is swapped."""
    version = folder / f"..{len(list(folder.iterdir()))}"
    version.mkdir()
    for name, text in files.items():
        (version / name).write_text(text)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data", name))
    (folder / "new").symlink_to(version.name)
    (folder / "new").rename(folder / "..data")


def test_keys_are_read_from_files_whenever_they_are_asked_for(tmp_path: Path) -> None:
    write_keys(tmp_path, access_key_id="one\n", secret_access_key="s1")
    ask = credentials(tmp_path)
    first = ask()
    assert (first["access_key_id"], first["secret_access_key"]) == ("one", "s1")
    assert first["token"] is None, "most stores have none"
    write_keys(tmp_path, access_key_id="two", secret_access_key="s2", session_token="t2")
    second = ask()
    assert (second["access_key_id"], second["token"]) == ("two", "t2"), "a rotation, no restart"
    ahead = second["expires_at"] - datetime.now(UTC)
    assert timedelta(minutes=5) < ahead < timedelta(minutes=6), (
        "obstore keeps what does not expire for ever, and asks anew five minutes before the end"
    )


def test_a_secret_that_lacks_a_key_is_told_of(store: Counted, tmp_path: Path) -> None:
    write_keys(tmp_path, access_key_id="one", secret_key="misnamed")
    found = Store(f"s3://{BUCKET}", store.url, "us-east-1", credentials(tmp_path))
    with pytest.raises(RegistryError, match="the registry's Secret lacks secret_access_key"):
        found.read("any")


def test_a_pod_with_keys_in_files_needs_none_in_its_environment(
    store: Counted, tmp_path: Path
) -> None:
    one = store.push({"w.bin": b"by files"}, "keys/model:v1")
    (tmp_path / "keys").mkdir()
    write_keys(tmp_path / "keys", access_key_id="fromfile", secret_access_key="s")
    env = {name: value for name, value in store.env().items() if name not in CREDENTIALS}
    env |= {"PATH": os.environ["PATH"], "ISOSERVE_REGISTRY_CREDENTIALS": str(tmp_path / "keys")}
    words = ["pull", "--address", one.address, "--root", str(tmp_path / "root")]
    store.callers.clear()
    done = subprocess.run(
        [sys.executable, "-m", "components.model_cache.agent", *words],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=PROTECTION_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert files_below(tmp_path / "root" / one.digest) == {"w.bin": b"by files"}
    assert store.callers == {"fromfile"}, "every request was signed by the key of the file"


# -- health ----------------------------------------------------------------------------------


def asked(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_kubelet_and_prometheus_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    signs = Signs("node-1")
    signs.disk(100, 7, [("search", "sentiment", 5), ("search", "sentiment", 2)])
    signs.states({"elsewhere": 0, "fetching": 1, "held": 1, "refused": 0})
    with serving("", 0, signs) as port:
        assert asked(port, "/healthz") == (200, "ok\n")
        assert asked(port, "/readyz") == (503, "not all models of this node are there\n")
        signs.states({"elsewhere": 0, "fetching": 0, "held": 1, "refused": 1})
        assert asked(port, "/readyz")[0] == 200, "one model's fault does not hold up all nodes"
        text = asked(port, "/metrics")[1]
        series = 'isoserve_cache_held_bytes{model="sentiment",node="node-1",project="search"} 7.0'
        assert series in text
        assert asked(port, "/other")[0] == 404
        later = time.monotonic() + 1000.0
        monkeypatch.setattr("components.model_cache.signs.time.monotonic", lambda: later)
        assert asked(port, "/healthz")[0] == 503, "a stuck agent is started anew"


def test_agents_of_several_nodes_of_one_machine_listen_on_the_same_port() -> None:
    one, other = Signs("node-1"), Signs("node-2")
    one.begin("search")
    other.begin("search")
    # Addresses of this test's own: a port that is free on one is free on the other.
    here, there = "127.254.254.1", "127.254.254.2"
    with serving(there, 0, other) as port, serving(here, port, one) as same:
        assert same == port, "each on its own pod's address"
        text = asked(port, "/metrics", here)[1]
        assert 'node="node-1"' in text
        assert 'node="node-2"' not in text


# -- image -----------------------------------------------------------------------------------


def test_the_image_holds_all_that_the_program_imports_and_no_more(tmp_path: Path) -> None:
    check_image("cache-agent", tmp_path)
    text = (ROOT / "components" / "model_cache" / "Dockerfile").read_text()
    assert "\nARG BASE\nFROM ${BASE}\n" in text, "a tag is another image tomorrow"
    assert "\nUSER 10001:10001\n" in text, "a tenant's pod runs it too"
