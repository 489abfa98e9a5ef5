"""Writes the pages that are made from tables in the code; `python -m stacks.schema` runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from model_specs.codes import CODES


def _codes() -> str:
    """What every error code means, for those who meet it where no command line is at hand."""
    rows = "".join(f"| {code} | {means} | {mend} |\n" for code, (means, mend) in CODES.items())
    return (
        "# Error codes\n\n"
        "Every error is one line, `file:line:col  path  CODE  what is wrong, got X; what to do`, "
        "and `isoserve explain CODE` says what stands here.\n\n"
        f"| code | what is wrong | what to do |\n| --- | --- | --- |\n{rows}"
    )


PAGES: Final[dict[str, Callable[[], str]]] = {"model_specs/codes.md": _codes}
"""Path of each page from the project's root, and what writes it."""


def page_texts() -> dict[str, str]:
    """The text of every page, by its path."""
    return {path: text() for path, text in PAGES.items()}
