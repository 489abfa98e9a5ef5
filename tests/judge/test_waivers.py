"""Waivers are few, owned, dated and needed; the reader refuses any other form."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.judge.verdict import LONGEST_DAYS, WAIVERS, Finding, Waiver, read_waivers, settle

TODAY = date(2026, 11, 22)
FOUND = Finding("root", "DaemonSet isoserve-cache/cache-gpu-l4-1", "us-east-1", "runs as root")
ROW = """waivers:
  - judge: checkov
    rule: root
    resource: DaemonSet isoserve-cache/*
    owner: platform
    reason: it hands files over to other users
    expires: 2027-01-01
"""


def a_waiver(**fields: object) -> Waiver:
    made: dict[str, object] = {
        "judge": "checkov",
        "rule": "root",
        "resource": "DaemonSet isoserve-cache/*",
        "owner": "platform",
        "reason": "it hands files over to other users",
        "expires": TODAY + timedelta(days=LONGEST_DAYS),
    }
    return Waiver(**{**made, **fields})  # type: ignore[arg-type]


def test_every_waiver_in_force_is_sound_today() -> None:
    rows = read_waivers(WAIVERS)
    faults = [fault for row in rows for fault in row.faults(date.today())]
    assert not faults, "a waiver without an end is a rule that nobody keeps"
    names = [(row.judge, row.rule, row.resource) for row in rows]
    assert len(set(names)) == len(names), "of two waivers for one thing, one is never needed"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"expires": TODAY - timedelta(days=1)}, "expired on"),
        ({"expires": TODAY + timedelta(days=LONGEST_DAYS + 1)}, "at most 90 days, got 91"),
        ({"judge": "checkow"}, "no such judge"),
        ({"owner": ""}, "nobody answers"),
        ({"reason": "because"}, "says nothing"),
    ],
)
def test_an_unsound_waiver_is_named_with_its_fault(fields: dict[str, object], said: str) -> None:
    assert not a_waiver().faults(TODAY), "the last of 90 days is still one"
    (fault,) = a_waiver(**fields).faults(TODAY)
    assert said in fault
    assert "root for DaemonSet isoserve-cache/*" in fault, "who reads it must find the row"


def test_a_row_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(ROW)
    assert read_waivers(path) == [a_waiver(expires=date(2027, 1, 1))]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    owner: platform\n", ""),
        ("rule:", "rules:"),
        ("2027-01-01", "soon"),
        ("owner: platform", "owner: [platform]"),
    ],
)
def test_a_row_of_another_form_is_refused(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(ROW.replace(before, after))
    with pytest.raises(ValueError, match=r"waivers\.yaml: "):
        read_waivers(path)


def test_a_finding_passes_by_its_waiver_only() -> None:
    verdict = settle("checkov", 1, [FOUND], [a_waiver()])
    assert (verdict.waived, verdict.unwaived) == (1, ())
    verdict.check()
    others = [{"judge": "kube-score"}, {"rule": "roots"}, {"resource": "DaemonSet other/*"}]
    for fields in others:
        refused = settle("checkov", 1, [FOUND], [a_waiver(**fields)])
        assert refused.unwaived == (FOUND,), f"{fields} is a waiver of something else"
        with pytest.raises(AssertionError, match="runs as root"):
            refused.check()


def test_a_waiver_that_nothing_needs_fails_its_own_judge() -> None:
    idle = a_waiver(rule="privileged")
    verdict = settle("checkov", 1, [FOUND], [a_waiver(), idle])
    assert verdict.unused == (idle,)
    with pytest.raises(AssertionError, match="privileged for DaemonSet"):
        verdict.check()
    assert not settle("kube-score", 1, [], [idle]).unused, "other judges have nothing to say to it"
