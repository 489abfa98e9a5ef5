"""Finds where two renderings differ, leaf by leaf, by paths like `containers[server].image`."""

from __future__ import annotations

import json
import marshal
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from components.kube import Object
from components.parts import Part


class Absent:
    """What stands where one side has nothing; null is a value."""

    def __repr__(self) -> str:
        return "(absent)"

    def __reduce__(self) -> str:
        return "ABSENT"  # the one that there is, in every process


ABSENT: Final = Absent()
NAMES: Final = ("name", "id", "address")
"""What tells the items of a list apart."""
_PLAIN_KEY: Final = re.compile(r"[\w-]+", re.ASCII)


class Key(NamedTuple):
    """What makes two objects of two renderings the same one."""

    model: str
    noun: str
    part: str
    kind: str
    namespace: str
    name: str

    @property
    def owner(self) -> str:
        """The model, or the part where there is no model."""
        return self.model or f"{self.noun} {self.part}"

    @property
    def label(self) -> str:
        """`Deployment search/sentiment`."""
        return f"{self.kind} {self.namespace}/{self.name}".replace(" /", " ")


class Change(NamedTuple):
    """One leaf that differs; either side may be ABSENT."""

    path: str
    old: Any
    new: Any


def keyed(parts: Iterable[Part]) -> dict[Key, Object]:
    """The objects of a rendering by key."""
    found: dict[Key, Object] = {}
    for part in parts:
        for made in part.objects:
            metadata = made["metadata"]
            space = metadata.get("namespace", "")
            found[Key(part.model, part.noun, part.name, made["kind"], space, metadata["name"])] = (
                made
            )
    return found


def _step(path: str, key: str) -> str:
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


def _names(items: list[Any]) -> list[str]:
    """The names of a list's items where all have one and no two have the same."""
    for field in NAMES:
        names = [item.get(field) for item in items if isinstance(item, dict)]
        texts = [name for name in names if isinstance(name, str)]
        if len(set(texts)) == len(items):
            return texts
    return []


def _lists(old: list[Any], new: list[Any], path: str) -> Iterator[Change]:
    before, after = _names(old), _names(new)
    if before and after:
        left, right = dict(zip(before, old, strict=True)), dict(zip(after, new, strict=True))
        for name in dict.fromkeys([*before, *after]):
            yield from changes(left.get(name, ABSENT), right.get(name, ABSENT), f"{path}[{name}]")
        # Kubernetes merges these lists by name, but a variable may use only those above it.
        kept = [name for name in after if name in left]
        if kept != [name for name in before if name in right]:
            yield Change(f"{path}[order]", before, after)
        return
    for index in range(max(len(old), len(new))):
        left_item = old[index] if index < len(old) else ABSENT
        right_item = new[index] if index < len(new) else ABSENT
        yield from changes(left_item, right_item, f"{path}[{index}]")


def _json(text: Any) -> Any:
    """The values in a string of JSON such as a dashboard, or ABSENT."""
    if isinstance(text, str) and text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:
            return ABSENT
    return ABSENT


def same(old: Object | Absent, new: Object | Absent) -> bool:
    """Whether two objects are the same value, types and order included; unlike ==, 1 is not true.

    Of two that are equal in another order it may say no: `changes` tells.
    """
    if old is new:
        return True
    if isinstance(old, Absent) or isinstance(new, Absent):
        return False
    # The second format has neither references nor interned strings: equal values, equal bytes.
    return old == new and marshal.dumps(old, 2) == marshal.dumps(new, 2)


def _is_equal(old: Any, new: Any) -> bool:
    """Whether there is nothing to look for, told quickly; no where only looking can tell."""
    kind = type(old)
    if kind is not type(new) or old != new:
        return False
    return (kind is not dict and kind is not list) or same(old, new)


def changes(old: Any, new: Any, path: str) -> Iterator[Change]:
    """Every leaf in which `old` and `new` differ, types included."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = ((key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in {**old, **new})
        for key in sorted(key for key, left, right in pairs if not _is_equal(left, right)):
            yield from changes(old.get(key, ABSENT), new.get(key, ABSENT), _step(path, key))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _lists(old, new, path)
    elif type(old) is not type(new) or old != new:
        inside, inside_new = _json(old), _json(new)
        found = list(changes(inside, inside_new, path)) if inside is not inside_new else []
        # Equal values in another order or with other spaces are still another text.
        yield from found or [Change(path, old, new)]


def shown(value: Any) -> str:
    """A value in one short line."""
    text = repr(value) if isinstance(value, Absent) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."


def plain(change: Change) -> dict[str, Any]:
    """A change as JSON; a side that is absent is left out."""
    row = {"path": change.path, "old": change.old, "new": change.new}
    return {key: value for key, value in row.items() if not isinstance(value, Absent)}
