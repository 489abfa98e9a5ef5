"""Asks the program of another tree, in a process of its own, and bounds what that can do to ours.

It gets no credential, none of our pipes and so much time; the processes of its group end with it,
whatever it answers. One that leaves its group goes on, as the same user: what must not be changed
by the program asked is not on the machine where it runs. So a pipeline asks the work tree's program
in a job of its own (`isoserve review --ask FILE`), and judges by what that left
(`isoserve review --answer FILE`), where nothing of the change's runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

_PACKAGES: Final = "requirements.txt"
_LIMIT_SECONDS: Final = {"the base's": 900, "the work tree's": 600}
"""By whose program it is: the base's asks the work tree's, and tells which of them did not end."""
_GRACE_SECONDS: Final = 5.0
_LARGEST_BYTES: Final = 256 * 1024**2
"""A thousand models in five regions take some 100 MB on both sides together."""
_LAST_BYTES: Final = 4096
OWN: Final = Path(__file__).resolve().parents[2]
"""The tree whose program runs here."""
Answered = tuple[dict[str, Any], str]
"""What a program answers, or why there is no answer."""


def _packages(tree: Path) -> bytes:
    path = tree / _PACKAGES
    return path.read_bytes() if path.is_file() else b""


def answer_of(
    tree: Path, whose: str, module: str, question: Mapping[str, Any], cwd: Path, keep: Iterable[str]
) -> Answered:
    """What a module of a tree's own program answers a question.

    `whose` names the program for people; of the environment it is given `keep` and no more.
    """
    if not (tree / module.replace(".", "/")).with_suffix(".py").is_file():
        return {}, f"{whose} program cannot be asked: it has no {module}"
    if _packages(tree) != _packages(OWN):
        return (
            {},
            f"{_PACKAGES} changes, and the packages of {whose} program are not installed here",
        )
    # -P and PYTHONPATH: its own packages, whatever else is installed.
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    command = [sys.executable, "-P", "-m", module]
    # Files, not pipes: whoever it leaves behind would hold a pipe open for ever.
    with TemporaryFile() as asked, TemporaryFile() as out, TemporaryFile() as err:
        asked.write(json.dumps(question).encode())
        asked.seek(0)
        code = _run(
            subprocess.Popen(
                command,
                cwd=cwd,
                env={**environment, "PYTHONPATH": str(tree)},
                stdin=asked,
                stdout=out,
                stderr=err,
                start_new_session=True,
            ),
            _LIMIT_SECONDS[whose],
        )
        if code is None:
            return {}, f"{whose} program did not end within {_LIMIT_SECONDS[whose]} s"
        if code:
            said = _end(err).decode(errors="replace").strip().splitlines()
            return {}, f"{whose} program failed: {said[-1] if said else code}"
        return _read(out, whose)


def _run(process: subprocess.Popen[bytes], limit_seconds: float) -> int | None:
    """How a process ended; None for one that did not. No process of its group is left."""
    try:
        return process.wait(limit_seconds)
    except subprocess.TimeoutExpired:
        process.terminate()  # the base's has asked another program, and ends that one too
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        return None
    finally:
        with suppress(ProcessLookupError, PermissionError):  # Darwin's answer where only it was
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end(file: IO[bytes]) -> bytes:
    """The last of what was written to a file."""
    file.seek(max(file.seek(0, os.SEEK_END) - _LAST_BYTES, 0))
    return file.read()


def _read(file: IO[bytes], whose: str) -> Answered:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if not size:
        return {}, f"{whose} program gives no answer: it may be of before there were questions"
    if size > _LARGEST_BYTES:
        return {}, f"{whose} program failed: its answer has {size} bytes, at most {_LARGEST_BYTES}"
    try:
        found: dict[str, Any] = json.loads(file.read())
    except (ValueError, RecursionError):
        return {}, f"{whose} program failed: its answer is no JSON"
    return found, ""


def write_answer(path: Path, answered: Answered) -> None:
    """Put an answer into a file, or why there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(answered))


def read_answer(path: Path) -> Answered:
    """The answer that a file holds. Whatever stands in it, it was written beside the change's own
    program: no more is believed of it than of that program."""
    try:
        with path.open("rb") as file:
            held, why = _read(file, "the work tree's")
    except OSError:
        return {}, "the work tree's program was asked elsewhere, and left no answer"
    if why:
        return {}, why
    form = "the work tree's program was asked elsewhere, and what is left is no answer"
    match held:
        case [dict(said), str(why)]:
            return said, why if said or why else form
    return {}, form
