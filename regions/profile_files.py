"""What is wrong with a region's file before its fields are read: its name, place and characters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from model_specs.errors import SpecError, shown
from model_specs.load import unread
from model_specs.source import Source, Where, looks_like_yaml

_REGION: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_MAX_REGION: Final = 20  # an IAM role is named isoserve.<region>.<project>, 64 characters


def unprintable(source: Source) -> Iterator[SpecError]:
    """Marks of direction, line breaks and what nobody sees (E301): a profile has none in a text."""
    return _unprintable(source, source.values, ())


def _unprintable(source: Source, value: Any, where: Where) -> Iterator[SpecError]:
    if isinstance(value, str) and not value.isprintable():
        why = f"every character of a profile is one that people see, got {shown(value)}"
        yield source.error(where, "E301", f"{why}; leave the others out")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _unprintable(source, inner, (*where, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unprintable(source, inner, (*where, index))


def misnamed(name: str, source: Source) -> Iterator[SpecError]:
    """What is wrong with the name of a region, which its file has (E311, E312, E314)."""
    if not _REGION.fullmatch(name):
        rule = "a region's name is lower-case letters, digits and hyphens"
        yield source.error((), "E311", f"{rule}, got {shown(name)}; rename the file")
    elif name == "all":
        message = "`regions: all` names every region, got one of this name; rename the file"
        yield source.error((), "E314", message)
    elif len(name) > _MAX_REGION:
        rule = f"isoserve.<region>.<project> names a role of 64, so a region has {_MAX_REGION}"
        message = f"{rule} at most, got {len(name)} characters; rename the file"
        yield source.error((), "E312", message)


def unread_profiles(directory: Path) -> Iterator[SpecError]:
    """Files that a person would take for profiles and nobody reads (E111, E315)."""
    if not directory.is_dir():
        return
    yield from unread(directory, directory.name, f"move it to {directory.name}/")
    for path in sorted(filter(looks_like_yaml, directory.iterdir())):
        if path.suffix != ".yaml":
            message = f"profiles end in .yaml, got {shown(path.name)}; rename it"
            yield Source(f"{directory.name}/{path.name}").error((), "E315", message)
