"""No change of a rendered thing goes by: a rule refuses it, or a table says why it does no harm."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

from tests.policies.mutants import mutants, refusing

_OPEN: Final = Path(__file__).with_name("open_mutants.txt")
"""Changes that no rule refuses yet. A row may go and none may be added."""


@cache
def _survivors() -> Counter[str]:
    return Counter(one.kind_of_change for one in mutants() if not refusing(one))


def _open() -> set[str]:
    return set(_OPEN.read_text().splitlines())


def test_every_change_is_refused_or_known() -> None:
    unknown = sorted(set(_survivors()) - _open())
    assert not unknown, "no rule refuses these changes; write one rather than list them"


def test_what_is_refused_is_no_longer_listed() -> None:
    refused = sorted(_open() - set(_survivors()))
    assert not refused, "rules refuse these by now: take them out of the list"
