"""The command line as a test calls it, and a copy of the example tree to break."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stacks.cli import main

ROOT = Path(__file__).resolve().parents[2]


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Isoserve = Callable[..., Answer]


@pytest.fixture
def isoserve(capsys: pytest.CaptureFixture[str]) -> Isoserve:
    def run(*argv: str | Path) -> Answer:
        code = main([str(word) for word in argv])
        out, err = capsys.readouterr()
        assert "Traceback" not in err, "a person is told what is wrong, not where our code stood"
        return Answer(code, out, err)

    return run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project of its own with the example specs, regions and exceptions."""
    root = tmp_path / "project"
    only_yaml = shutil.ignore_patterns("*.py", "*.json", "__pycache__", "sandbox", "sandbox-*")
    shutil.copytree(ROOT / "model_specs", root / "model_specs", ignore=only_yaml)
    shutil.copytree(ROOT / "regions", root / "regions", ignore=only_yaml)
    (root / "policies").mkdir()
    shutil.copy2(ROOT / "policies" / "waivers.yaml", root / "policies")
    (root / "Pulumi.yaml").touch()
    return root


@pytest.fixture
def here(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, entered."""
    monkeypatch.chdir(tree)
    return tree


def edit(path: Path, old: str, new: str) -> None:
    """Replace `old`, which must be there."""
    text = path.read_text()
    assert old in text, f"{path.name} no longer holds {old!r}: mend the test"
    path.write_text(text.replace(old, new))


def git(folder: Path, *words: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *author, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repo(here: Path) -> Path:
    """The same, committed as `base`."""
    git(here, "init", "-q")
    git(here, "add", ".")
    git(here, "commit", "-qm", "base")
    return here
