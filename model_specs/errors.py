"""What can be wrong with a file a person wrote, in the one form in which every command says it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from model_specs.secrets import mask

_MOST_SHOWN: Final = 60
_MOST_NAMES: Final = 30
_PLAIN: Final = re.compile("[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SpecError:
    """One thing wrong in one place. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    path: str
    code: str
    message: str

    def __str__(self) -> str:
        return _one_line(
            f"{self.file}:{self.line}:{self.column}  {self.path or '(file)'}  {self.code}  "
            f"{self.message}"
        )


class SpecErrors(Exception):
    """All errors of one run, sorted by place, so that a person mends them in one go."""

    def __init__(self, errors: Iterable[SpecError]) -> None:
        self.errors: tuple[SpecError, ...] = tuple(sorted(set(errors)))
        super().__init__(self.errors)  # its own argument, so that a process can hand it to another

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


def refuse(code: str, why: str) -> PydanticCustomError:
    """The error a validator raises: `why` says what is wrong, what was got and what to do."""
    return PydanticCustomError(code, "{why}", {"why": why})


def refuse_all(findings: Iterable[tuple[tuple[str | int, ...], str, str]]) -> None:
    """Raise all of a validator's findings (place inside its value, code, why) at once, if any."""
    rows = [
        InitErrorDetails(type=refuse(code, why), loc=where, input=None)
        for where, code, why in findings
    ]
    if rows:
        raise ValidationError.from_exception_data("findings", rows)


def repeated(values: Iterable[Any]) -> Iterator[int]:
    """Where a value stands that has stood before."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if repr(value) in seen:
            yield index
        seen.add(repr(value))


def _one_line(text: str) -> str:
    """`text` without what a terminal obeys: line breaks, escapes, changes of direction."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(value: Any) -> str:
    """A value as messages repeat it: short, without secrets, and unmistakable letter by letter."""
    if isinstance(value, str):
        text = ascii(mask(value))
    else:
        text = "nothing" if value is None else mask(json.dumps(value, default=str))
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def nearest(word: str, known: Iterable[str], unlike: str = "") -> str:
    """The hint for a name that is not known: the nearest known one, else `unlike`, or all."""
    names = sorted(known)
    close = difflib.get_close_matches(word[:_MOST_SHOWN], names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    if unlike:
        return unlike
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return f"use one of {', '.join(names[:_MOST_NAMES])}{more}"


def _letters(key: str) -> str:
    """A key as paths repeat it: quoted where it could be taken for another, or for none."""
    text = mask(key)[:_MOST_SHOWN]
    return text if _PLAIN.fullmatch(text) else ascii(text)


def dotted(path: Sequence[str | int]) -> str:
    """`("scaling", "schedules", 0, "start")` as `scaling.schedules[0].start`."""
    text = ""
    for part in path:
        name = part if isinstance(part, int) else _letters(part)
        text += f"[{name}]" if isinstance(part, int) else f".{name}" if text else str(name)
    return text
