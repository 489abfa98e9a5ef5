"""The model servers' environment is made once, whole, and anew when its pins change."""

from __future__ import annotations

from pathlib import Path

import pytest

from regions.sandbox import servers
from regions.sandbox.errors import SandboxError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of no packages, elsewhere; gives its folder."""
    monkeypatch.setattr(servers, "PINS", tmp_path / "pins")
    monkeypatch.setattr(servers, "SERVERS", tmp_path / "servers")
    monkeypatch.setattr(servers, "PYTHON", tmp_path / "servers" / "bin" / "python")
    monkeypatch.setattr(servers, "LOG", tmp_path / "log")
    (tmp_path / "pins").write_text("# nothing\n")
    return tmp_path / "servers"


def test_it_is_made_once_and_anew_when_its_pins_change(home: Path) -> None:
    said: list[str] = []
    assert servers.ensure(said.append), "it was not there"
    (home / "left").touch()
    assert not servers.ensure(said.append), "it is there"
    assert len(said) == 2, "only work is told of"
    (home.parent / "pins").write_text("# nothing else\n")
    assert servers.ensure(said.append), "other pins"
    assert not (home / "left").exists(), "nothing of the old one is in the new one"


def test_what_a_kill_left_is_not_taken_for_whole(home: Path) -> None:
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").symlink_to("/bin/true")
    assert not servers.is_current(), "without its stamp nobody knows what it lacks"


def test_a_package_that_is_not_to_be_had_is_told_and_leaves_nothing_whole(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (home.parent / "pins").write_text("mlserver==1.7.1\n")
    with pytest.raises(SandboxError, match=r"servers\.log[\s\S]*mlserver[\s\S]*package index"):
        servers.ensure(lambda text: None)
    assert not servers.is_current()


def test_every_package_is_pinned_and_the_servers_are_there() -> None:
    rows = [row for row in servers.PINS.read_text().splitlines() if not row.startswith(("#", " "))]
    lines = [row.partition(" ")[0] for row in rows]  # what follows are the hashes
    assert all(row.count("==") == 1 for row in lines), "an index must not decide what runs"
    assert {"mlserver==1.7.1", "mlserver-sklearn==1.7.1", "scikit-learn==1.9.1"} <= set(lines)
    names = [row.partition("==")[0] for row in lines]
    assert sorted(set(names)) == sorted(names), "one version of each"
