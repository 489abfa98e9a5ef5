"""Locks of the dead go, locks of the living stay, and the engine's events become sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regions.sandbox import engine, processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.events import Progress

REGION = "sandbox-aws"


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engine, "STATE", tmp_path)
    monkeypatch.setattr(engine, "_project", lambda: "isoserve")
    folder = tmp_path / ".pulumi" / "locks" / "organization" / "isoserve" / REGION
    folder.mkdir(parents=True)
    return folder


def a_dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_of_a_dead_process_is_cleared(locks: Path) -> None:
    (locks / "a.json").write_text(json.dumps({"pid": a_dead_pid()}))
    assert engine.clear_locks(REGION) == 1
    assert not list(locks.iterdir())


def test_a_lock_cut_short_by_a_kill_is_cleared(locks: Path) -> None:
    (locks / "a.json").write_text('{"pid": 1')
    assert engine.clear_locks(REGION) == 1


def test_a_lock_whose_number_is_now_another_program_is_cleared(locks: Path) -> None:
    (locks / "a.json").write_text(json.dumps({"pid": os.getpid()}))
    assert engine.clear_locks(REGION) == 1, "this test run is no pulumi"


def test_a_lock_of_a_living_engine_is_an_error_naming_it(locks: Path) -> None:
    living = subprocess.Popen(["pulumi", "30"], executable="/bin/sleep")
    try:
        # The kernel lets the parent go on a moment before the new command line can be read.
        while not Path(f"/proc/{living.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        (locks / "a.json").write_text(json.dumps({"pid": living.pid}))
        with pytest.raises(SandboxError, match=f"process {living.pid}"):
            engine.clear_locks(REGION)
        assert list(locks.iterdir()), "the lock of a living engine was taken away"
    finally:
        living.kill()
        living.wait()


def test_only_a_dead_owners_engine_is_an_orphan(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(processes, "end", lambda one, **_: ended.append(one.pid))
    own = engine._own_mark(REGION)
    env = os.environ | {engine._MARK: own}
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], env=env, stdin=subprocess.PIPE)
    try:
        engine.end_orphans(REGION)
        assert ended == [], "the engine of a living run was ended"
        engine.end_own("sandbox-onprem")
        assert ended == [], "another region's engine was ended"
        engine.end_own(REGION)
        assert ended == [sleeper.pid]
    finally:
        sleeper.communicate(b"\n")


def event(**fields: object) -> str:
    return json.dumps({"sequence": 1, **fields})


def test_events_count_resources_and_keep_errors_with_their_place() -> None:
    progress = Progress()
    for name in ("a", "b"):
        message = f"registering resource: ty=x:y:Z, name={name}"
        progress.read(event(diagnosticEvent={"severity": "debug", "message": message}))
    progress.read(event(resOutputsEvent={"metadata": {"op": "create", "urn": "urn:p::s::t::a"}}))
    urn = "urn:pulumi:s::p::aws:s3/bucket:Bucket::registry"
    progress.read(event(diagnosticEvent={"severity": "error", "message": "taken\n", "urn": urn}))
    assert progress.describe() == "1 of 2 resources"
    assert progress.diagnostics == ["aws:s3/bucket:Bucket::registry: taken"]


def test_an_unchanged_run_counts_no_change() -> None:
    progress = Progress()
    progress.read(event(summaryEvent={"resourceChanges": {"same": 7}}))
    assert progress.changed == 0
    assert progress.summary() == "7 same"


def test_what_is_no_event_is_kept_as_it_was_said() -> None:
    assert Progress().read("error: no stack\n") == "error: no stack"


def test_what_the_program_and_the_gate_say_is_kept_for_people() -> None:
    progress = Progress()
    stack = "urn:pulumi:sandbox-aws::isoserve::pulumi:pulumi:Stack::isoserve-sandbox-aws"
    other = "urn:pulumi:sandbox-aws::isoserve::kubernetes:core/v1:Service::search/ranker"
    away = "Deployment search/ranker-spot is not there, no spot capacity"
    for severity, urn, message in (
        ("info", stack, f"{away}\n"),
        ("info", "", "planned for 2026-11-22T00:00:00Z"),
        ("info", stack, away),
        ("info", other, "Skipping await logic"),
        ("warning", stack, "using a plugin from $PATH"),
        ("info", stack, ""),
    ):
        progress.read(event(diagnosticEvent={"severity": severity, "message": message, "urn": urn}))
    assert progress.told == [away, "planned for 2026-11-22T00:00:00Z"], "once each, in order"
