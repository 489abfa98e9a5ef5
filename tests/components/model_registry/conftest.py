"""A registry in a bucket of moto, which keeps S3's rules, and pushes and pulls as tests need them.

moto serves in this process, so that the programs that a test kills can reach it too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.model_registry.account import Account
from components.model_registry.keys import address
from components.model_registry.local_files import find
from components.model_registry.push import Push, Pushed
from components.model_registry.sessions import Registry, connect
from components.model_registry.store import Store
from components.model_registry.threads import Told, threads
from components.model_registry.uploads import Uploads
from tests.moto_store import moto_store

ROOT = Path(__file__).resolve().parents[3]
MIB = 1024 * 1024
NOBODY = Account(region="us-east-1", profile="", config_file="", credentials_file="")


def silent(work: str, count: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with moto_store() as url:
        yield url


def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that moto takes, and nothing of the person who runs the tests."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="session")
def client(endpoint: str) -> Any:
    """Made once: to read S3's description takes boto3 longer than most tests."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _known(monkeypatch)
        return connect("any-bucket", endpoint, NOBODY).client


@pytest.fixture
def registry(
    client: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Registry:
    """An empty bucket of the test's own."""
    _known(monkeypatch)
    name = f"models-{abs(hash(request.node.nodeid))}"
    client.create_bucket(Bucket=name)
    store = Store(f"s3://{name}", endpoint, NOBODY.region, None)
    return Registry(store=store, client=client, bucket=name)


def files_in(directory: Path, contents: dict[str, bytes]) -> Path:
    for path, content in contents.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return directory


def push(registry: Registry, directory: Path, name: str, told: Told = silent) -> Pushed:
    with threads(8) as senders:
        uploads = Uploads(registry.client, registry.bucket, senders)
        return Push(registry.store, uploads, address(name), told).run(list(find(directory)), {})


def keys_of(registry: Registry) -> list[str]:
    return sorted(registry.store.keys("search/"))


Program = Callable[..., subprocess.CompletedProcess[str]]


def run_program(
    bucket: str, endpoint: str, text: str, *words: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run the text of a Python program that has `registry` and whatever it imports."""
    head = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.components.model_registry.conftest import NOBODY, connect, push\n"
        f"registry = connect({bucket!r}, {endpoint!r}, NOBODY)\n"
    )
    command = [sys.executable, "-c", head + text, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture
def program(registry: Registry, endpoint: str) -> Program:
    """Programs that work on the test's own bucket."""
    return partial(run_program, registry.bucket, endpoint)
