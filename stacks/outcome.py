"""What a command answers, in the two forms in which it is printed, and what may end it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model_specs.errors import SpecError, SpecErrors

OK, FINDINGS, USAGE = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A command's answer: `data` for `--json`, `text` in pieces for people, and the exit code."""

    data: Any
    text: Iterable[str]
    code: int


class InputErrors(SpecErrors):
    """What keeps a command from starting, such as a directory that is not there."""


def refusal(file: str, code: str, message: str) -> InputErrors:
    """An input error that is about `file` as a whole."""
    return InputErrors(
        [SpecError(file=file, line=1, column=1, path="", code=code, message=message)]
    )


def error_rows(errors: Iterable[SpecError]) -> list[dict[str, Any]]:
    """Errors as JSON."""
    return [asdict(error) for error in errors]


def count(number: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def error_lines(errors: Sequence[SpecError]) -> Iterable[str]:
    """Errors one a line, and their number."""
    yield from (f"{error}\n" for error in errors)
    yield f"{count(len(errors), 'error')}\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip() + "\n"
