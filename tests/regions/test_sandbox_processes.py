"""A daemon is recognised by who it is, never by a number that may be somebody else's by now."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regions.sandbox import processes
from regions.sandbox.errors import SandboxError

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(processes, "RUN", tmp_path / "run")
    monkeypatch.setattr(processes, "LOG", tmp_path / "log")
    yield
    processes.stop("sleeper")


def test_a_started_daemon_is_found_again_and_ended() -> None:
    assert processes.start("sleeper", SLEEPER)
    assert processes.is_running("sleeper")
    assert not processes.start("sleeper", SLEEPER), "a running daemon must be left alone"
    identity = processes.recorded("sleeper")
    assert identity is not None
    assert processes.stop("sleeper")
    assert not identity.is_alive()


def test_a_reused_process_id_is_a_stranger_and_survives_stop(tmp_path: Path) -> None:
    me = processes.identity_of(os.getpid())
    assert me is not None
    (tmp_path / "run").mkdir()
    processes.pid_file("sleeper").write_text(f"{me.pid} {me.start_ticks + 1}")
    assert not processes.is_running("sleeper")
    assert not processes.stop("sleeper"), "stop would have ended this very test"
    assert not processes.pid_file("sleeper").exists()


@pytest.mark.parametrize("text", ["", "12", "12 x", "one two three"])
def test_a_pid_file_cut_short_by_a_kill_means_not_running(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    processes.pid_file("sleeper").write_text(text)
    assert not processes.is_running("sleeper")


def test_a_daemon_that_stops_at_once_is_reported_with_its_last_words() -> None:
    processes.start("sleeper", ["/bin/sh", "-c", "echo no such flag; exit 1"])
    while processes.is_running("sleeper"):
        pass
    with pytest.raises(SandboxError, match="no such flag"):
        processes.require_running("sleeper")


def test_free_ports_are_distinct_and_below_those_of_outgoing_connections() -> None:
    found = processes.free_ports(20)
    assert len(set(found)) == 20
    assert max(found) < 32_768
