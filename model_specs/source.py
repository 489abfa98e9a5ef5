"""Reads one YAML file into plain values and remembers where each value stands.

Scalars follow the YAML 1.2 core rules, so `no` and `022` stay what the author wrote. What makes
YAML dangerous (anchors, aliases, tags, duplicate keys, several documents, deep nesting, huge or
special files) is refused with its place.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from model_specs.errors import SpecError, SpecErrors, dotted

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
Where = tuple[str | int, ...]

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_WORDS: Final[dict[str, Value]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a wheel without libyaml still works


@dataclass(slots=True)
class Source:
    """A file's values and the place (line, column; from 1) of each path in it."""

    file: str
    values: Value = None
    places: dict[Where, tuple[int, int]] = field(default_factory=dict)

    def error(self, where: Where, code: str, message: str) -> SpecError:
        """An error at `where`, or at the nearest enclosing place the file has."""
        at = where
        while at and at not in self.places:
            at = at[:-1]
        line, column = self.places.get(at, (1, 1))
        return SpecError(
            file=self.file, line=line, column=column, path=dotted(where), code=code, message=message
        )


class _Reader:
    """Turns the parser's events into values, keeping every mark."""

    def __init__(self, source: Source, text: str) -> None:
        self.source = source
        self.errors: list[SpecError] = []
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))

    def refuse(self, event: Any, where: Where, code: str, message: str) -> SpecError:
        self.source.places[where] = _place(event)  # more exact than where the whole began
        return self.source.error(where, code, message)

    def document(self) -> Value:
        value: Value = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    error = self.refuse(event, (), "E103", "two documents in one file; keep one")
                    raise SpecErrors([error])
            elif isinstance(event, yaml.NodeEvent):
                value = self.node(event, ())
        return value

    def node(self, event: Any, where: Where) -> Value:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            name = event.anchor
            message = f"anchors and aliases are not read, got {name}; write the value out"
            raise SpecErrors([self.refuse(event, where, "E106", message)])
        if event.tag is not None:
            message = f"tags are not read, got {event.tag}; write a plain value"
            raise SpecErrors([self.refuse(event, where, "E110", message)])
        if len(where) > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels; flatten it"
            raise SpecErrors([self.refuse(event, where[:1], "E107", message)])
        self.source.places[where] = _place(event)
        if isinstance(event, yaml.ScalarEvent):
            return event.value if event.style else _plain(event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(where)
        return self.mapping(where)

    def sequence(self, where: Where) -> list[Value]:
        values: list[Value] = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            values.append(self.node(event, (*where, len(values))))
        return values

    def mapping(self, where: Where) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                error = self.refuse(event, where, "E104", "a key is a plain word; write one")
                raise SpecErrors([error])
            key = event.value
            if event.anchor is not None or key == "<<":
                message = f"anchors and merge keys are not read, got {key}; write the keys out"
                raise SpecErrors([self.refuse(event, where, "E106", message)])
            at = (*where, key)
            if key in values:
                first = self.source.places[at][0]
                self.source.places[at] = _place(event)
                message = f"key given twice, first on line {first}; keep one"
                self.errors.append(self.source.error(at, "E105", message))
            values[key] = self.node(next(self.events), at)
            self.source.places[at] = _place(event)
        return values


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _plain(text: str) -> Value:
    """A plain scalar by the YAML 1.2 core rules (https://yaml.org/spec/1.2.2/#103-core-schema)."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return text


def _text(path: Path, name: str) -> str:
    """The file's text, read with a bound.

    Raises SpecErrors for what is no small, regular UTF-8 file.
    """
    source = Source(name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SpecErrors([source.error((), "E108", "not a regular file; give a YAML file")])
        if status.st_size > MAX_BYTES:
            message = f"larger than {MAX_BYTES // 1024} KiB, got {status.st_size} bytes; split it"
            raise SpecErrors([source.error((), "E108", message)])
        raw = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror}; check the path and its rights"
        raise SpecErrors([source.error((), "E100", message)]) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"not UTF-8 at byte {error.start}; save the file as UTF-8"
        raise SpecErrors([source.error((), "E109", message)]) from None


def read(path: Path, name: str) -> Source:
    """The mapping in the YAML file at `path`, called `name` in messages.

    Raises SpecErrors when the file is no single, plain YAML mapping.
    """
    source = Source(name)
    reader = _Reader(source, _text(path, name))
    try:
        source.values = reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        source.places[()] = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"not YAML: {error.problem or error.context}; mend the syntax"
        raise SpecErrors([source.error((), "E102", message)]) from None
    except yaml.YAMLError as error:
        reason = getattr(error, "reason", None) or "unreadable character"
        message = f"not YAML: {reason}; save the file as plain UTF-8 text"
        raise SpecErrors([source.error((), "E109", message)]) from None
    if source.values is None:
        message = "empty; write machine_type, image and model"
        raise SpecErrors([*reader.errors, source.error((), "E101", message)])
    if not isinstance(source.values, dict):
        kind = "a list" if isinstance(source.values, list) else "a single value"
        message = f"expected keys and values, got {kind}; write `key: value` lines"
        raise SpecErrors([*reader.errors, source.error((), "E104", message)])
    if reader.errors:
        raise SpecErrors(reader.errors)
    return source
