"""Paths into a JSON answer: names by dots and list places in brackets, and no more.

The prober has the same grammar for itself, since its image holds nothing of ours; a test compares.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from model_specs.errors import refuse, shown

_NAME, _PLACE = r"[^.\[\]]+", r"\[[0-9]+\]"
_PATH: Final = rf"^(({_NAME}|{_PLACE})(\.{_NAME}|{_PLACE})*)?$"


def _check_path(path: str) -> str:
    if not re.fullmatch(_PATH[1:-1], path):
        why = f"no path of names and places, got {shown(path)}"
        raise refuse("E301", f"{why}; write e.g. outputs[0].data")
    return path


JsonPath = Annotated[
    str,
    Field(max_length=256, json_schema_extra={"pattern": _PATH}),
    AfterValidator(_check_path),
]
"""A path, or nothing."""
