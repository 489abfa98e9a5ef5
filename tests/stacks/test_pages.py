"""The committed pages are those of the code."""

from __future__ import annotations

import re

import pytest

from model_specs.codes import CODES
from policies.catalogue import ELSEWHERE, RULES
from policies.rule import Rule
from stacks.pages import page_texts
from tests.stacks.conftest import ROOT, Isoserve


@pytest.mark.parametrize("path", sorted(page_texts()))
def test_committed_pages_are_up_to_date(path: str) -> None:
    committed = (ROOT / path).read_text(encoding="utf-8")
    assert committed == page_texts()[path], f"{path} is old; run `python -m stacks.schema`"


@pytest.mark.parametrize("path", sorted(page_texts()))
def test_a_page_shows_all_that_it_says(path: str) -> None:
    bare = re.sub(r"`[^`]*`", "", page_texts()[path])
    assert "<" not in bare, "what looks like a tag outside of code is not shown"
    widths = {line.count("|") for line in page_texts()[path].splitlines() if line.startswith("|")}
    assert len(widths) == 1, "a bar in a sentence would be a column of its own"


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(isoserve: Isoserve, code: str) -> None:
    means, mend = CODES[code]
    answer = isoserve("explain", code.lower())
    assert answer.code == 0, "capital or not"
    assert means in answer.out, "what is wrong"
    assert mend in answer.out, "and what to do"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_is_explained_by_name_and_by_row(isoserve: Isoserve, rule: Rule) -> None:
    assert isoserve("explain", rule.name, "--json").data == {"rules": {rule.name: rule.text}}
    assert rule.name in isoserve("explain", rule.row).out


@pytest.mark.parametrize("row", ELSEWHERE)
def test_a_row_that_no_rule_judges_says_who_does(isoserve: Isoserve, row: str) -> None:
    assert isoserve("explain", row).out.startswith(row)
