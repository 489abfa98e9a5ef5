"""A whole review as made quickly says what one says that takes nothing over and skips nothing."""

from __future__ import annotations

import operator
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from components.parts import Part, parts
from regions.plan import RegionPlan
from stacks import compare, diff, parity
from stacks.history import tree_at
from stacks.review import reviewed
from stacks.reviewing import sides, steps
from stacks.reviewing.comment import comment
from stacks.reviewing.data import data
from tests.stacks.conftest import edit

_HELPER: Final = "model_specs/chat/helper.yaml"
_SENTIMENT: Final = "model_specs/search/sentiment.yaml"
CHANGES: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "nothing": (),
    "one bound": ((_HELPER, "max: 3", "max: 4"),),
    "lines moved": ((_HELPER, "machine_type:", "# moved\nmachine_type:"),),
    "a refused value": ((_HELPER, "max: 3", "max: -3"),),
    "another version": ((_SENTIMENT, ":v3@", ":v4@"),),
    "a project's members": (("model_specs/chat/project.yaml", "members:", "# who\nmembers:"),),
    "a place": (("regions/us-east-1.yaml", "example.com", "example.org"),),
}


def _said() -> tuple[str, Any]:
    args = Namespace(base="HEAD", specs=None, regions=None, region=[], preview=[], json=False)
    found = reviewed(args, datetime(2026, 11, 22, tzinfo=UTC))
    return comment(found), data(found)


def _slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    def anew(old: RegionPlan, new: RegionPlan) -> tuple[list[Part], list[Part]]:
        return [*parts(old)], [*parts(new)]

    monkeypatch.setattr(steps, "apart", anew)
    monkeypatch.setattr(sides, "tree_at", lambda *args: tree_at(*args[:4]))
    monkeypatch.setattr(compare, "_is_equal", operator.is_)
    monkeypatch.setattr(diff, "same", operator.is_)
    monkeypatch.setattr(parity._Places, "alike", lambda places, old, new: old is new)


@pytest.mark.parametrize("name", CHANGES)
def test_a_review_says_quickly_what_it_says_slowly(
    name: str, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file, old, new in CHANGES[name]:
        edit(repo / file, old, new)
    quick = _said()
    _slowly(monkeypatch)
    assert quick == _said(), f"what is taken over or skipped shows: {name}"


def test_a_model_of_the_base_is_taken_over_only_with_its_text(repo: Path, tmp_path: Path) -> None:
    edit(repo / _HELPER, "machine_type:", "# a line more\nmachine_type:")
    specs, regions = repo / "model_specs", repo / "regions"
    at = datetime(2026, 11, 22, tzinfo=UTC)
    ours = sides.read_work(specs, regions, [], at)
    found = sides.read_sides(ours, "HEAD", specs, regions, [], at, tmp_path / "scratch")
    base, work = found.base.models, found.work.models
    alike = {name for name, model in base.items() if model is work[name]}
    assert {*base} - alike == {"chat/helper"}, "another text is read, as its lines are others"
    lines = [side["chat/helper"].source.places["machine_type",][0] for side in (base, work)]
    assert lines[1] == lines[0] + 1, "an error of the base stands at the base's line"
