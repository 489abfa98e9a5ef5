from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.synthetic_probe.event_stream import EventStream
from components.synthetic_probe.json_path import steps
from components.synthetic_probe.judge import has_path
from components.synthetic_probe.verdict import Pace, Reason, WrongError
from model_specs.probe import Expectation

MALFORMED = ["", ".", "a.", ".a", "a..b", "a[", "a[]", "a[-1]", "a[x]", "a[0]b"]
DONE = b"data: [DONE]\n\n"


def event(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def token(text: str) -> bytes:
    return event({"choices": [{"text": text}]})


def read(*pieces: tuple[float, bytes]) -> EventStream:
    stream = EventStream("")
    for seconds, piece in pieces:
        stream.feed(piece, seconds)
    return stream


# -- paths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "path", "found"),
    [
        ({"outputs": [{"data": []}]}, "outputs[0].data", True),
        ({"outputs": [{"data": []}]}, "outputs[0].data[0]", False),
        ({"outputs": [{"data": []}]}, "outputs[1]", False),
        ({"a": None}, "a", True),
        ({"a": None}, "a.b", False),
        ({"a": {"0": 1}}, "a[0]", False),
        ({"a": [1]}, "a.0", False),
        ([[1, 2]], "[0][1]", True),
        ({"größe": 1}, "größe", True),
        ("text", "text", False),
    ],
)
def test_path_finds_what_is_there_and_nothing_else(document: Any, path: str, found: bool) -> None:
    assert has_path(document, path) is found, path


@pytest.mark.parametrize("path", MALFORMED)
def test_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="a path is names and places"):
        steps(path)


def is_path(path: str) -> bool:
    """Whether the prober can follow it."""
    with suppress(ValueError):
        return bool(steps(path))
    return False


def is_taken(path: str) -> bool:
    """Whether a spec may have it."""
    with suppress(ValidationError):
        return bool(Expectation(json_path=path).json_path)
    return False


@pytest.mark.parametrize(
    "path", [*MALFORMED, "a", "[0]", "a[0].b", "a[0][1]", "größe.x y", "a.b\n"]
)
def test_spec_takes_the_paths_that_the_prober_follows_and_no_others(path: str) -> None:
    assert is_path(path) == is_taken(path), "else a typing error is found by a page at night"


@given(st.text(alphabet="a0.[]-\n", max_size=12))
def test_any_path_is_one_for_both_or_for_neither(path: str) -> None:
    assert is_path(path) == is_taken(path), path


@given(st.text(max_size=50))
def test_any_text_is_a_path_or_refused_as_one(path: str) -> None:
    with suppress(ValueError):  # no other error reaches the probe
        assert steps(path), "a path has a step"


# -- streams of events -----------------------------------------------------------------------


def test_first_token_is_the_first_that_says_something() -> None:
    role = event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
    words = [event({"choices": [{"delta": {"content": word}}]}) for word in ("Par", "is")]
    pace = read((0.1, role), (0.5, words[0]), (1.0, words[1] + DONE)).end()
    assert pace == Pace(first_token_seconds=0.5, tokens_per_second=2.0), "one token in 0.5 s more"


def test_thinking_is_speaking() -> None:
    for key in ("reasoning", "reasoning_content"):
        thought = event({"choices": [{"delta": {"content": None, key: "hm"}}]})
        assert read((0.2, thought + DONE)).end().first_token_seconds == 0.2, key


def test_count_of_the_server_goes_before_the_count_of_events() -> None:
    usage = event({"choices": [], "usage": {"completion_tokens": 21}})
    pace = read((1.0, token("ten ")), (2.0, token("more")), (2.1, usage + DONE)).end()
    assert pace.tokens_per_second == 20.0, "an event may hold several tokens"


@pytest.mark.parametrize("pieces", [[token("a")], [token("a") + token("b")]])
def test_tokens_at_one_moment_have_no_rate(pieces: list[bytes]) -> None:
    pace = read(*((1.0, piece) for piece in pieces), (1.0, DONE)).end()
    assert pace.tokens_per_second is None, "infinity is no measurement"


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_events_are_read_however_the_network_cuts_them(newline: bytes) -> None:
    lines = (
        b': keep-alive\nevent: message\nid: 7\ndata: {"choices":\ndata:[{"text": "\xc3\xa9"}]}\n\n'
    )
    stream = EventStream("")
    for byte in (lines + DONE).replace(b"\n", newline):
        stream.feed(bytes([byte]), 1.0)
    assert stream.end().first_token_seconds == 1.0
    assert stream.text == "é", "a comment is no event, and data of two lines is one"


def test_events_of_another_protocol_are_tokens_each() -> None:
    pieces = [event({"text_output": word}) for word in ("a", "b", "c")]
    pace = read((1.0, pieces[0]), (1.5, pieces[1]), (2.0, pieces[2])).end()
    assert pace == Pace(first_token_seconds=1.0, tokens_per_second=2.0), "Triton's end has no word"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.STREAM),
        (DONE, Reason.STREAM),
        (token(""), Reason.STREAM),
        (token("a"), Reason.STREAM),
        (token("a") + event({"error": {"message": "CUDA out of memory"}}), Reason.STREAM),
        (event({"choices": "none"}), Reason.STREAM),
        (event({"choices": [{"delta": None}]}), Reason.STREAM),
        (event({"choices": 1}), Reason.STREAM),
        (token("a") + event({"choices": [], "usage": {"completion_tokens": "x"}}), Reason.STREAM),
        (b"data: half\n\n", Reason.JSON),
    ],
    ids=[
        "nothing", "only-done", "empty-token", "no-end", "error", "choices-of-text", "no-delta",
        "choices-of-number", "count-of-text", "no-json",
    ],
)  # fmt: skip
def test_stream_that_says_nothing_or_stops_half_way_is_wrong(body: bytes, reason: Reason) -> None:
    with pytest.raises(WrongError) as caught:
        read((1.0, body)).end()
    assert caught.value.reason == reason, caught.value.detail


@given(st.lists(st.binary(max_size=40), max_size=8), st.recursive(st.none() | st.text(), st.lists))
def test_any_stream_is_read_or_refused(pieces: list[bytes], value: Any) -> None:
    stream = EventStream("")
    with suppress(WrongError):  # no other error reaches the probe
        for piece in (*pieces, b"\n\n", event({"choices": value}), event({"choices": [value]})):
            stream.feed(piece, 1.0)
        assert stream.end().first_token_seconds == 1.0
