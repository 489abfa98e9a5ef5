"""What another program answers is read as it is written down, and nothing more is believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from stacks.other_program import of_row, refused_of_row, to_row
from tests.policies.estate import good


@pytest.mark.parametrize("resource", good("sandbox-aws")[:40:7], ids=str)
def test_a_resource_comes_through_json_as_it_was(resource: Any) -> None:
    back = of_row(json.loads(json.dumps(to_row(resource))))
    assert to_row(back) == to_row(resource)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: row.update(kept=["spec.template"]),
        lambda row: row.update(values=[]),
        lambda row: row.update(name=None),
        lambda row: row.update(protected=1),
        lambda row: row.update(options="ignoreChanges"),
        lambda row: row.pop("provider"),
    ],
    ids=["what up keeps", "a list", "no name", "a number", "a text", "a field fewer"],
)
def test_a_row_that_says_more_or_something_else_is_not_read(
    spoil: Callable[[dict[str, Any]], object],
) -> None:
    row = to_row(good("sandbox-aws")[0])
    spoil(row)
    with pytest.raises(ValueError, match="another form"):
        of_row(row)


def test_a_refusal_is_text() -> None:
    row: dict[str, Any] = {"region": "a", "rule": "b", "resource": "c", "text": "d"}
    assert refused_of_row(row).text == "d"
    with pytest.raises(ValueError, match="another form"):
        refused_of_row({**row, "text": 7})
    with pytest.raises(TypeError):
        refused_of_row({**row, "level": "advisory"})
