"""Judges the words of an answer: is it JSON, has it the path, does it match."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

import regex

from components.synthetic_probe.json_path import value
from components.synthetic_probe.verdict import Reason, WrongError

# Of the whole process, which is how regex counts: two seconds of a pod that has 100m of a CPU.
_MATCH_CPU_SECONDS: Final = 0.2


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def parse_json(text: str) -> Any:
    """The JSON in `text`; WrongError where it is none, also for NaN, which most clients refuse."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise WrongError(Reason.JSON, f"no JSON from character {error.pos} on") from None
    except (ValueError, RecursionError):
        raise WrongError(Reason.JSON, "holds NaN, a huge number or too deep a nest") from None


def has_path(document: Any, path: str) -> bool:
    """Whether `document` has something at `path`; every document has the empty path."""
    try:
        if path:
            value(document, path)
        return True
    except LookupError:
        return False
    except ValueError as error:
        raise WrongError(Reason.CONFIG, f"json_path: {error}") from None


def check_length(document: Any, path: str, length: int) -> None:
    """`document` has a list of so many items at `path`, where it has something."""
    found = value(document, path)
    if not isinstance(found, list):
        raise WrongError(Reason.LENGTH, f"{path} is no list")
    if len(found) != length:
        raise WrongError(Reason.LENGTH, f"{path} has {len(found)} items, not {length}")


def check_pattern(text: str, pattern: str) -> None:
    """`pattern` is found in `text`.

    A pattern can take for ever, and `re` would stop the whole program meanwhile.
    """
    try:
        found = regex.search(pattern, text, timeout=_MATCH_CPU_SECONDS, concurrent=True)
    except regex.error:
        raise WrongError(Reason.CONFIG, "matches: no regular expression") from None
    except TimeoutError:
        detail = f"matching takes more than {_MATCH_CPU_SECONDS} s of CPU"
        raise WrongError(Reason.REGEX, detail) from None
    if not found:
        raise WrongError(Reason.REGEX, "the answer does not match")
