"""The language in which legal things are written down: a shape looks like the thing itself.

A shape is a plain value, which must be equal, or one of:

- a mapping: exactly these fields; one whose name ends in `?` may be left out
- a list: one item for each of its shapes, in this order
- `Each(shape)`: a list of any length whose items all have the shape
- `Map(shape)`: a mapping with any keys, whose values all have the shape
- `Among(...)`: one of these plain values
- `Text(pattern)`, `Number()`: any text of a form, any number
- `Asked(function)`: the plain value that specs and profile ask for; `ABSENT` where they ask
  for none
- `Document(function)`: text that holds the JSON document that they ask for
- `Later(shape)`: as the shape says, or not known before something else is made
- `Judged(rule)`: any value; the rule of this name judges all of it
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from policies.facts import Facts
from policies.resources import Resource, Unknown

ABSENT: Final = object()
"""What a function of `Asked` returns for a field that must not be there."""
_SHOWN: Final = 120


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged, by which facts."""

    resource: Resource
    facts: Facts


@dataclass(frozen=True, slots=True)
class Deviation:
    """A field that is not as its shape says: its path, and what is wrong with it."""

    path: tuple[str | int, ...]
    what: str

    def __str__(self) -> str:
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return f"{''.join(steps).lstrip('.')} {self.what}".strip()


Found = list[Deviation]
Checker = Callable[[Any, Subject], Found]
"""Finds every deviation of a value; an empty list where there is none."""
_FINE: Final[Found] = []


@dataclass(frozen=True, slots=True)
class Each:
    """A list of items of one shape."""

    shape: Any


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping with any keys, whose values have one shape."""

    shape: Any


@dataclass(frozen=True, slots=True)
class Among:
    """One of several plain values."""

    values: tuple[Any, ...]


def among(*values: Any) -> Among:
    """One of several plain values."""
    return Among(values)


@dataclass(frozen=True, slots=True)
class Text:
    """Any text that matches a pattern as a whole."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Number:
    """Any number."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The value that specs, profile and catalogues ask for."""

    value: Callable[[Subject], Any]


@dataclass(frozen=True, slots=True)
class Document:
    """Text whose JSON document is the one that specs, profile and catalogues ask for."""

    value: Callable[[Subject], Any]


@dataclass(frozen=True, slots=True)
class Later:
    """A value of AWS, which a preview of the first `up` does not know."""

    shape: Any


@dataclass(frozen=True, slots=True)
class Judged:
    """A value that a rule judges whole."""

    rule: str


def _said(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _within(step: str | int, found: Found) -> Found:
    return [Deviation((step, *one.path), one.what) for one in found]


def differences(value: Any, wanted: Any) -> Found:
    """Where two plain values differ, as deep as possible."""
    if isinstance(value, Mapping) and isinstance(wanted, Mapping):
        return list(_between(value, wanted))
    if isinstance(value, list) and isinstance(wanted, list) and len(value) == len(wanted):
        pairs = enumerate(zip(value, wanted, strict=True))
        return [one for at, (own, other) in pairs for one in _within(at, differences(own, other))]
    if value == wanted:
        return _FINE
    return [Deviation((), f"is {_said(value)}, asked for is {_said(wanted)}")]


def _between(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[Deviation]:
    for key in value:
        if key in wanted:
            yield from _within(key, differences(value[key], wanted[key]))
        else:
            yield Deviation((key,), "is not legal there")
    yield from (Deviation((key,), "is missing") for key in wanted if key not in value)


def _equal(wanted: Any) -> Checker:
    return lambda value, subject: _FINE if value == wanted else differences(value, wanted)


def _block(shape: Mapping[str, Any]) -> Checker:
    fields = {key.removesuffix("?"): compiled(inner) for key, inner in shape.items()}
    asked = {key.removesuffix("?") for key, inner in shape.items() if isinstance(inner, Asked)}
    needed = [key for key in shape if not key.endswith("?") and key not in asked]
    all_fields = {*needed, *asked}

    def check(value: Any, subject: Subject) -> Found:
        if type(value) is not dict and not isinstance(value, Mapping):
            return [Deviation((), f"is {_said(value)}, legal is a block")]
        found = _FINE
        for key, inner in value.items():
            checker = fields.get(key)
            if checker is None:
                found = [*found, Deviation((key,), "is not legal there")]
            elif wrong := checker(inner, subject):
                found = [*found, *_within(key, wrong)]
        if all_fields <= value.keys():
            return found
        missing = [key for key in needed if key not in value]
        # Whether a field that is asked for is needed is for its function to say.
        missing += [key for key in asked if key not in value and fields[key](ABSENT, subject)]
        return [*found, *(Deviation((key,), "is missing") for key in missing)]

    return check


def _items(shapes: Sequence[Any]) -> Checker:
    checkers = [compiled(one) for one in shapes]

    def check(value: Any, subject: Subject) -> Found:
        if not isinstance(value, list) or len(value) != len(checkers):
            got = f"{len(value)} items" if isinstance(value, list) else _said(value)
            return [Deviation((), f"has {got}, legal are {len(checkers)}")]
        found: Found = []
        for at, (inner, checker) in enumerate(zip(value, checkers, strict=True)):
            if wrong := checker(inner, subject):
                found += _within(at, wrong)
        return found

    return check


def _each(shape: Any) -> Checker:
    checker = compiled(shape)

    def check(value: Any, subject: Subject) -> Found:
        if not isinstance(value, list):
            return [Deviation((), f"is {_said(value)}, legal is a list")]
        found: Found = []
        for at, inner in enumerate(value):
            if wrong := checker(inner, subject):
                found += _within(at, wrong)
        return found

    return check


def _map(shape: Any) -> Checker:
    checker = compiled(shape)

    def check(value: Any, subject: Subject) -> Found:
        if not isinstance(value, Mapping):
            return [Deviation((), f"is {_said(value)}, legal is a block")]
        found: Found = []
        for key, inner in value.items():
            if wrong := checker(inner, subject):
                found += _within(key, wrong)
        return found

    return check


def _legal(is_legal: Callable[[Any], bool], words: str) -> Checker:
    return lambda value, subject: (
        _FINE if is_legal(value) else [Deviation((), f"is {_said(value)}, legal is {words}")]
    )


def _text(pattern: str) -> Checker:
    form = re.compile(pattern)
    return _legal(
        lambda value: isinstance(value, str) and form.fullmatch(value) is not None,
        f"text of the form {pattern}",
    )


def _asked(function: Callable[[Subject], Any]) -> Checker:
    def check(value: Any, subject: Subject) -> Found:
        wanted = function(subject)
        if wanted is ABSENT:
            return _FINE if value is ABSENT else [Deviation((), "is not asked for")]
        return _FINE if value == wanted else differences(value, wanted)

    return check


def _document(function: Callable[[Subject], Any]) -> Checker:
    def check(value: Any, subject: Subject) -> Found:
        document, wanted = document_in(value), function(subject)
        return _FINE if document == wanted else differences(document, wanted)

    return check


def document_in(text: Any) -> Any:
    """The JSON document in a text; the text itself where it holds none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _later(shape: Any) -> Checker:
    checker = compiled(shape)
    # type() and not isinstance(), which an unknown value refuses to answer.
    return lambda value, subject: _FINE if type(value) is Unknown else checker(value, subject)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_LANGUAGE: Final[dict[type, Callable[[Any], Checker]]] = {
    dict: _block,
    list: _items,
    Each: lambda shape: _each(shape.shape),
    Map: lambda shape: _map(shape.shape),
    Among: lambda shape: _legal(
        lambda value: value in shape.values, " or ".join(map(repr, shape.values))
    ),
    Text: lambda shape: _text(shape.pattern),
    Number: lambda shape: _legal(_is_number, "a number"),
    Asked: lambda shape: _asked(shape.value),
    Document: lambda shape: _document(shape.value),
    Later: lambda shape: _later(shape.shape),
    Judged: lambda shape: lambda value, subject: _FINE,
}


def _is_plain(shape: Any) -> bool:
    """Whether a shape is a value that must be equal, all through."""
    if isinstance(shape, dict):
        return all(not key.endswith("?") and _is_plain(one) for key, one in shape.items())
    if isinstance(shape, list):
        return all(map(_is_plain, shape))
    return type(shape) not in _LANGUAGE


def compiled(shape: Any) -> Checker:
    """What checks a value against a shape."""
    return _equal(shape) if _is_plain(shape) else _LANGUAGE[type(shape)](shape)


def rules_named(shape: Any) -> set[str]:
    """The rules to which a shape leaves fields."""
    if isinstance(shape, Judged):
        return {shape.rule}
    if isinstance(shape, Each | Map | Later):
        return rules_named(shape.shape)
    inner = shape.values() if isinstance(shape, dict) else shape if isinstance(shape, list) else ()
    return {name for one in inner for name in rules_named(one)}
