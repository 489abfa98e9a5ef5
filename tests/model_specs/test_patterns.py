"""What the check takes for a regular expression, the prober reads in the same way.

The check compiles by `re`; the prober runs by `regex`, which can be stopped and knows more.
"""

from __future__ import annotations

import random
import re
import warnings
from typing import Final

import pytest
import regex
from pydantic import TypeAdapter, ValidationError

from model_specs.field_types import Pattern

PATTERN: Final[TypeAdapter[str]] = TypeAdapter(Pattern)
TAKEN: Final = (
    r"ready",
    r"(?i)^\s*(ready|ok)\b.{1,3}[a-z&&]$",
    r"^\{\"ready\": true\}$",
    r"a{2}b{2,}c{,2}d{1,3}?",
    r"[a-z&&[^x]",
    r"\{e\}",
    r"\[:alpha:]",
    r"(?x) ready  # the {word",
    r"(?P<word>a)(?P=word)|(?:b)++(?>c)",
    r"(?<=a)b(?!c)\N{LATIN SMALL LETTER E}",
)
REFUSED: Final = {
    r"(ready){e}": "{e",
    r"(ready){e<=3}": "{e<",
    r"(?:ready){i,d}": "{i",
    r"ready{1<=e<=2}": "{1<",
    r"ready{ s <= 2 }": "{ s <",
    r"ready{2i+2d+1s<=4}": "{2i",
    "(?x)# [\n(ready){e}": "{e",
    "(?x)# \\N{\n(ready){e}": "{e",
    "(?x)# \\\n(ready){e}": "{e",
    r"[[:alpha:]]": "[:alpha:]",
    r"[[:^digit:]x]": "[:^digit:]",
    r"[[:Script=Latin:]]": "[:Script=Latin:]",
    r"[[::]": "[::]",
    r"\p{L}+": "bad escape",
    r"(?e)ready": "no regular expression",
    r"(?V1)ready": "no regular expression",
    r"(?R)": "no regular expression",
    r"(": "no regular expression",
}
PIECES: Final = (
    "a", "b", "e", "{", "}", "{e}", "{1}", "{,2}", "{e<=1}", "{i}", "<=1", "[", "]", "[^",
    "[:", ":]", "alpha", "(", ")", "(?:", "(?i:", "(?x:", "|", "*", "+", "?", ".", "^", "$", "\\",
    "\\b", "\\w", "\\d", "-", "&&", "--", "||", "~~", " ", "\n", "#", ",", "1", "0", "\\N{", "(?=",
    "(?!", "(?<=",
)  # fmt: skip
TEXTS: Final = ("", "a", "b", "ab", "ba", "aab", "e", "{e}", "a{e}", "1", "a b", ":", "[", "alpha")
TRIES: Final = 40_000


def is_taken(pattern: str) -> bool:
    try:
        PATTERN.validate_python(pattern)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("pattern", TAKEN)
def test_what_both_read_alike_is_taken(pattern: str) -> None:
    assert PATTERN.validate_python(pattern) == pattern


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_the_prober_reads_otherwise_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PATTERN.validate_python(pattern)
    (error,) = refused.value.errors()
    assert error["type"] == "E306"
    assert REFUSED[pattern] in error["msg"], "the part that is read otherwise, or why it is none"


def test_check_and_prober_agree_on_whatever_is_taken() -> None:
    """Patterns put together by chance, the same in every run."""
    chance = random.Random(12)
    taken = 0
    for _ in range(TRIES):
        pattern = "".join(chance.choices(PIECES, k=chance.randint(1, 7)))
        if not is_taken(pattern):
            continue
        taken += 1
        with warnings.catch_warnings(action="ignore"):  # about what a later Python may read anew
            ours, theirs = re.compile(pattern), regex.compile(pattern)
        for text in TEXTS:
            ends = ours.search(text), theirs.search(text)
            assert bool(ends[0]) == bool(ends[1]), f"{pattern!r} in {text!r}"
    assert taken > TRIES // 50, "enough of them were patterns at all"
