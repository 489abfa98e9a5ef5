"""What a revision held comes out of git a file at a time, or in git's own words why it does not."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from stacks.history import unpacked
from stacks.outcome import InputErrors
from tests.stacks.conftest import git

MIB = 1024**2


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A repository of 64 MiB that cannot be packed any smaller."""
    root = tmp_path / "large"
    (root / "deep/er").mkdir(parents=True)
    for name in ("a", "deep/b", "deep/er/c", "d"):
        (root / name).write_bytes(os.urandom(16 * MIB))
    (root / "out").symlink_to("/etc/hostname")
    (root / "in").symlink_to("deep/b")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "base")
    return root


def test_a_repository_larger_than_memory_is_unpacked(large: Path, tmp_path: Path) -> None:
    tracemalloc.start()
    target = unpacked("HEAD", large, tmp_path / "there")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2 * MIB, "a piece at a time is held, not the repository"
    for name in ("a", "deep/b", "deep/er/c", "d", "in"):
        assert (target / name).read_bytes() == (large / name).read_bytes()
    assert not (target / "out").is_symlink(), "it leads out"


def test_what_git_refuses_is_told_in_its_words(large: Path, tmp_path: Path) -> None:
    with pytest.raises(InputErrors, match="name a revision that git has"):
        unpacked("nowhere", large, tmp_path / "there")


def test_what_git_cannot_read_any_more_is_told_in_its_words(large: Path, tmp_path: Path) -> None:
    for path in (large / ".git/objects").glob("??/*"):
        if path.stat().st_size > MIB:
            path.chmod(0o600)
            path.write_bytes(path.read_bytes()[:MIB])
    with pytest.raises(InputErrors, match="E100"):
        unpacked("HEAD", large, tmp_path / "there")
