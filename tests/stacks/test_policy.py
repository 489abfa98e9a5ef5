"""`isoserve policy` judges every region offline and says which line to change."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from policies.catalogue import RULES
from policies.resources import Resource
from policies.rule import Fault, each
from stacks import policy
from tests.stacks.conftest import Isoserve


@each("P02", "never-good", "Namespace")
def never_good(resource: Resource, facts: object) -> list[Fault]:
    """Nobody may have a namespace."""
    return [Fault(resource, "is there", "remove the project", "gpu_quota")]


def waive(tree: Path, rule: str, resource: str, expires: date) -> None:
    why = f"owner: ops, reason: only in a test, expires: {expires}"
    row = f"{{rule: {rule}, resource: {resource}, {why}}}"
    (tree / "policies" / "waivers.yaml").write_text(f"waivers:\n  - {row}\n")


def test_the_examples_pass_in_every_region(isoserve: Isoserve, here: Path) -> None:
    answer = isoserve("policy")
    assert answer.code == 0, answer.out
    assert answer.out.endswith("in 3 regions, 0 findings\n")


def test_json_says_the_same(isoserve: Isoserve, here: Path) -> None:
    data = isoserve("policy", "--json").data
    assert data["rules"] == len(RULES)
    assert data["resources"] > 300, "everything of three regions"
    assert (data["findings"], data["waived"], data["waivers"]) == ([], [], [])


def test_a_finding_is_told_once_for_the_regions_that_share_it(
    isoserve: Isoserve, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "RULES", (never_good,))
    answer = isoserve("policy")
    assert answer.code == 1, "something mandatory blocks"
    (line,) = [row for row in answer.out.splitlines() if "Namespace search" in row]
    assert line.startswith("model_specs/search/project.yaml:6:1  gpu_quota  P02  never-good: ")
    assert line.endswith("(eu-central-1, us-east-1)"), "the third region gives no namespaces"


def test_one_region_can_be_asked_for(isoserve: Isoserve, here: Path) -> None:
    assert isoserve("policy", "--region", "us-east-1", "--json").data["regions"] == ["us-east-1"]


def test_an_exception_is_shown_with_its_owner_and_end(
    isoserve: Isoserve, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "RULES", (never_good,))
    until = date.today() + timedelta(days=10)
    waive(here, "never-good", "Namespace search", until)
    answer = isoserve("policy")
    assert f"never-good Namespace search, until {until} by ops: only in a test" in answer.out
    assert "Namespace chat is there" in answer.out, "another resource is not covered"


def test_an_unused_exception_is_told_of_the_whole_tree_and_fails_nothing(
    isoserve: Isoserve, here: Path
) -> None:
    waive(here, "image-digest", "Deployment search/embedder", date.today() + timedelta(days=9))
    answer = isoserve("policy")
    assert answer.code == 0, "it has to be merged before the change that needs it"
    assert "policies/waivers.yaml:2:26  waivers[0].resource  P36  nothing needs it" in answer.out
    one = isoserve("policy", "--region", "us-east-1")
    assert "nothing needs it" not in one.out, "another region may need it"


def test_an_expired_exception_fails(isoserve: Isoserve, here: Path) -> None:
    waive(here, "image-digest", "Deployment search/embedder", date(2026, 1, 1))
    answer = isoserve("policy", "--region", "us-east-1")
    assert answer.code == 1
    assert "expired on 2026-01-01" in answer.out


def test_specs_that_are_refused_are_told_before_any_rule(isoserve: Isoserve, here: Path) -> None:
    (here / "model_specs/search/embedder.yaml").write_text("machine_type: gpu.l4.1\n")
    answer = isoserve("policy")
    assert answer.code == 1
    assert "E203" in answer.err
