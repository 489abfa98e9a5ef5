"""Reads one YAML file into plain values and remembers where each value stands.

Scalars follow the YAML 1.2 core rules, so `no` and `022` stay what the author wrote. What makes
YAML dangerous (anchors, aliases, tags, duplicate keys, several documents, deep nesting, huge or
special files) is refused with its place.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from model_specs.errors import SpecError, SpecErrors, dotted, shown

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
Where = tuple[str | int, ...]

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
MAX_VALUES: Final = 20_000
MAX_ERRORS: Final = 100
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_WORDS: Final[dict[str, Value]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_UNPRINTABLE = re.compile(r"[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML allows in no file (https://yaml.org/spec/1.2.2/#51-character-set)."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a wheel without libyaml still works


@dataclass(slots=True)
class Source:
    """A file's values and the place (line, column; from 1) of each path in its `text`."""

    file: str
    values: Value = None
    places: dict[Where, tuple[int, int]] = field(default_factory=dict)
    text: str = field(default="", repr=False, compare=False)

    def error(self, where: Where, code: str, message: str) -> SpecError:
        """An error at `where`, or at the nearest enclosing place the file has."""
        at = where
        while at and at not in self.places:
            at = at[:-1]
        line, column = self.places.get(at, (1, 1))
        return SpecError(
            file=self.file, line=line, column=column, path=dotted(where), code=code, message=message
        )

    def refusal(self, errors: Sequence[SpecError]) -> SpecErrors:
        """The file's errors as one; a file that is nothing but errors is told only its first."""
        if len(errors) <= MAX_ERRORS:
            return SpecErrors(errors)
        message = f"more than {MAX_ERRORS} errors, got these; mend them first"
        return SpecErrors([*sorted(errors)[:MAX_ERRORS], self.error((), "E112", message)])


class _Reader:
    """Turns the parser's events into values, keeping every mark and every error."""

    def __init__(self, source: Source, text: str) -> None:
        self.source = source
        self.errors: list[SpecError] = []
        self.values = 0
        self.anchors: set[str] = set()
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))

    def refuse(self, event: Any, where: Where, code: str, message: str) -> None:
        """Record an error at the event, which is more exact than where the whole began."""
        self.source.places[where] = _place(event)
        self.errors.append(self.source.error(where, code, message))

    def stop(self, event: Any, where: Where, code: str, message: str) -> SpecErrors:
        """The errors up to one after which reading on would be guessing or cost too much."""
        self.refuse(event, where, code, message)
        return self.source.refusal(self.errors)

    def document(self) -> Value:
        value: Value = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self.stop(event, (), "E103", "two documents in one file; keep one")
            elif isinstance(event, yaml.NodeEvent):
                value = self.node(event, ())
        return value

    def node(self, event: Any, where: Where) -> Value:
        self.admit(event, where)
        if isinstance(event, yaml.AliasEvent):
            return None
        if event.tag is not None:
            message = f"tags are not read, got {shown(event.tag)}; write a plain value"
            self.refuse(event, where, "E110", message)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(where)
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(where)
        value: Value = event.value if event.style else _plain(event.value)
        if isinstance(value, float) and math.isinf(value):
            message = f"too large for a number, got {shown(event.value)}; write a smaller one"
            self.refuse(event, where, "E301", message)
        return value

    def admit(self, event: Any, where: Where) -> None:
        """Take note of a value's place, and stop at what no person wrote."""
        self.values += 1
        if self.values > MAX_VALUES:
            message = f"more than {MAX_VALUES} values in one file; split it"
            raise self.stop(event, where[:1], "E108", message)
        if len(where) > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels; flatten it"
            raise self.stop(event, where[:1], "E107", message)
        self.source.places[where] = _place(event)
        if event.anchor is not None and event.anchor not in self.anchors:
            self.anchors.add(event.anchor)  # told once, however often it is used
            message = f"anchors and aliases are not read, got {shown(event.anchor)}"
            self.refuse(event, where, "E106", f"{message}; write the value out where it is used")

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
            key = self.key(event, where, values)
            at = (*where, key)
            values[key] = self.node(next(self.events), at)
            self.source.places[at] = _place(event)
        return values

    def key(self, event: Any, where: Where, values: dict[str, Value]) -> str:
        """The key at `event`; one that cannot be kept is recorded and stands for nothing."""
        if not isinstance(event, yaml.ScalarEvent):
            self.node(event, (*where, ""))
            self.refuse(event, where, "E104", "a key is a plain word; write one")
            return ""
        key: str = event.value
        if event.anchor is not None or key == "<<":
            message = f"anchors and merge keys are not read, got {shown(key)}; write the keys out"
            self.refuse(event, where, "E106", message)
        elif event.tag is not None:
            message = f"tags are not read, got {shown(event.tag)}; write a plain key"
            self.refuse(event, where, "E110", message)
        elif key in values:
            at = (*where, key)
            first = self.source.places[at][0]
            message = f"key given twice, also on line {first}; keep one"
            self.refuse(event, at, "E105", message)
        return key


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


def _unwaiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe that comes in between cannot hang us


def _leads_out(path: Path) -> bool:
    """Whether a link leads to what is not of the tree around the file's folder."""
    if not (".." in path.parts[-2:] or path.is_symlink() or path.parent.is_symlink()):
        return False  # nearly every file: to follow each folder's name takes longer than to read
    root = os.path.realpath(path.parent.parent)
    return not os.path.realpath(path).startswith(f"{root.rstrip('/')}/")


def _bytes(path: Path, source: Source) -> bytes:
    """The file's bytes, read with a bound.

    Raises SpecErrors for what is no small, regular file of this tree, and OSError.
    """
    if _leads_out(path):
        message = f"leads out of {path.parent.parent.name}/; copy the file here"
        raise SpecErrors([source.error((), "E361", message)])
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise SpecErrors([source.error((), "E108", "not a regular file; give a YAML file")])
    # Some mounts and CI runners open everything to everyone: that says nothing of this file.
    if mode & stat.S_IWOTH and not path.parent.stat().st_mode & stat.S_IWOTH:
        message = f"everyone may write it, got mode {stat.S_IMODE(mode):o}; run chmod o-w"
        raise SpecErrors([source.error((), "E361", message)])
    with open(path, "rb", opener=_unwaiting) as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        message = f"larger than {MAX_BYTES // 1024} KiB; split it"
        raise SpecErrors([source.error((), "E108", message)])
    return raw


def _spot(before: str) -> tuple[int, int]:
    """Line and column after `before`."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def looks_like_yaml(path: Path) -> bool:
    """Whether a person would take a file for one that is read: `.yaml`, `.yml`, in any case."""
    return path.suffix.lower() in (".yaml", ".yml")


def _text(path: Path, source: Source) -> str:
    """The file's text. Raises SpecErrors for what is no small, regular UTF-8 file."""
    try:
        raw = _bytes(path, source)
    except OSError as error:
        message = f"cannot be read: {error.strerror}; check the path and its rights"
        raise SpecErrors([source.error((), "E100", message)]) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        source.places[()] = _spot(raw[: error.start].decode(errors="replace"))
        message = f"not UTF-8 at byte {error.start}, got 0x{raw[error.start]:02x}"
        raise SpecErrors([source.error((), "E109", f"{message}; save the file as UTF-8")]) from None
    odd = _UNPRINTABLE.search(text)
    if odd:
        source.places[()] = _spot(text[: odd.start()])
        message = f"no YAML holds this character, got {shown(odd[0])}; save the file as plain text"
        raise SpecErrors([source.error((), "E109", message)])
    return text


def read(path: Path, name: str, known: Source | None = None) -> Source:
    """The mapping in the YAML file at `path`, called `name` in messages.

    `known` itself where that has the same name and text: what they say was read before. Raises
    SpecErrors when the file is no single, plain YAML mapping.
    """
    source = Source(name)
    text = source.text = _text(path, source)
    if known is not None and known.file == name and known.text == text:
        return known
    reader = _Reader(source, text)
    try:
        source.values = reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        source.places[()] = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        tab = mark is not None and text[mark.index : mark.index + 1] == "\t"
        message = f"not YAML: {error.problem or error.context}; mend the syntax"
        message = "YAML does not indent with tabs; use spaces" if tab else message
        raise source.refusal([*reader.errors, source.error((), "E102", message)]) from None
    if source.values is None and not reader.errors:
        message = "empty; write its fields, for a model machine_type, image and model"
        raise SpecErrors([source.error((), "E101", message)])
    if not isinstance(source.values, dict) and not reader.errors:
        kind = "a list" if isinstance(source.values, list) else "a single value"
        message = f"expected keys and values, got {kind}; write `key: value` lines"
        raise SpecErrors([source.error((), "E104", message)])
    if reader.errors:
        raise source.refusal(reader.errors)
    return source
