"""The comment holds other people's words and harms no reader, and GitHub takes it at any size."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacks.compare import ABSENT
from stacks.reviewing.markdown import (
    FLAGS,
    FOLDED,
    LIMIT,
    OPEN,
    Section,
    code,
    fitted,
    listed,
    named,
    table,
    value,
)

NASTY = [
    "@everyone", "<script>alert(1)</script>", "a|b", "`x`", "``", "`", "[a](javascript:b)",
    "</details>", "<!-- x", "#1", "a\nb", "\u202eabc", "\x1b[31m", "", " ", "`` @me ``", "$x$",
]  # fmt: skip


def spoken(span: str) -> str:
    """What CommonMark reads in a code span."""
    match = re.fullmatch(r"(`+)(.*?)(?<!`)\1(?!`)", span, re.DOTALL)
    assert match, f"{span!r} is not one code span"
    inside = match[2]
    padded = inside[:1] == inside[-1:] == " " and inside.strip(" ")
    return inside[1:-1] if padded else inside


@pytest.mark.parametrize("text", NASTY)
def test_nothing_leaves_its_code_span(text: str) -> None:
    said = spoken(code(text))
    assert "\n" not in said, "a line break would end the table's row"
    assert said.strip() == text.encode("unicode_escape").decode().strip() or said.strip() == (
        text.strip()
    ), "what is shown is what was written"


@given(st.text(max_size=60))
def test_any_text_is_one_code_span_of_one_line(text: str) -> None:
    span = code(text)
    assert spoken(span) is not None
    assert span.isprintable(), "no control character and no change of direction"


def test_secrets_are_cut_before_long_values_are() -> None:
    token = "ghp_" + "a1B2" * 20
    assert "a1B2a1B2" not in code(token), "masked"
    assert "a1B2a1B2" not in value(["x" * 80, token]), "a half token is a token too"


def test_a_bar_does_not_split_a_cell() -> None:
    text = table("t", OPEN, ("A", "B"), [(code("a|b"), code("c"))]).text()
    row = text.splitlines()[-1]
    assert len(re.split(r"(?<!\\)\|", row)) == 4, "two cells stay two"


@pytest.mark.parametrize(("thing", "said"), [(None, "nothing"), (ABSENT, "nothing"), (0, "`0`")])
def test_nothing_is_called_nothing(thing: object, said: str) -> None:
    assert value(thing) == said, "0 is a value and null is none"


def test_regions_that_agree_are_all_or_a_few() -> None:
    whole = [f"r{n:02}" for n in range(12)]
    assert named(whole, whole) == "all 12 regions"
    assert named(whole[:1], whole[:1]) == "`r00`", "the only region has a name"
    assert named(whole[:10], whole).endswith("and 2 more"), "forty names say nothing"


def sections(flags: int, rows: int, folded: int, width: int) -> list[Section]:
    return [
        table("Flags", FLAGS, ("A",), ((f"flag {n} {'x' * width}",) for n in range(flags))),
        listed("Models", OPEN, (f"- model {n} {'x' * width}" for n in range(rows))),
        table("Few", FOLDED, ("A",), ((f"few {n}",) for n in range(20))),
        table("Operations", FOLDED, ("A",), ((f"op {n} {'é' * width}",) for n in range(folded))),
    ]


@settings(deadline=None)
@given(
    st.integers(0, 900), st.integers(0, 1500), st.integers(0, 3000), st.integers(0, 200)
)  # fmt: skip
def test_no_comment_is_longer_than_github_takes(
    flags: int, rows: int, folded: int, width: int
) -> None:
    found = sections(flags, rows, folded, width)
    text = fitted("**PASS**: top", found, "foot")
    assert len(text.encode()) <= LIMIT, "GitHub refuses it whole"
    assert text.startswith("**PASS**: top"), "the verdict always stands"
    assert text.endswith("foot"), "and what the numbers mean"
    for section in found:
        starts = section.rows[0][:4] if section.rows else "\n"
        told = sum(line.startswith(starts) for line in text.splitlines())
        missing = len(section.rows) - told
        if missing:
            assert f"... and {missing} more rows" in text, "what is left out is counted"


def test_the_longest_folded_part_is_shortened_first() -> None:
    text = fitted("top", sections(20, 20, 3000, 100), "foot")
    assert all(f"flag {n} " in text for n in range(20)), "flags are whole"
    assert all(f"- model {n} " in text for n in range(20)), "models are whole"
    assert all(f"few {n} " in text for n in range(20)), "the short folded part is whole"
    assert ("op 0 " in text, "op 2999 " in text) == (True, False), "the long one is cut"


def test_flags_are_shortened_last() -> None:
    text = fitted("top", sections(100, 2000, 3000, 100), "foot")
    assert all(f"flag {n} " in text for n in range(100)), "what decides stands before what explains"
    assert ("op 0 " in text, "few 0 " in text) == (False, False), "folded parts go first"


def test_equal_input_gives_equal_text() -> None:
    once, again = (fitted("t", sections(50, 900, 3000, 50), "f") for _ in range(2))
    assert once == again, "a sticky comment must not flicker"
