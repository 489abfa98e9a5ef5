"""The emitter writes what any YAML 1.1 reader reads back as the same values."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stacks.emit import document

WORDS = """
on off yes No y N true FALSE null ~ = << 1_000 0x1f 0b1 0o17 022 12:30:45 1:20 2026-11-22 1e3 .inf
-.inf .nan 1. .5 +1 - -- --- ... ? : :a a: a:b # a#b #a ! !x & &a * *a % @ ` | > { } [ ] {} [] ' "
http://x:80/y?z=1 s3://b/k @x %x a,b /x -x _x x=y 1,000 2026-11-22T10:00:00Z é 한국어 😀
"""
TRICKY = [*WORDS.split(), "", " ", "a b", "a  b", "a: b", "a #b", " a", "a ", "- a", '"a"', "\\n"]
TRICKY += [
    "\n",
    "\n\n",
    "a\n",
    "a\nb",
    "a\n\nb\n",
    "a\n\n",
    "\na",
    " a\nb",
    "a\n b",
    "a\n ",
    "a\n \n",
]
TRICKY += ["a\r\nb", "\t", "a\tb", "a\n\tb", "\x00", "\x07\x1b\x7f", "\x80\x85\x9f", "\u2028\u2029"]
TRICKY += ["\ufeff", "\ufffe", "😀\x01", "x" * 5000, "a\n" * 50, "|-\na"]

text = st.one_of(
    st.sampled_from(TRICKY), st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
)
scalars = st.one_of(text, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=20,
)


def read(written: str) -> Any:
    return yaml.load(written, Loader=yaml.CSafeLoader)


@given(st.dictionaries(text, values, max_size=5))
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back_equal(value: dict[str, Any]) -> None:
    assert read(document(value)) == value, "a reader would apply something else than was planned"


@pytest.mark.parametrize("word", TRICKY)
def test_each_tricky_word_survives_as_key_value_and_item(word: str) -> None:
    value = {word: word, "list": [word, [word], {word: [word]}]}
    assert read(document(value)) == value, f"{word!r} would be misread"


def test_types_do_not_change_on_the_way() -> None:
    value: dict[str, Any] = {"b": True, "i": 1, "f": 1.0, "g": 1e16, "n": None, "s": "1"}
    value |= {"e": [], "d": {}, "h": 1e-7}
    back = read(document(value))
    assert {k: type(v) for k, v in back.items()} == {k: type(v) for k, v in value.items()}, (
        "an integer read as a string is refused by the API server"
    )


def test_equal_values_give_equal_text_whatever_their_order() -> None:
    assert document({"b": 1, "a": {"d": 2, "c": 3}}) == document({"a": {"c": 3, "d": 2}, "b": 1}), (
        "an unstable order makes every file differ in every commit"
    )


def test_a_document_looks_as_people_write_it() -> None:
    value = {"spec": {"on": "on", "args": ["--x", "1"], "containers": [{"name": "a", "env": []}]}}
    expected = """\
spec:
  args:
  - "--x"
  - "1"
  containers:
  - env: []
    name: a
  "on": "on"
"""
    assert document(value) == expected, "reviewers read these files"
