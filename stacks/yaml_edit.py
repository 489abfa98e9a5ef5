"""Writes one value into a YAML file of a person; no other byte of it changes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from stacks.outcome import refusal


def replaced(path: Path, text: str, where: tuple[str, ...], after: str, code: str) -> str:
    """The text of `path` with the scalar at the keys `where` replaced by `after`, quotes kept.

    Raises InputErrors with `code` where it is not plain text on one line.
    """
    node = _scalar(text, where)
    if node is not None:
        start, end = node.start_mark.index, node.end_mark.index
        if text[start:end].strip("'\"") == node.value:
            quote = text[start] if text[start] in "'\"" else ""
            return f"{text[:start]}{quote}{after}{quote}{text[end:]}"
    name = ".".join(where)
    before = "" if node is None else f" {node.value}"
    why = f"its {name} is not plain text on one line; write `{where[-1]}:{before}`"
    raise refusal(str(path), code, why)


def _scalar(text: str, where: tuple[str, ...]) -> yaml.ScalarNode | None:
    # Not the C loader: its marks count otherwise.
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in where:
        node = next((value for name, value in _pairs(node) if name.value == key), None)
    return node if isinstance(node, yaml.ScalarNode) else None


def _pairs(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, yaml.MappingNode):
        yield from node.value


def entries(text: str) -> Iterator[tuple[Any, Any]]:
    """The nodes of the keys and values of the mapping that `text` is."""
    yield from _pairs(yaml.compose(text, Loader=yaml.SafeLoader))


def text_of(path: Path) -> str:
    """The file letter by letter, its line ends too."""
    return path.read_bytes().decode()


def write(path: Path, text: str) -> None:
    """Replace a file, or what a link leads to, in one step, with the rights it had."""
    path = path.resolve()
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".pin-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
