"""The comments of two rich changes are what was last read by a person."""

from __future__ import annotations

from functools import cache

import pytest

from tests.golden.reviews import reviews
from tests.golden.texts import HERE

NAMES = ("review/approval.md", "review/blocked.md")
CURE = "read it as a reviewer would, and if it is better run `make golden` and commit it"


@cache
def wanted() -> dict[str, str]:
    return reviews()


@pytest.mark.parametrize("name", NAMES)
def test_a_comment_is_what_was_read(name: str) -> None:
    kept = (HERE / name).read_text(encoding="utf-8")
    assert kept == wanted()[name], f"tests/golden/{name} differs; {CURE}"


def test_every_golden_comment_is_kept() -> None:
    found = {path.relative_to(HERE).as_posix() for path in HERE.glob("review/*")}
    assert found == set(wanted()) == set(NAMES), "a stale golden comment shows what is not said"


def test_the_golden_comments_show_every_part() -> None:
    text = "\n".join(wanted().values())
    for part in ("Risk flags", "Regions", "Cost", "Models", "Region profiles", "Previews",
                 "Policy findings", "Policy waivers", "Headroom", "All operations"):  # fmt: skip
        assert part in text, "a reader of these two files has seen the whole form"
