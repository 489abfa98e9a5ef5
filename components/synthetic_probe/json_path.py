"""Decides what a `json_path` means: names by dots and list places in brackets, and no more."""

from __future__ import annotations

import re
from typing import Any, Final

_NAME, _PLACE = r"[^.\[\]]+", r"\[[0-9]+\]"
_PATH: Final = re.compile(rf"(?:{_NAME}|{_PLACE})(?:\.{_NAME}|{_PLACE})*")
_STEP: Final = re.compile(r"\[([0-9]+)\]|([^.\[\]]+)")


def steps(path: str) -> list[str | int]:
    """The steps of e.g. `outputs[0].data`; ValueError where `path` is none."""
    if not _PATH.fullmatch(path):
        raise ValueError("a path is names and places, like outputs[0].data")
    return [int(place) if place else name for place, name in _STEP.findall(path)]


def value(document: Any, path: str) -> Any:
    """What `document` has at `path`, which may be null. Raises LookupError when it has nothing."""
    found = document
    for step in steps(path):
        fits = isinstance(found, list) if isinstance(step, int) else isinstance(found, dict)
        if not fits:
            raise LookupError(path)
        found = found[step]
    return found
