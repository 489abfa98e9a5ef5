"""Runs a judge's program: bounded in time, offline, with its raw answer kept."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from regions.sandbox.layout import BIN, HOME

RAW: Final = HOME / "judge"
"""Where every judge's last answer lies as it was given."""

PACKAGES: Final = HOME / "judges" / "venv"
_LIMIT_SECONDS: Final = 120
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy",
                   "all_proxy")  # fmt: skip


def program(folder: Path, name: str) -> str:
    """A judge's program, or a failed test that says how to get it."""
    path = folder / name
    if not path.exists():
        pytest.fail(f"there is no {name} yet; `make judge` gets all judges")
    return str(path)


def built(name: str) -> str:
    """A judge that was built from its Go module."""
    return program(BIN, name)


def installed(name: str) -> str:
    """A judge from the Python packages that the judges have for themselves."""
    return program(PACKAGES / "bin", name)


@contextmanager
def nobody_called() -> Iterator[Mapping[str, str]]:
    """An environment whose only way out is a listener of ours; fails when someone comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        way_out = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield {**os.environ, **dict.fromkeys(_PROXIES, way_out), "NO_PROXY": "", "no_proxy": ""}
        listener.setblocking(False)
        try:
            caller, _ = listener.accept()
        except BlockingIOError:
            return
        caller.close()
        pytest.fail("a judge called somebody: its word must not depend on the network")


def answer(argv: Sequence[str], folder: Path, **env: str) -> str:
    """What a judge prints; it exits with 1 when it objects, and its answer says to what."""
    with nobody_called() as offline:
        done = subprocess.run(
            argv,
            cwd=folder,
            # A user's own settings, which some judges read from home, must not soften the word.
            env={**offline, **env, "HOME": str(folder)},
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )
    broke = f"{Path(argv[0]).name} broke with {done.returncode}: {done.stderr[-2000:]}"
    assert done.returncode in (0, 1), broke
    assert done.stdout, broke
    return done.stdout


def keep(name: str, text: str) -> None:
    """Keep a raw answer for people."""
    RAW.mkdir(parents=True, exist_ok=True)
    (RAW / name).write_text(text, encoding="utf-8")
