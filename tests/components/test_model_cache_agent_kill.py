"""The cache agent is killed in the middle of its work, a hundred times, and never shows half."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.model_cache.config import Wanted
from components.model_cache.shelf import of_project
from tests.cache_node import check_visible
from tests.counted_store import Counted, Files, counted_store
from tests.tracked import ROOT

KILLS = 100
PROJECT = "search"
LONG_SECONDS = 7200.0


@pytest.fixture(scope="module")
def store() -> Iterator[Counted]:
    with counted_store() as found:
        yield found


class Victims:
    """The process that forks agents."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def hold(self, root: Path, calls: int, budget: int, *models: Wanted) -> str:
        """What became of one that dies at its `calls`-th call."""
        rows = " ".join(f"{one.address}={one.bytes}" for one in models)
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{root} {calls} {budget} {rows}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextmanager
def victims(url: str) -> Iterator[Victims]:
    command = [sys.executable, "-m", "tests.cache_victim", url]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Victims(process)
        assert process.stdin
        process.stdin.close()


def versions() -> list[Files]:
    """Three versions with a file in common, of many parts and many directories."""
    chance = random.Random("versions")
    shared = chance.randbytes(30_000)
    return [
        {
            "w/shared.bin": shared,
            "w/own.bin": chance.randbytes(20_000),
            "config.json": f'{{"version": {number}}}'.encode(),
            "empty": b"",
            **{f"tokens/{n}.txt": chance.randbytes(50) for n in range(3)},
        }
        for number in range(3)
    ]


def let_age(root: Path) -> None:
    """Whatever is not listed has not been for long."""
    before = time.time() - LONG_SECONDS
    for mark in (of_project(root, PROJECT).hidden / "unlisted").glob("*"):
        os.utime(mark, (before, before))


def test_a_hundred_kills_show_no_partial_or_wrong_byte(store: Counted, tmp_path: Path) -> None:
    files = versions()
    models = [store.push(one, f"{PROJECT}/model:v{n}") for n, one in enumerate(files)]
    expected = {(PROJECT, m.digest): one for m, one in zip(models, files, strict=True)}
    budget = 80_000  # two of three versions: the third makes an old one go
    chance = random.Random("kills")
    kills = rounds = seen = 0
    with victims(store.url) as agents:
        # How far an agent has come at its last call, and what is there to see, its threads decide.
        while kills < KILLS or rounds <= 3 or seen < KILLS:
            assert kills < 10 * KILLS, f"saw {seen} versions, came round {rounds} times"
            wish = [models[rounds % 3], models[(rounds + 1) % 3]]
            let_age(tmp_path)
            outcome = agents.hold(tmp_path, chance.randint(1, 60), budget, *wish)
            seen += check_visible(tmp_path, expected)
            if outcome == "killed":
                kills += 1
                continue
            assert outcome == "done 0"
            # Not yet where the old version has only now been found to be unlisted.
            shown = of_project(tmp_path, PROJECT).versions()
            rounds += shown == sorted(one.digest for one in wish)


def test_whatever_call_is_the_last_the_next_agent_goes_on(store: Counted, tmp_path: Path) -> None:
    one = store.push({"a/b.bin": b"b" * 9000, "c.json": b"{}"}, f"{PROJECT}/steps:v1")
    expected = {(PROJECT, one.digest): {"a/b.bin": b"b" * 9000, "c.json": b"{}"}}
    steps = 0
    with victims(store.url) as agents:
        while True:
            steps += 1
            root = tmp_path / str(steps)
            root.mkdir()
            if agents.hold(root, steps, 10**6, one) != "killed":
                break
            check_visible(root, expected)
            assert agents.hold(root, 0, 10**6, one) == "done 0"
            assert check_visible(root, expected) == 1, f"stuck after a kill at call {steps}"
            hidden = of_project(root, PROJECT).hidden
            left = [p for name in ("new", "trash", "trees") for p in (hidden / name).iterdir()]
            assert left == [], f"left behind after a kill at call {steps}"
    assert steps > 20, "every single call was the last one once"
