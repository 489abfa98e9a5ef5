"""Model servers of the catalogue that start without a GPU are started by their rows, for real.

MLServer is started by the engine tests in pods, and by tests/model_specs/test_batching.py.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import requests

from model_specs.names import MODEL_PATH, SCRATCH
from model_specs.runtimes import RUNTIMES, Launch, Runtime
from regions.sandbox.layout import HOME
from regions.sandbox.processes import free_ports
from tests.judge.programs import program
from tests.model_specs.upstream_flags import UPSTREAM

pytestmark = pytest.mark.judge

PROGRAMS: Final = HOME / "runtimes" / "venv" / "bin"
BENTOML, TORCHSERVE = RUNTIMES["bentoml"], RUNTIMES["torchserve"]
_READY_SECONDS: Final = 90.0
_ENDED_SECONDS: Final = 20.0
_SERVICE: Final = """
import bentoml

@bentoml.service
class Doubler:
    @bentoml.api
    def double(self, number: int) -> int:
        return 2 * number
"""
_BENTOFILE: Final = """
service: service:Doubler
include: [service.py]
python: {lock_packages: false}  # that would ask the index
"""
_TORCHSERVE_PORTS: Final = """
inference_address=http://0.0.0.0:{}
management_address=http://127.0.0.1:{}
metrics_address=http://0.0.0.0:{}
grpc_inference_port={}
grpc_management_port={}
metrics_mode=prometheus
"""


@dataclass(frozen=True, slots=True)
class Started:
    """A server that is ready, as the first process of its own process namespace, as in a pod."""

    row: Runtime
    port: int
    process: subprocess.Popen[bytes]

    def status(self, path: str) -> int:
        """What it answers to a GET."""
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=10).status_code

    def ends_when_told(self) -> bool:
        """Whether SIGTERM ends it, as a kubelet sends it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        os.kill(int(children.split()[0]), signal.SIGTERM)
        try:
            self.process.wait(_ENDED_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        return True


@contextmanager
def started(row: Runtime, port: int, model: Path, scratch: Path) -> Iterator[Started]:
    """The server of a model by the row's command, arguments, variables and working directory."""
    where = {SCRATCH: str(scratch), MODEL_PATH: str(model)}
    launch = Launch(served_names=("model",), gpus=0, port=port, shutdown_seconds=30)
    words = [with_places(word, where) for word in (*row.command, *row.args(launch))]
    env = {name: with_places(text, where) for name, text in row.env.items()}
    env["PATH"] = f"{PROGRAMS}:{os.environ['PATH']}"
    program(PROGRAMS, row.command[0])
    first = ("unshare", "--fork", "--pid", "--kill-child", "--mount-proc")
    log = scratch.with_suffix(".log")
    scratch.mkdir()
    with log.open("wb") as told:
        process = subprocess.Popen([*first, *words], env=env, cwd=scratch, stdout=told, stderr=told)
    made = Started(row, port, process)
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while not answers(made):
            running = process.poll() is None and time.monotonic() < deadline
            assert running, log.read_text()[-3000:]
            time.sleep(0.2)
        yield made
    finally:
        process.kill()
        process.wait()


def with_places(text: str, where: Mapping[str, str]) -> str:
    """The text with the folders of this test in place of those of a pod."""
    for place, here in where.items():
        text = text.replace(place, here)
    return text


def answers(server: Started) -> bool:
    """Whether it says that it is ready."""
    try:
        return server.status(server.row.ready_path) == 200
    except requests.ConnectionError:
        return False


def files_of(folder: Path) -> dict[Path, float]:
    """When each file of a folder was written last; Python does without what it caches of code."""
    found = [one for one in folder.rglob("*") if one.is_file() and one.suffix != ".pyc"]
    return {one: one.stat().st_mtime for one in found}


def flags_of(*words: str) -> set[str]:
    """The flags that a program's own help names."""
    path = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "BENTOML_DO_NOT_TRACK": "True"}
    program(PROGRAMS, words[0])
    told = subprocess.run(
        [*words, "--help"], env=path, capture_output=True, text=True, check=True
    ).stdout
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", told.partition("ptions:\n")[2]))


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Bento, built by the real `bentoml build`."""
    folder = tmp_path_factory.mktemp("bento")
    (folder / "service.py").write_text(_SERVICE)
    (folder / "bentofile.yaml").write_text(_BENTOFILE)
    env = {"BENTOML_HOME": str(folder / "home"), "BENTOML_DO_NOT_TRACK": "True",
           "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}  # fmt: skip
    build = [program(PROGRAMS, "bentoml"), "build"]
    subprocess.run(build, cwd=folder, env=env, check=True, capture_output=True)
    (found,) = (folder / "home" / "bentos" / "doubler").glob("*/bento.yaml")
    return found.parent


@pytest.mark.parametrize("words", [("bentoml", "serve"), ("torchserve",)])
def test_the_flags_that_are_on_record_are_those_of_the_program(words: tuple[str, ...]) -> None:
    """The record also has flags that the program's help hides."""
    assert flags_of(*words) - set(UPSTREAM[words[0]].split()) == {"--help", "-h"}


def test_bentoml_serves_a_bento_by_its_row(bento: Path, tmp_path: Path) -> None:
    row, (port,) = BENTOML, free_ports(1)
    before = files_of(bento)
    with started(row, port, bento, tmp_path / "scratch") as server:
        for path in (row.live_path, row.ready_path, row.probe_path, row.metrics_path):
            assert server.status(path) == 200, path
        url = f"http://127.0.0.1:{port}"
        answer = requests.post(f"{url}/double", json={"number": 21}, timeout=10)
        assert answer.json() == 42
        told = requests.get(f"{url}{row.metrics_path}", timeout=10).text
        assert re.search(rf'^{row.queue_metric}{{.*"/double".*}} 0.0$', told, re.MULTILINE)
        assert server.ends_when_told(), "pods of a version that is replaced go at once"
    assert files_of(bento) == before, "the model is mounted read-only"
    assert {name.rstrip("/") for name in ("bento.yaml", "src/")} <= {
        p.name for p in bento.iterdir()
    }


def test_torchserve_starts_by_its_row(tmp_path: Path) -> None:
    """Without a model: its workers need PyTorch, whose packages are gigabytes."""
    row, ports = TORCHSERVE, free_ports(5)
    store = tmp_path / "store"
    store.mkdir()
    (store / "config.properties").write_text(_TORCHSERVE_PORTS.format(*ports))
    with started(row, ports[0], store, tmp_path / "scratch") as server:
        for path in (row.live_path, row.ready_path, row.probe_path):
            assert server.status(path) == 200, path
        told = requests.get(f"http://127.0.0.1:{ports[2]}{row.metrics_path}", timeout=10).text
        for name in (row.queue_metric, row.running_metric):
            assert f"# TYPE {name} counter" in told
        assert not server.ends_when_told(), "the row's comment on its shutdown is out of date"
    assert [one.name for one in store.iterdir()] == ["config.properties"]
