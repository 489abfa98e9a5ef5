"""What is installed is what was read: each pin has the hashes of its files, and pip checks them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.examples import ROOT

FILES: Final = (
    ROOT / "requirements.txt",
    *sorted((ROOT / "regions/sandbox/toolchain").glob("*/requirements.txt")),
)
INSTALLERS: Final = (
    "Makefile",
    "components/model_cache/Dockerfile",
    "components/synthetic_probe/Dockerfile",
    "regions/sandbox/servers.py",
    "tests/bench/transfer_tools.py",
)
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)


def pins(path: Path) -> dict[str, list[str]]:
    """By `name==version`, the hashes of its files."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            pin = line.removesuffix(" \\")
            found[pin] = []
        elif line.startswith(" "):
            found[pin].append(line.strip().removesuffix(" \\"))
    return found


@each_file
def test_every_pin_is_of_one_version_and_has_the_hash_of_each_file(path: Path) -> None:
    assert len(FILES) == 7
    for pin, hashes in pins(path).items():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][\w.!]*", pin), f"{pin}: more than one may fit"
        assert hashes, f"{pin}: whatever the index says would be installed; run `make pins`"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), pin


@each_file
def test_a_file_of_pins_names_no_index(path: Path) -> None:
    assert "://" not in path.read_text(), "whoever installs has an index configured"


def test_the_project_and_its_pins_name_the_same_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) == set(pins(FILES[0])), "run `make pins`"


@pytest.mark.parametrize("name", INSTALLERS)
def test_whatever_installs_pins_asks_for_their_hashes(name: str) -> None:
    installs = [
        line
        for line in (ROOT / name).read_text().splitlines()
        if "-r" in re.split(r"[\s\",]+", line)
    ]
    text = (ROOT / name).read_text()
    assert installs, f"{name} installs no file of pins"
    assert text.count("--require-hashes") == len(installs)
