"""Reads from an object which of its fields who manages (`metadata.managedFields`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from components.kube import FIELD_MANAGER, Object

Fields = Mapping[str, Any]
"""A set of fields as `managedFields[].fieldsV1` writes it: `f:name`, `k:{keys of a list's item}`,
`v:value of a set`, `.` for the item itself (structured-merge-diff, fieldpath/serialize.go)."""
Steps = tuple[str, ...]
"""A path by the keys of Fields."""


def plain(step: str) -> str:
    """A step as a person writes it: a name, or what is chosen of a list."""
    kind, _, rest = step.partition(":")
    if kind == "k":
        return "[" + ",".join(f"{k}={v}" for k, v in sorted(json.loads(rest).items())) + "]"
    return f"[{json.loads(rest)}]" if kind == "v" else f"[{rest}]" if kind == "i" else rest


def in_words(path: Steps) -> str:
    """`spec.template.spec.containers[name=proxy].env[name=A]`."""
    return in_names(map(plain, path))


def in_names(path: Iterable[str]) -> str:
    """A path in words by the names of its steps."""
    return ".".join(path).replace(".[", "[")


def is_ours(entry: Object) -> bool:
    """Whether an entry of managedFields is what we apply: an object has one of each manager that
    applies, whatever the version, and one more of each subresource (apimachinery,
    util/managedfields/internal/managedfields.go, BuildManagerIdentifier)."""
    told = entry["manager"], entry["operation"], entry.get("subresource", "")
    return told == (FIELD_MANAGER, "Apply", "")


def owned(live: Object) -> Fields:
    """The fields of an object that we have applied, or somebody under our name."""
    for entry in live["metadata"].get("managedFields", ()):
        if is_ours(entry):
            found: Fields = entry["fieldsV1"]
            return found
    return {}


def index(items: list[Any], step: str) -> int | None:
    """Where in a list the item is that a step chooses."""
    kind, _, rest = step.partition(":")
    wanted = json.loads(rest)
    for at, item in enumerate(items):
        if (kind == "i" and at == wanted) or (kind == "v" and item == wanted):
            return at
        if kind == "k" and all(item.get(name) == value for name, value in wanted.items()):
            return at
    return None
