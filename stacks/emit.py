"""Writes plain values as block YAML that no reader of YAML 1.1, such as Kubernetes, can misread.

PyYAML's C dumper is as safe and many times slower; the fast Rust dumpers write `on` plain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

# Starts with a letter or `/`, so it is no number, date, marker, anchor or tag in any YAML; has no
# `#`, quote or flow sign, and every `:` and single space is followed by a plain character.
_PLAIN: Final = re.compile(r"[A-Za-z/][\w./@%=,+-]*(?:[ :][\w./@%=,+-]+)*", re.ASCII)
_WORDS: Final = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
# libyaml and go-yaml give up on a key without `?` after 1024 characters.
_MAX_KEY: Final = 1000
_CACHED_LENGTH: Final = 100
_CACHED_STRINGS: Final = 100_000
_INFINITE: Final = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}

Put = Callable[[str], None]


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_NOT_ASCII: Final = re.compile(r"[^ -~]")


def _quoted(text: str) -> str:
    """`text` in double quotes, where JSON's escapes and YAML's are the same."""
    if text.isprintable():
        return json.dumps(text, ensure_ascii=False)
    # JSON has no escape above U+FFFF and leaves U+007F to U+009F as they are; YAML minds both.
    return _NOT_ASCII.sub(_escaped, json.dumps(text, ensure_ascii=False))


class _Strings(dict[str, str]):
    """Strings and how they are written; most strings of a tree come again and again."""

    def __missing__(self, text: str) -> str:
        plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS
        written = text if plain else _quoted(text)
        if len(text) <= _CACHED_LENGTH:
            if len(self) >= _CACHED_STRINGS:
                self.clear()
            self[text] = written
        return written


_strings: Final = _Strings()


def _float(number: float) -> str:
    text = repr(number)
    if text in _INFINITE:
        return _INFINITE[text]
    # YAML 1.1 reads `1e+16` as a string: a float has a point.
    return text if "." in text else text.replace("e", ".0e")


_SCALARS: Final[dict[type, Callable[[Any], str]]] = {
    str: _strings.__getitem__,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _float,
    type(None): lambda _: "null",
}


def _literal(text: str, indent: str) -> str:
    """`text` as a literal block below `indent`, or quoted where a block could not say it.

    A block has no escapes, and its first line tells its indentation.
    """
    lines = text.split("\n")
    body = lines[:-1] if lines[-1] == "" else lines
    if text[:1] in " \n" or not body[-1] or not all(map(str.isprintable, body)):
        return _quoted(text)
    chomp = "|" if lines[-1] == "" else "|-"
    return "\n".join([chomp, *(f"{indent}  {line}" if line else "" for line in body)])


def _pairs(pairs: Iterable[tuple[str, Any]], first: str, indent: str, put: Put) -> None:
    for key, value in pairs:
        name = _strings[key]
        lead = f"{first}{name}:" if len(name) < _MAX_KEY else f"{first}? {name}\n{indent}:"
        first = indent
        kind = type(value)
        if kind is str:
            text = _literal(value, indent) if "\n" in value else _strings[value]
            put(f"{lead} {text}\n")
        elif kind is dict and value:
            put(f"{lead}\n")
            _pairs(sorted(value.items()), f"{indent}  ", f"{indent}  ", put)
        elif kind is list and value:
            put(f"{lead}\n")
            _items(value, indent, indent, put)
        else:
            put(f"{lead} {_scalar(value)}\n")


def _items(items: list[Any], first: str, indent: str, put: Put) -> None:
    for value in items:
        lead, first = f"{first}- ", indent
        if type(value) is dict and value:
            _pairs(sorted(value.items()), lead, f"{indent}  ", put)
        elif type(value) is list and value:
            _items(value, lead, f"{indent}  ", put)
        elif type(value) is str and "\n" in value:
            put(f"{lead}{_literal(value, indent)}\n")
        else:
            put(f"{lead}{_scalar(value)}\n")


def _scalar(value: Any) -> str:
    if value == {} and type(value) is dict:
        return "{}"
    return "[]" if type(value) is list else _SCALARS[type(value)](value)


def document(value: dict[str, Any]) -> str:
    """One YAML document without its `---`; keys are sorted, so equal values give equal text."""
    if not value:
        return "{}\n"
    chunks: list[str] = []
    _pairs(sorted(value.items()), "", "", chunks.append)
    return "".join(chunks)
