"""A search for secrets reads a text once: a large file costs as much more as it is larger.

A search is as slow as the square where a token is read from many places of one run of letters, so
the places from which a form matches are counted: they do not grow with the run.
"""

from __future__ import annotations

import re
from typing import Final

import pytest

from model_specs.secrets import _KNOWN, mask
from policies.secret_literals import _FORMS

PAYLOAD: Final = ".eyJ" + "a" * 8 + ".b"
JWT: Final = next(form for what, _, form in _FORMS if "JWT" in what)
RUNS: Final = ("eyJaaaaaaaaa-", "eyJ", "-eyJaaaaaaaa", "a", "eyJaaaaaaaaa_")


@pytest.mark.parametrize("form", [JWT, _KNOWN], ids=["rule", "loader"])
@pytest.mark.parametrize("run", RUNS)
def test_a_token_is_read_from_where_its_word_begins_and_nowhere_else(
    form: re.Pattern[str], run: str
) -> None:
    for times in (10, 100, 1000):
        text = run * (times + 4) + PAYLOAD
        starts = [place for place in range(len(text)) if form.match(text, place)]
        assert starts == [0], f"{len(starts)} of {len(text)} places would each be read to the end"


@pytest.mark.parametrize("run", [*RUNS, ".eyJaaaaaaaa", "eyJaaaaaaaa."])
def test_the_loader_and_the_rule_find_the_same_in_a_text_of_any_size(run: str) -> None:
    for times in (20, 200, 20_000):
        for end in ("", PAYLOAD, " x" + PAYLOAD):
            text = run * times + end
            assert (JWT.search(text) is None) == (mask(text) == text), f"{run!r} x {times} {end!r}"


@pytest.mark.parametrize("before", ["", "Bearer ", "x=", '"', "a.", "token_", "https://a/?t="])
def test_a_signed_token_is_found_wherever_it_stands(before: str) -> None:
    token = ".".join(("eyJ" + "hbGciOiJI", "eyJ" + "zdWIiOiIx", "c2ln"))
    assert JWT.search(before + token)
    assert token not in mask(before + token)
