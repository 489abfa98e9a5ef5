"""Work that two processes share gives what one alone gives, in the same order, errors too."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from model_specs.errors import SpecErrors
from stacks.beside import shared
from stacks.outcome import refusal
from tests.stacks.conftest import ROOT

NAMES: Final = [f"region-{number}" for number in range(40)]


def where(name: str) -> tuple[str, int]:
    time.sleep(0.01)  # so that both come to take some
    return name.upper(), os.getpid()


def test_both_processes_do_some_and_everything_is_done_once() -> None:
    with shared(NAMES, where, beside=True) as work:
        found = work.results()
    assert [*found] == NAMES, "in the order of the names, whoever was quicker"
    assert [upper for upper, _ in found.values()] == [name.upper() for name in NAMES]
    assert len({process for _, process in found.values()}) == 2, "neither does nothing"


def test_without_a_process_beside_it_is_the_same_work() -> None:
    with shared(NAMES, str.upper, beside=False) as work:
        assert work.results() == {name: name.upper() for name in NAMES}


def test_no_names_are_no_work() -> None:
    none: list[str] = []
    with shared(none, str.upper, beside=True) as work:
        assert work.results() == {}


@pytest.mark.parametrize("beside", [True, False])
def test_the_first_name_that_fails_is_told_whole(beside: bool) -> None:
    def fail(name: str) -> str:
        time.sleep(0.002)
        if name in NAMES[7:9]:
            raise refusal(name, "E100", "no such region")
        return name

    with shared(NAMES, fail, beside=beside) as work, pytest.raises(SpecErrors) as caught:
        work.results()
    (error,) = caught.value.errors
    assert (error.file, error.code) == (NAMES[7], "E100"), "by name, not by who was first"


class Unsendable(Exception):
    """It cannot be read by another process: it wants two arguments and keeps one."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


def test_an_exception_that_cannot_be_sent_is_still_itself() -> None:
    def fail(name: str) -> str:
        raise Unsendable(name, "cannot be read")

    with shared(NAMES, fail, beside=True) as work, pytest.raises(Unsendable, match=NAMES[0]):
        work.results()


def test_what_was_lost_with_a_process_is_done_again() -> None:
    here = os.getpid()

    def die_beside(name: str) -> str:
        if os.getpid() != here:
            os._exit(9)
        time.sleep(0.005)
        return name

    with shared(NAMES, die_beside, beside=True) as work:
        time.sleep(0.2)  # the other has taken a name, and ended with it
        assert [*work.results()] == NAMES


def test_nothing_is_left_of_work_that_nobody_asks_for() -> None:
    began = time.monotonic()
    with shared(NAMES, lambda name: time.sleep(60), beside=True):
        pass
    assert time.monotonic() - began < 30, "it is ended, not waited for"


COMMAND: Final = """\
import sys
from stacks import beside, policy
from stacks.cli import main
from tests.stacks.test_policy import never_good

policy.RULES = (*policy.RULES, never_good)
policy._BESIDE_FROM = int(sys.argv[1])
start, started = beside.Shared.start, []
beside.Shared.start = lambda self: (started.append(self), start(self))
code = main(sys.argv[2:])
sys.stderr.write(f"{len(started)} beside")
sys.exit(code)
"""


@pytest.mark.parametrize("words", [("policy", "--json"), ("review", "--json", "--base", "HEAD")])
def test_a_command_says_the_same_with_and_without(words: tuple[str, ...], repo: Path) -> None:
    """With a rule that everything breaks somewhere, so that findings are sent."""

    def said(least: int) -> tuple[int, str, str]:
        at = ("--at", "2026-11-22T00:00:00Z")
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, str(least), *words, *at],
            cwd=repo,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    alone, both = said(1_000_000), said(0)
    assert (alone[0], alone[2], both[2]) == (1, "0 beside", "1 beside")
    assert "never-good" in alone[1], "there are findings to send"
    assert both[:2] == alone[:2]
