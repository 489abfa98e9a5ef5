"""Exceptions are data that runs out: an expired, endless, unknown or unused one fails."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from model_specs.errors import SpecErrors
from policies.catalogue import RULES
from policies.waivers import Waivers, read_waivers
from tests.examples import ROOT
from tests.policies.estate import TODAY

NAMES = [rule.name for rule in RULES]


def written(tmp_path: Path, **changes: object) -> Waivers:
    row = {
        "rule": "image-digest",
        "resource": "Deployment search/embedder",
        "owner": "search-leads",
        "reason": "pinned when the registry moved",
        "expires": TODAY + timedelta(days=30),
    } | changes
    fields = ", ".join(f"{key}: {value}" for key, value in row.items())
    path = tmp_path / "waivers.yaml"
    path.write_text(f"waivers:\n  - {{{fields}}}\n")
    return read_waivers(path)


def test_the_exceptions_of_this_tree_are_in_order() -> None:
    waivers = read_waivers(ROOT / "policies" / "waivers.yaml")
    assert waivers.faults(NAMES, TODAY) == []


def test_a_good_exception_is_read(tmp_path: Path) -> None:
    waivers = written(tmp_path)
    assert waivers.faults(NAMES, TODAY) == []
    assert waivers.holds("image-digest", "Deployment search/embedder", TODAY) is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expires": TODAY - timedelta(days=1)}, "expired on 2026-11-21"),
        ({"expires": TODAY + timedelta(days=91)}, "at most 90 days, got 91"),
        ({"rule": "image-digset"}, "no such rule, got 'image-digset'"),
    ],
)
def test_an_exception_that_must_not_hold_fails_at_its_line(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    (error,) = written(tmp_path, **changes).faults(NAMES, TODAY)
    assert said in error.message
    assert (error.code, error.line) == ("P36", 2)


def test_an_exception_that_nothing_needs_fails(tmp_path: Path) -> None:
    waivers = written(tmp_path)
    (error,) = waivers.unused([])
    assert "nothing needs it" in error.message
    assert waivers.unused(waivers.rows) == []


@pytest.mark.parametrize(
    "changes",
    [{"owner": ""}, {"reason": "because"}, {"expires": "soon"}, {"because": "x"}],
)
def test_an_exception_without_owner_reason_or_end_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(SpecErrors) as refused:
        written(tmp_path, **changes)
    assert len(refused.value.errors) == 1


def test_a_missing_file_is_no_empty_list(tmp_path: Path) -> None:
    with pytest.raises(SpecErrors, match="cannot be read"):
        read_waivers(tmp_path / "waivers.yaml")
