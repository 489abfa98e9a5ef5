"""Attacks by kind on what people write: each is refused in its own file, by the code of its row."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.policies.cases import setting
from tests.stacks.attack_files import FILES, WAIVERS
from tests.stacks.conftest import Isoserve

GOOD: Final = {
    "waivers": [
        {
            "rule": "image-digest",
            "resource": "Deployment search/sentiment",
            "owner": "search-leads",
            "reason": "until the next release is out",
            "expires": date(2026, 12, 31),
        }
    ]
}
"""An exception, since the examples have none."""


def _changed(root: Path, file: str, path: str, value: Any) -> str:
    """Write the change; what the file was before."""
    if not path:  # a file of its own
        (root / file).parent.mkdir()
        (root / file).write_text(yaml.safe_dump(value))
        return ""
    before = (root / file).read_text()
    values = GOOD if file == WAIVERS else yaml.safe_load(before)
    values = yaml.safe_load(yaml.safe_dump(values))  # none that another row sees
    setting(path, value)(values)
    (root / file).write_text(yaml.safe_dump(values, allow_unicode=True))
    return before


def test_the_exception_that_rows_change_is_a_good_one(here: Path, isoserve: Isoserve) -> None:
    _changed(here, WAIVERS, "waivers 0 owner", "search-leads")
    assert isoserve("policy").code == 0


@pytest.mark.parametrize("kind", FILES)
def test_every_attack_of_a_kind_is_refused(here: Path, isoserve: Isoserve, kind: str) -> None:
    for file, path, value, code in FILES[kind]:
        before = _changed(here, file, path, value)
        answer = isoserve("policy" if file == WAIVERS else "check")
        said = [line for line in (answer.out + answer.err).splitlines() if line.startswith(file)]
        assert any(f"  {code}  " in line for line in said), (
            f"{file} {path} = {value!r:.200}: {said}"
        )
        assert answer.code in (1, 2)
        (here / file).write_text(before)
        if not path:
            shutil.rmtree((here / file).parent)
