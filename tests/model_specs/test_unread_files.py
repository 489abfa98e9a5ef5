"""A file that a person takes for a spec or a profile is read, or is named: none is passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from regions.profile import load_profiles
from tests.model_specs.catalogue import HERE, PROFILE, build, check

GOOD: Final = (HERE / "base/model_specs/team/good.yaml").read_text()
NAMED: Final = {
    "model_specs/team/m.YAML": "E315",
    "model_specs/team/m.Yml": "E315",
    "model_specs/team/m.yml": "E315",
    "model_specs/team/sub/m.yaml": "E111",
    "model_specs/team/sub/deep/m.YML": "E111",
    "model_specs/m.yaml": "E111",
    "model_specs/m.yml": "E111",
    "regions/there.yml": "E315",
    "regions/there.YAML": "E315",
    "regions/sub/there.yaml": "E111",
}
OF_OTHERS: Final = (
    "model_specs/team/README.md",
    "model_specs/team/m.json",
    "model_specs/team/m.yaml.bak",
    "model_specs/team/_drafts/m.yaml",
    "model_specs/team/.cache/m.yaml",
    "model_specs/_templates/m.yaml",
    "regions/.git/x.yaml",
    "regions/README.md",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    build("43-renamed", tmp_path / "tree")
    return tmp_path / "tree"


def put(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(GOOD)


@pytest.mark.parametrize("name", NAMED)
def test_a_file_that_nobody_reads_is_named(root: Path, name: str) -> None:
    put(root, name)
    assert [(e.file, e.code) for e in check(root).errors] == [(name, NAMED[name])]


@pytest.mark.parametrize("name", OF_OTHERS)
def test_a_file_that_is_no_spec_is_somebody_elses(root: Path, name: str) -> None:
    put(root, name)
    assert check(root).lines == []


def test_a_package_of_python_holds_what_it_likes(root: Path) -> None:
    for name in ("regions/sandbox/__init__.py", "regions/sandbox/chart/values.yaml"):
        put(root, name)
    assert check(root).lines == [], "as regions/sandbox does"


def test_a_linked_folder_is_not_walked(root: Path) -> None:
    (root / "model_specs/team/all").symlink_to("/")
    assert check(root).lines == [], "a link to / would have a whole disk read"


def test_a_file_that_nobody_reads_stops_no_region_that_was_asked_for(root: Path) -> None:
    put(root, "regions/there.yml")
    assert set(load_profiles((root / PROFILE).parent, ("here",))) == {"here"}
