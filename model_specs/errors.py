"""What can be wrong with a file a person wrote, in the one form in which every command says it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


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
        return (
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


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint for a name that is not known: the nearest known one, else all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"use one of {', '.join(names)}"


def dotted(path: Sequence[str | int]) -> str:
    """`("scaling", "schedules", 0, "start")` as `scaling.schedules[0].start`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
