"""Real processes in real namespaces: how a container ends, and what is left of a dead agent's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from regions.sandbox.layout import ROOT
from regions.sandbox.process_node.container import end_leftovers
from regions.sandbox.process_node.root import TERMINATION_LOG
from regions.sandbox.processes import Identity, identity_of
from tests.workshop import (
    IS_ROOT,
    NOBODY_SPECIAL,
    PROTECTION_SECONDS,
    SLEEP,
    Workshop,
    ended,
    mount,
    open_workshop,
    until,
)


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with open_workshop(tmp_path) as made:
        yield made


# -- how it ends -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 3, 255])
def test_an_exit_code_is_the_programs(workshop: Workshop, code: int) -> None:
    running, _ = workshop.start("sh", "-c", f"exit {code}")
    assert ended(running) == code
    assert running.failure == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, 137)])
def test_a_program_that_a_signal_ended_says_which(
    workshop: Workshop, number: int, code: int
) -> None:
    running, _ = workshop.start(*SLEEP)
    assert running.poll() is None
    running.signal(number)
    assert ended(running) == code
    running.signal(number)
    assert running.poll() == code, "a signal to what is gone changes nothing"


def test_kill_ends_a_grandchild_in_a_session_of_its_own(workshop: Workshop) -> None:
    running, log = workshop.start(
        "sh", "-c", "setsid sh -c 'echo $$; exec sleep 60' & exec sleep 60"
    )
    until(lambda: log.read_text().endswith("\n"), "the grandchild runs")
    grandchild = identity_of(int(log.read_text()))
    assert grandchild is not None
    running.kill()
    assert ended(running) == 137
    until(lambda: not grandchild.is_alive(), "the grandchild is dead or about to be")
    running.kill()


def test_kill_ends_what_a_program_left_behind(workshop: Workshop) -> None:
    running, log = workshop.start("sh", "-c", "setsid sh -c 'echo $$; exec sleep 60' & sleep 0.1")
    assert ended(running) == 0
    orphan = identity_of(int(log.read_text()))
    assert orphan is not None
    running.kill()
    until(lambda: not orphan.is_alive(), "the orphan is dead or about to be")


def test_the_last_words_are_what_the_program_wrote_down(workshop: Workshop) -> None:
    running, _ = workshop.start("sh", "-c", "echo out of patience > /dev/termination-log; exit 1")
    assert ended(running) == 1
    assert running.last_words() == "out of patience\n"
    talker, _ = workshop.start("sh", "-c", "seq 9999 > /dev/termination-log")
    assert ended(talker) == 0
    assert talker.last_words().endswith("\n9998\n9999\n")
    assert len(talker.last_words()) == 4096
    silent, _ = workshop.start("true")
    assert ended(silent) == 0
    assert silent.last_words() == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"argv": ("no-such-program",)}, "cannot execute no-such-program: No such file"),
        ({"argv": ("/etc/hosts",)}, "cannot execute /etc/hosts: Permission denied"),
        (
            {"mounts": (mount(Path("/no/such"), "/data"),)},
            "cannot mount /no/such at /data: No such",
        ),
        ({"mounts": (mount(Path("/usr"), "/usr/lib/new"),)}, "Read-only file system"),
        ({"working_directory": "/etc/hosts"}, "/etc/hosts"),
    ],
    ids=["no program", "not executable", "no source", "target in the image", "no folder"],
)
def test_what_cannot_be_set_up_is_said_in_one_line(
    workshop: Workshop, changes: dict[str, Any], says: str
) -> None:
    running, log = workshop.start(*changes.pop("argv", ("true",)), **changes)
    assert ended(running) == 128
    assert says in running.failure
    assert log.read_text() == running.failure + "\n"
    assert running.failure.startswith("isoserve: the container could not be started: ")


def test_a_symbolic_link_in_a_volume_leads_no_mount_astray(workshop: Workshop) -> None:
    outer, inner, bait = (workshop.volume(name) for name in ("outer", "inner", "bait"))
    (outer / "link").symlink_to(bait)
    mounts = (mount(outer, "/data"), mount(inner, "/data/link/new"))
    running, _ = workshop.start("true", mounts=mounts)
    assert ended(running) == 128
    assert "a symbolic link is on the way" in running.failure
    assert list(bait.iterdir()) == [], "nothing was made on the host"


# -- what comes in from outside ----------------------------------------------------------------


def test_a_program_that_is_run_inside_sees_and_is_what_the_container_is(workshop: Workshop) -> None:
    volume = workshop.volume("data")
    (volume / "file").write_text("of the volume\n")
    running, _ = workshop.start(*SLEEP, mounts=(mount(volume, "/data"),), env={"NAME": "value"})
    script = "cat /data/file; id -u; echo $NAME; grep CapBnd /proc/self/status; exit 4"
    code, said = running.run_inside(["sh", "-c", script], PROTECTION_SECONDS)
    assert code == 4
    assert said.splitlines()[:3] == ["of the volume", str(NOBODY_SPECIAL.uid), "value"]
    assert int(said.splitlines()[3].split()[1], 16) == 0
    assert running.run_inside(["touch", "/tmp/x"], PROTECTION_SECONDS)[0] != 0


def test_a_program_that_takes_too_long_inside_is_ended(workshop: Workshop) -> None:
    running, log = workshop.start(*SLEEP)
    assert running.run_inside(SLEEP, 0.5)[0] == 124
    (left,) = sleepers_of(workshop.folder / log.stem)
    assert left.pid == running.pid, "the container itself goes on, alone"


def test_nothing_can_be_run_in_a_container_that_has_ended(workshop: Workshop) -> None:
    running, _ = workshop.start(*SLEEP)
    os.kill(running.pid, signal.SIGKILL)
    code, said = running.run_inside(["true"], PROTECTION_SECONDS)
    assert code == 128
    assert said
    assert ended(running) == 137
    assert running.run_inside(["true"], PROTECTION_SECONDS) == (128, "the container has ended")


def test_a_missing_program_inside_is_said(workshop: Workshop) -> None:
    running, _ = workshop.start(*SLEEP)
    code, said = running.run_inside(["no-such-program"], PROTECTION_SECONDS)
    assert code == 128
    assert "cannot execute no-such-program" in said


# -- what a dead node agent leaves -------------------------------------------------------------

AGENT: Final = """if True:
    import os, signal, sys
    from pathlib import Path
    from regions.sandbox.process_node.container import Container, User, start
    folder = Path(sys.argv[1])
    for name in ("a", "b"):
        start(Container(
            argv=("sh", "-c", "setsid sleep 60 & exec sleep 60"), env={}, mounts=(),
            hosts=folder / "hosts", user=User(uid=10001, gid=10001, groups=(), capabilities=()),
            read_only_root=True, working_directory="", home=folder / "pods" / name,
            log=folder / f"{name}.log"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


FILES: Final = (__file__, str(Path(__file__).with_name("test_process_node_container.py")))


def sleepers_of(home: Path) -> list[Identity]:
    """Everyone who has this home's termination log as its own."""
    wanted = (home / "termination-log").stat().st_ino
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            seen = Path(f"/proc/{pid}/root{TERMINATION_LOG}").stat().st_ino
        except OSError:
            continue
        identity = identity_of(int(pid))
        if seen == wanted and identity:
            found.append(identity)
    return found


def test_what_a_killed_node_agent_left_is_ended_with_all_its_children(workshop: Workshop) -> None:
    command = [sys.executable, "-c", AGENT, str(workshop.folder)]
    agent = subprocess.run(command, cwd=ROOT, timeout=PROTECTION_SECONDS, check=False)
    assert agent.returncode == -signal.SIGKILL
    homes = [workshop.folder / "pods" / name for name in ("a", "b")]
    until(lambda: all(len(sleepers_of(home)) == 2 for home in homes), "four programs run")
    left = [identity for home in homes for identity in sleepers_of(home)]
    assert end_leftovers(workshop.folder) == 2, "two containers"
    assert not any(identity.is_alive() for identity in left)
    assert end_leftovers(workshop.folder) == 0


@pytest.mark.parametrize("ticks_off", [0, 1], ids=["the very process", "a reused id"])
def test_a_stranger_in_a_record_survives(tmp_path: Path, ticks_off: int) -> None:
    stranger = subprocess.Popen(SLEEP)
    identity = identity_of(stranger.pid)
    assert identity is not None
    try:
        (tmp_path / "termination-log").write_text("")
        record = f"{identity.pid} {identity.start_ticks + ticks_off}"
        (tmp_path / "container.pid").write_text(record)
        assert end_leftovers(tmp_path) == 0
        stranger.terminate()
        ended_by = stranger.wait(PROTECTION_SECONDS)
        assert ended_by == -signal.SIGTERM, "a pod could have planted this record"
    finally:
        stranger.kill()
        stranger.wait()


def test_a_container_that_was_about_to_begin_is_ended(tmp_path: Path) -> None:
    enter = ROOT / "regions" / "sandbox" / "process_node" / "enter.py"
    record = tmp_path / "container.pid"
    reader, writer = os.pipe()
    command = [sys.executable, "-I", "-S", str(enter), str(record), str(writer)]
    waiting = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(writer,))
    try:
        until(record.exists, "it wrote down who it is, and waits for its plan")
        end_leftovers(tmp_path)
        assert waiting.wait(PROTECTION_SECONDS) == -signal.SIGKILL
    finally:
        waiting.kill()
        waiting.communicate()
        os.close(reader)
        os.close(writer)


def test_other_containers_are_left_alone(workshop: Workshop, tmp_path: Path) -> None:
    running, _ = workshop.start(*SLEEP)
    (tmp_path / "elsewhere").mkdir()
    assert end_leftovers(tmp_path / "elsewhere") == 0
    assert running.poll() is None


@pytest.mark.skipif(not IS_ROOT, reason="is an ordinary user already")
def test_an_ordinary_user_can_run_containers_too(tmp_path: Path) -> None:
    ordinary = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES]
    # A folder of its own: pytest shares one between the runs of a user.
    command = [*ordinary, *tests, f"--basetemp={tmp_path / 'inner'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
