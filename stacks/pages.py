"""Writes the pages that are made from tables in the code; `python -m stacks.schema` runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from model_specs.codes import CODES
from policies.catalogue import ELSEWHERE, RULES
from policies.rule import Rule


def _codes() -> str:
    """What every error code means, for those who meet it where no command line is at hand."""
    rows = "".join(f"| {code} | {means} | {mend} |\n" for code, (means, mend) in CODES.items())
    return (
        "# Error codes\n\n"
        "Every error is one line, `file:line:col  path  CODE  what is wrong, got X; what to do`, "
        "and `isoserve explain CODE` says what stands here.\n\n"
        f"| code | what is wrong | what to do |\n| --- | --- | --- |\n{rows}"
    )


def _rows() -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {row: [] for row in ELSEWHERE}
    for rule in RULES:
        found.setdefault(rule.row, []).append(rule)
    return dict(sorted(found.items()))


def _rules() -> str:
    """What every rule demands, for those whom one has refused."""
    lines = ""
    for row, rules in _rows().items():
        for rule in rules:
            kinds = ", ".join(sorted(kind.rsplit(":", 1)[-1] for kind in rule.kinds))
            about = kinds or "the region"
            lines += f"| {row} | `{rule.name}` | {rule.level} | {about} | {rule.text} |\n"
        if not rules:
            lines += f"| {row} | | | | {ELSEWHERE[row]} |\n"
    return (
        "# Rules\n\n"
        "What `isoserve policy` and the pack (`pulumi preview|up --policy-pack policies`) hold "
        "everything against that a region would have. Both fail closed: a rule that cannot run is "
        "a finding. An exception is a row of `policies/waivers.yaml` with the rule's name, the "
        "resource, an owner, a reason and a last day at most 90 days away.\n\n"
        "| row | rule | level | judges | what must hold |\n| --- | --- | --- | --- | --- |\n"
        f"{lines}"
    )


PAGES: Final[dict[str, Callable[[], str]]] = {
    "model_specs/codes.md": _codes,
    "policies/rules.md": _rules,
}
"""Path of each page from the project's root, and what writes it."""


def page_texts() -> dict[str, str]:
    """The text of every page, by its path."""
    return {path: text() for path, text in PAGES.items()}
