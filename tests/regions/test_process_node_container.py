"""Real processes in real namespaces: what a container sees, what it may do, who it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from regions.sandbox.layout import ROOT, SERVERS
from regions.sandbox.process_node.container import User
from tests.workshop import (
    CONTAINER_ROOT,
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


# -- what it sees ------------------------------------------------------------------------------


def test_a_container_sees_nothing_of_the_host_but_what_stands_in_for_an_image(
    workshop: Workshop,
) -> None:
    secret = workshop.folder / "secret"
    secret.write_text("of the host")
    assert secret.read_text(), "outside the file is there"
    ours = f"echo {ROOT}/*; echo {ROOT}/regions/*; echo {ROOT}/regions/sandbox/*/*"
    asked = f"echo /*; {ours}; ls {ROOT}/.isoserve 2>/dev/null"
    _, said = workshop.run(f"cat {secret}; {asked}")
    missing, root, repository, regions, sandbox, *environments = said.splitlines()
    assert missing.endswith("No such file or directory")
    assert set(root.split()) <= {
        *("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/tmp", "/usr"),
        "/var",
        *(f"/{Path(path).parts[1]}" for path in (ROOT, sys.prefix, sys.base_prefix)),
    }
    assert repository == f"{ROOT}/components {ROOT}/regions", "the image holds no other room"
    copied = ("__init__.py", "aws_partitions.py", "sandbox")
    assert regions.split() == [f"{ROOT}/regions/{name}" for name in copied], "nor more of that one"
    assert sandbox == f"{ROOT}/regions/sandbox/example/scorer.py", "the example job's program"
    assert set(environments) <= {"venv", SERVERS.name}


def test_the_mounts_of_the_host_are_let_go(workshop: Workshop) -> None:
    _, said = workshop.run("cut -d' ' -f5 /proc/self/mountinfo")
    targets = said.split()
    assert targets[0] == "/", "the container's own root is the first of all"
    assert "/sys" not in targets
    assert str(workshop.folder) not in said


def test_python_and_its_packages_are_there(workshop: Workshop) -> None:
    program = "import pydantic, components; print(components.__file__)"
    running, log = workshop.start(sys.executable, "-c", program, env={"PYTHONPATH": str(ROOT)})
    assert ended(running) == 0
    assert log.read_text() == f"{ROOT}/components/__init__.py\n"


def test_the_environment_is_what_the_pod_says_and_a_path(workshop: Workshop) -> None:
    os.environ["LEAKED"] = "from the node agent"
    try:
        running, log = workshop.start("env", env={"NAME": "a value\nof two lines ü"})
        assert ended(running) == 0
    finally:
        del os.environ["LEAKED"]
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert sorted(log.read_text().splitlines()) == sorted([path, "NAME=a value", "of two lines ü"])


def test_a_change_of_the_hosts_file_is_seen_at_once(workshop: Workshop) -> None:
    running, _ = workshop.start(*SLEEP)
    lookup = ["getent", "hosts", "second.example"]
    assert running.run_inside(lookup, PROTECTION_SECONDS)[0] != 0, "nobody knows the name yet"
    with workshop.hosts.open("a") as hosts:
        hosts.write("127.9.0.2 second.example\n")
    code, said = running.run_inside(lookup, PROTECTION_SECONDS)
    assert (code, said.split()) == (0, ["127.9.0.2", "second.example"])


def test_a_program_works_where_the_pod_says(workshop: Workshop) -> None:
    assert workshop.run("pwd") == (0, "/\n")
    assert workshop.run("pwd", working_directory="/srv/app") == (0, "/srv/app\n")


# -- what it may change ------------------------------------------------------------------------


def test_a_read_only_root_refuses_what_a_volume_takes(workshop: Workshop) -> None:
    volume = workshop.volume("data")
    script = "echo x > /tmp/file; echo x > /data/file && echo written"
    code, said = workshop.run(script, mounts=(mount(volume, "/data"),))
    assert code == 0
    assert "/tmp/file: Read-only file system" in said
    assert said.endswith("written\n")
    assert (volume / "file").read_text() == "x\n"


def test_a_writable_root_takes_files_that_go_with_the_container(workshop: Workshop) -> None:
    assert workshop.run("echo x > /tmp/file && cat /tmp/file", read_only_root=False) == (0, "x\n")
    assert not any((workshop.folder / "run-0" / "root").iterdir())


def test_a_read_only_mount_refuses_and_a_writable_one_below_it_takes(workshop: Workshop) -> None:
    outer, inner = workshop.volume("outer"), workshop.volume("inner")
    (outer / "inner").mkdir()
    mounts = (mount(inner, "/data/inner"), mount(outer, "/data", read_only=True))
    code, said = workshop.run("echo x > /data/a; echo x > /data/inner/b", mounts=mounts)
    assert code == 0, "the inner volume is mounted over the outer one, whatever their order"
    assert "/data/a: Read-only file system" in said
    assert (inner / "b").exists()
    assert list(outer.iterdir()) == [outer / "inner"]


def test_a_single_file_can_be_mounted(workshop: Workshop) -> None:
    settings = workshop.folder / "settings"
    settings.write_text("one\n")
    mounts = (mount(settings, "/etc/app/settings", read_only=True),)
    code, said = workshop.run("cat /etc/app/settings; echo x > /etc/app/settings", mounts=mounts)
    assert code != 0
    assert said.startswith("one\n")
    assert "Read-only file system" in said


def test_shared_memory_is_a_small_one_or_the_pods(workshop: Workshop) -> None:
    assert workshop.run("echo x > /dev/shm/file && cat /dev/shm/file") == (0, "x\n")
    volume = workshop.volume("memory")
    code, _ = workshop.run("echo x > /dev/shm/file", mounts=(mount(volume, "/dev/shm"),))
    assert code == 0
    assert (volume / "file").exists()


def test_root_in_a_container_cannot_turn_the_hosts_switches(workshop: Workshop) -> None:
    switch = "/proc/sys/kernel/printk_ratelimit"
    code, said = workshop.run(f"cat {switch} > /dev/null && : > {switch}", user=CONTAINER_ROOT)
    assert code != 0
    assert f"{switch}: Read-only file system" in said


# -- who it is ---------------------------------------------------------------------------------


def status_of(workshop: Workshop, user: User) -> dict[str, list[str]]:
    _, said = workshop.run("cat /proc/self/status", user=user)
    rows = (line.partition(":") for line in said.splitlines())
    return {name: value.split() for name, _, value in rows}


@pytest.mark.parametrize(
    ("user", "permitted"), [(NOBODY_SPECIAL, 0), (CONTAINER_ROOT, 1 << 0 | 1 << 3)]
)
def test_a_program_has_the_user_and_the_capabilities_that_were_asked_for(
    workshop: Workshop, user: User, permitted: int
) -> None:
    status = status_of(workshop, user)
    assert status["Uid"] == [str(user.uid)] * 4
    assert status["Gid"] == [str(user.gid)] * 4
    if IS_ROOT:
        assert status["Groups"] == [str(group) for group in user.groups]
    held = {name: int(status[name][0], 16) for name in status if name.startswith("Cap")}
    want = {"CapPrm": permitted, "CapEff": permitted, "CapBnd": permitted}
    assert held == {**want, "CapInh": 0, "CapAmb": 0}
    assert status["NoNewPrivs"] == ["1"]


def test_a_capability_is_kept_for_a_user_who_can_use_none(workshop: Workshop) -> None:
    status = status_of(workshop, replace(NOBODY_SPECIAL, capabilities=("NET_BIND_SERVICE",)))
    assert int(status["CapEff"][0], 16) == 0, "as in Kubernetes, capabilities are root's"
    assert int(status["CapBnd"][0], 16) == 1 << 10


def test_no_signal_is_ignored_or_blocked(workshop: Workshop) -> None:
    status = status_of(workshop, NOBODY_SPECIAL)
    # 32 and 33 are the C library's own, which lets nobody change them.
    masks = {name: int(status[name][0], 16) & ~(0b11 << 31) for name in ("SigIgn", "SigBlk")}
    assert masks == {"SigIgn": 0, "SigBlk": 0}


def test_the_process_id_is_the_programs_own_and_leads_a_session(workshop: Workshop) -> None:
    running, log = workshop.start("sh", "-c", "echo $$; read line; echo $?")
    assert ended(running) == 0
    assert log.read_text() == f"{running.pid}\n1\n", "there is nothing to read"
    other, _ = workshop.start(*SLEEP)
    assert os.getsid(other.pid) == os.getpgid(other.pid) == other.pid
    assert Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n", "started means executed"


def test_two_containers_take_the_same_port_of_two_addresses(workshop: Workshop) -> None:
    program = """if True:
        import socket, sys
        listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
        print(listener.getsockname()[1], flush=True)
        listener.accept()
    """
    first, log = workshop.start(sys.executable, "-c", program, "127.254.253.1", "0")
    until(lambda: log.read_text().endswith("\n"), "the first listens")
    port = log.read_text().strip()
    second, other = workshop.start(sys.executable, "-c", program, "127.254.253.2", port)
    until(lambda: other.read_text().endswith("\n"), "the second listens")
    assert other.read_text().strip() == port
    assert (first.poll(), second.poll()) == (None, None)
