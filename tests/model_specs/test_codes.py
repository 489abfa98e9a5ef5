"""Every error code that the sources use is explained, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from model_specs.codes import CODES

ROOT = Path(__file__).resolve().parents[2]
PRINTED = r'"(E\d{3})"|\b(W\d{3})\b'
ROOMS = ("model_specs", "regions", "components", "stacks")


def used() -> set[str]:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return {
        code or warning
        for path in files
        if path.name != "codes.py"
        for code, warning in re.findall(
            r'"(E\d{3})"|\b(W\d{3})\b', path.read_text(encoding="utf-8")
        )
    }


def test_the_table_holds_exactly_the_codes_in_use() -> None:
    assert set(CODES) == used(), "`isoserve explain CODE` must answer for every code we print"


def test_every_code_says_what_is_wrong_and_how_to_mend_it() -> None:
    for code, (means, mend) in CODES.items():
        assert means.endswith("."), f"{code}: the meaning is a sentence"
        assert mend.endswith("."), f"{code}: the cure is a sentence"
