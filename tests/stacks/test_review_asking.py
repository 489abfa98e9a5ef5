"""A program of another tree is asked in a process that ends, and takes no other down with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stacks.reviewing import asking
from stacks.reviewing.asking import OWN, Answered, answer_of, read_answer, write_answer

HELPER = """
import json, os, subprocess, sys, time
json.load(sys.stdin)
made = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({pid!r}, "w").write(str(made.pid))
{then}
"""


def asked(tree: Path, then: str) -> tuple[tuple[dict[str, Any], str], int]:
    """What a program answers that leaves a process behind, and that one's number."""
    shutil.copy(OWN / "requirements.txt", tree)
    pid = tree / "pid"
    (tree / "other.py").write_text(HELPER.format(pid=str(pid), then=then))
    answered = answer_of(tree, "the work tree's", "other", {"a": 1}, tree, ("PATH",))
    return answered, int(pid.read_text())


def runs(pid: int) -> bool:
    """Whether a process does, or waits for who reaps it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    while runs(pid):  # a signal is on its way; the test's own limit ends what never comes
        time.sleep(0.01)
    return True


def test_what_a_program_leaves_running_ends_with_its_answer(tmp_path: Path) -> None:
    answered, left = asked(tmp_path, 'print(json.dumps({"b": 2}))')
    assert answered == ({"b": 2}, ""), "and it holds up nobody, though it has our output open"
    assert ends(left)


def test_what_a_program_leaves_running_ends_where_it_fails(tmp_path: Path) -> None:
    answered, left = asked(tmp_path, "sys.exit('no such row')")
    assert answered == ({}, "the work tree's program failed: no such row")
    assert ends(left)


def test_one_that_does_not_end_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_GRACE_SECONDS", 0.01)
    pid, deaf = tmp_path / "pid", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    then = f"{deaf}; open({str(tmp_path / 'is_deaf')!r}, 'w'); time.sleep(600)"
    command = [sys.executable, "-c", HELPER.format(pid=str(pid), then=then)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None
    process.stdin.write(b"{}")
    process.stdin.close()
    while not (tmp_path / "is_deaf").exists():
        time.sleep(0.01)
    assert asking._run(process, 0) is None
    assert ends(int(pid.read_text()))
    assert process.returncode == -signal.SIGKILL


def test_an_answer_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_LARGEST_BYTES", 1000)
    (_, why), left = asked(tmp_path, "print('x' * 1000)")
    assert "its answer has 1001 bytes, at most 1000" in why
    assert ends(left)


def test_it_gets_no_variable_but_those_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "secret")
    (said, _), _ = asked(tmp_path, "print(json.dumps(dict(os.environ)))")
    assert "PULUMI_CONFIG_PASSPHRASE" in os.environ
    assert "PULUMI_CONFIG_PASSPHRASE" not in said


@pytest.mark.parametrize(
    ("left", "why"),
    [
        ("", "gives no answer"),
        ("[" * 100_000, "is no JSON"),
        ("{}", "what is left is no answer"),
        ('[{}, ""]', "what is left is no answer"),
        ('[[], "it failed"]', "what is left is no answer"),
        ('[{}, "it failed"]', "it failed"),
    ],
)
def test_what_was_left_of_a_question_is_an_answer_or_says_why_not(
    left: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "answer.json"
    path.write_text(left)
    said, found = read_answer(path)
    assert said == {}
    assert why in found
    path.unlink()
    assert read_answer(path) == (
        {},
        "the work tree's program was asked elsewhere, and left no answer",
    )
    written: Answered = ({"rendered": {}}, "")
    write_answer(path, written)
    assert read_answer(path) == written
