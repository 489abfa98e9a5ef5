"""Prometheus and promtool are the user's own where there are any, else Debian's, unpacked once."""

from __future__ import annotations

from pathlib import Path

import pytest

from regions.sandbox import prometheus
from regions.sandbox.errors import SandboxError

APT: str = 'echo fetched >> "{calls}"; : > prometheus_2.42_amd64.deb'
UNPACK: str = (
    'mkdir -p "$3/usr/bin"; for p in prometheus promtool; do echo new > "$3/usr/bin/$p"; done'
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a shell, and an empty folder of the sandbox's programs."""
    monkeypatch.setattr(prometheus, "BIN", tmp_path / "own")
    monkeypatch.setenv("PATH", f"{tmp_path / 'users'}:{tmp_path / 'debian'}")
    for name in ("own", "users", "debian"):
        (tmp_path / name).mkdir()
    return tmp_path


def a_program(path: Path, script: str = "") -> None:
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    path.chmod(0o755)


def debian(machine: Path) -> Path:
    """Gives the machine a package manager; the file in which its downloads are counted."""
    calls = machine / "calls"
    a_program(machine / "debian" / "apt-get", APT.format(calls=calls))
    a_program(machine / "debian" / "dpkg-deb", UNPACK)
    return calls


def test_a_machine_that_has_promtool_of_before_gets_prometheus_beside_it(machine: Path) -> None:
    calls = debian(machine)
    (machine / "own" / "promtool").write_text("old")
    found = prometheus.ensure()
    assert (machine / "own" / "prometheus").read_text() == "new\n"
    assert (machine / "own" / "promtool").read_text() == "old", "what is there is left alone"
    assert prometheus.ensure() == found
    assert calls.read_text().splitlines() == ["fetched"], "the second time nothing is fetched"


def test_the_users_own_programs_come_first_and_nothing_is_fetched(machine: Path) -> None:
    calls = debian(machine)
    for program in prometheus.PROGRAMS:
        a_program(machine / "users" / program)
        (machine / "own" / program).write_text("unpacked")
    found = prometheus.ensure()
    assert found == {name: machine / "users" / name for name in prometheus.PROGRAMS}
    assert not calls.exists()


def test_without_debian_the_error_names_what_is_missing_and_what_to_do(machine: Path) -> None:
    (machine / "own" / "promtool").write_text("old")
    with pytest.raises(SandboxError, match=r"no prometheus, and no Debian.*on PATH"):
        prometheus.ensure()
