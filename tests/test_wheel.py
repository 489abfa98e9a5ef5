"""The wheel holds every file of the five packages, and its command runs outside the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.tracked import ROOT, copy_tracked, tracked

PACKAGES: Final = ("components", "model_specs", "policies", "regions", "stacks")
TIMEOUT_SECONDS: Final = 60
"""A build takes a second or two; this only ends one that hangs."""
BUILD: Final = (
    *(sys.executable, "-m", "pip", "wheel", "--quiet"),
    *("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"),
)
RUN: Final = """
import sys
sys.path[:0] = [sys.argv.pop(1)]
sys.path.append(sys.argv.pop(1))
from stacks.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of the tree, because a build leaves folders beside its sources."""
    folder = tmp_path_factory.mktemp("wheel")
    copy_tracked(folder / "copy")
    done = subprocess.run(
        [*BUILD, "--wheel-dir", str(folder / "made"), str(folder / "copy")],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"the wheel does not build: {done.stdout}{done.stderr}"
    (made,) = (folder / "made").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """An empty directory, with no Pulumi.yaml in it or above it."""
    folder = tmp_path / "nowhere"
    folder.mkdir()
    above = [parent for parent in folder.parents if (parent / "Pulumi.yaml").exists()]
    assert not above, f"{above} has a Pulumi.yaml: the command would read what lies there"
    return folder


def run(unpacked: Path, cwd: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command from the unpacked wheel.

    -S leaves out the .pth files of the virtual environment: they add the repository itself, where
    a module that the wheel lacks would be found.
    """
    libraries = sysconfig.get_path("purelib")
    command = [sys.executable, "-I", "-S", "-c", RUN, str(unpacked), libraries, *map(str, words)]
    return subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {path.as_posix() for path in tracked() if path.parts[0] in PACKAGES}
    missing, surplus = sorted(wanted - names), sorted(names - wanted)
    assert not missing, f"{missing}: name them in pyproject.toml, [tool.setuptools.package-data]"
    assert not surplus, f"{surplus} are in the wheel and not in the tree"


def test_the_wheel_installs_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (points,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        assert "isoserve = stacks.cli:main" in archive.read(points).decode()


def test_the_wheel_asks_for_what_the_tests_ran_with(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        lines = archive.read(name).decode().splitlines()
    asked = {line.removeprefix("Requires-Dist: ") for line in lines if "Requires-Dist" in line}
    pinned = (ROOT / "requirements.txt").read_text()
    assert asked == set(re.findall(r"^[a-z]\S+", pinned, re.MULTILINE)), (
        "a wheel that installs without its packages imports nothing"
    )


def test_the_command_reads_the_directories_that_it_is_given(unpacked: Path, nowhere: Path) -> None:
    only_yaml = shutil.ignore_patterns("*.py", "*.json", "*.md", "__pycache__", "sandbox")
    for name in ("model_specs", "regions"):
        shutil.copytree(ROOT / name, nowhere / name, ignore=only_yaml)
    # A region of its own has a domain, a cluster and a bucket of its own, and copies nothing.
    values = yaml.safe_load((nowhere / "regions" / "us-east-1.yaml").read_text())
    values["domain"] = "of-mine.example.com"
    values["cluster"] |= {"name": "of-mine", "context": "of-mine"}
    values["registry"] |= {"bucket": "models-of-mine", "replicate_to": []}
    (nowhere / "regions" / "of-mine.yaml").write_text(yaml.safe_dump(values))
    where = ("--specs", nowhere / "model_specs", "--regions", nowhere / "regions")
    checked = run(unpacked, nowhere, "check", *where)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "of-mine: 6 servers, 2 jobs" in checked.stdout, "the region that only stands there"
    machines = run(unpacked, nowhere, "machines", "--json", *where)
    assert machines.returncode == 0, machines.stderr
    assert "of-mine" in machines.stdout


def test_the_command_explains_a_field_without_any_directory(unpacked: Path, nowhere: Path) -> None:
    done = run(unpacked, nowhere, "explain", "scaling.max")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("scaling.max")


def test_without_a_project_the_command_reads_the_examples_of_the_wheel(
    unpacked: Path, nowhere: Path
) -> None:
    done = run(unpacked, nowhere, "check", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    shipped = {path.stem for path in (unpacked / "regions").glob("*.yaml")}
    assert {row["region"] for row in json.loads(done.stdout)["regions"]} == shipped


def test_a_directory_that_is_not_there_is_named_with_what_to_give(
    unpacked: Path, nowhere: Path
) -> None:
    done = run(unpacked, nowhere, "check", "--specs", nowhere / "model_specs")
    assert done.returncode == 2, "a wrong call"
    assert "no such directory; give the one that holds <project>/<model>.yaml" in done.stderr
