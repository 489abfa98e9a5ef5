"""What the arguments of a server may say, and over how many GPUs they share a model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from model_specs.errors import nearest, refuse, shown
from model_specs.flag_kinds import Kind

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
DIRECTION: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Marks that turn the direction of a text (Unicode Standard Annex 9), so that people read another
than programs do."""
_EXPANDED: Final = re.compile(r"\$\(")
_FLAG: Final = re.compile(r"--?[A-Za-z][^=]*")
_BEYOND_FLAG: Final = re.compile(r"[\s;`|&<>]")
_DENIED: Final = {
    "--trust-remote-code": "it runs code that came with the model",
    "--allowed-local-media-path": "it serves files of the pod",
}
_SHORTEST: Final = len("--trust")
"""Argument parsers take the beginning of a flag for the flag."""
_SHORT: Final = len("-p")
"""A flag of one letter, which may have its value behind it."""
_NEGATIVE: Final = re.compile(r"-[0-9]*\.?[0-9]+")
"""A value that begins like a flag; argparse takes it where no flag is a number."""
_DIGITS: Final = re.compile(r"=?([0-9]*)")
"""What stands behind a flag of one letter that may have digits there (`-O3`)."""


def flag_of(word: str) -> str:
    """The flag in an argument; vLLM takes `_` for `-` in one, and `--flag.key` for a part of it."""
    return word.partition("=")[0].partition(".")[0].replace("_", "-")


def sets(flag: str, own: str) -> bool:
    """Whether a command line may read `flag` as `own`: whole, abbreviated, or `-p` with its value.

    argparse (vLLM) and getopt_long (Triton) take the beginning of a flag for the flag; clap (of
    text-embeddings-inference) reads `-p9` and `-p=9`.
    """
    abbreviated = flag.strip("-") != "" and own.startswith(flag)
    joined = len(own) == _SHORT and flag.startswith(own)
    return abbreviated or joined


def check_argument(word: str) -> str:
    """`word` itself; its value is any text, over several lines too.

    Raises PydanticCustomError for what would not arrive as written, and for flags that open too
    much.
    """
    if control := _CONTROL.search(word):
        raise refuse("E343", f"no program takes {shown(control[0])} in an argument; leave it out")
    if mark := DIRECTION.search(word):
        why = f"a mark of direction shows a text otherwise than it is, got {mark[0]!a}"
        raise refuse("E343", f"{why}; leave it out")
    if _EXPANDED.search(word):
        why = f"Kubernetes puts a variable's value for $(NAME), got {shown(word)}"
        raise refuse("E343", f"{why}; write the value itself")
    named = _FLAG.match(word)
    if named and (beyond := _BEYOND_FLAG.search(named[0])):
        why = f"no shell reads arguments, got {shown(beyond[0])} in a flag"
        raise refuse("E343", f"{why}; write every argument as an item of its own")
    flag = flag_of(word)
    for denied, why in _DENIED.items():
        if len(flag) >= _SHORTEST and denied.startswith(flag):
            raise refuse("E343", f"{denied} is refused, for {why}, got {shown(word)}; remove it")
    return word


def values_of(args: Sequence[str], flags: Mapping[str, str]) -> dict[str, str]:
    """The last value that the arguments give to each thing, by `flags`: what a flag decides.

    A flag may be abbreviated, and one of a letter may have its value behind it (see `sets`).
    """
    found = {}
    for index, word in enumerate(args):
        flag = flag_of(word) if word.startswith("-") else ""
        name = flag if flag in flags else next((n for n in flags if flag and sets(flag, n)), "")
        if name:
            joined = word[len(name) :].removeprefix("=") if len(name) == _SHORT else ""
            value = joined or word.partition("=")[2] or "".join(args[index + 1 : index + 2])
            found[flags[name]] = value
    return found


def shared_sizes(args: Sequence[str], flags: Mapping[str, str], gpus: int) -> dict[str, int]:
    """The sizes by which the arguments share a model, `tensor` being `gpus` unless they say it.

    `flags` has what each flag is the size of. What is no number counts as none.
    """
    sizes = {"tensor": gpus}
    for index, word in enumerate(args):
        if what := flags.get(flag_of(word)):
            value = word.partition("=")[2] or "".join(args[index + 1 : index + 2])
            number = value.isascii() and value.isdecimal()
            sizes[what] = int(value) if number else 0
    return sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The legal flags of a server, and how its parser reads a command line.

    With `abbreviated` the beginning of a flag stands for it where no other begins so (argparse,
    getopt_long). With `reads_variables` a flag may be given by a variable of its name in capitals
    (clap's `env`). With `underscores` `_` stands for `-` in a flag, and with `json_parts` the parts
    of JSON may be given one by one (`--flag.key value`). `digits` has flags of one letter with
    digits behind them (`-O3`), and what they stand for.
    """

    kinds: Mapping[str, Kind]
    abbreviated: bool = False
    reads_variables: bool = False
    underscores: bool = False
    json_parts: bool = False
    digits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Flag:
    """A flag as it was written, its name written whole, its JSON key, and what is joined to it."""

    written: str
    name: str
    key: str
    joined: tuple[str, ...]


def _is_flag(word: str) -> bool:
    return word.startswith("-") and not _NEGATIVE.fullmatch(word)


def _read(word: str, flags: Flags) -> _Flag:
    """The flag in `word` as the server's parser reads it; a name that is not known stays."""
    written, equals, value = word.partition("=")
    name, key, joined = written, "", (value,) if equals else ()
    if flags.json_parts:
        name, _, key = written.partition(".")
    if flags.underscores:
        name = name.replace("_", "-")
    whole, number = flags.digits.get(word[:_SHORT]), _DIGITS.fullmatch(word[_SHORT:])
    if whole and number:
        name, joined = whole, tuple(filter(None, number.groups()))
    if name not in flags.kinds and name[:_SHORT] in flags.kinds and not name.startswith("--"):
        name, joined = name[:_SHORT], (word[_SHORT:].removeprefix("="),)
    if name not in flags.kinds and flags.abbreviated and name.startswith("--"):
        meant = [known for known in flags.kinds if known.startswith(name)]
        name = meant[0] if len(meant) == 1 else name
    return _Flag(written, name, key, joined)


def _nested(key: str, value: str) -> str:
    """The JSON that `--flag.key value` is put together to; empty if it is deeper than any."""
    found: Any
    if key.endswith("+"):
        key, found = key[:-1], value.split(",")
    else:
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            found = value
    for part in reversed(key.split(".")):
        found = {part: found}
    try:
        return json.dumps(found)
    except RecursionError:
        return ""


def _wrong(flag: _Flag, kind: Kind, values: Sequence[str]) -> str:
    """What is wrong with the values that a flag was given; empty if nothing."""
    if kind.takes == "none":
        return "it takes no value" if values or flag.key else ""
    if not values and kind.takes != "may":
        return "it needs a value, as the next item or behind ="
    if flag.key and not kind.is_json:
        return "its value has no parts"
    whole = [_nested(flag.key, value) for value in values] if flag.key else values
    return next((why for why in map(kind.wrong, whole) if why), "")


_LISTED: Final = "remove it, or take one that its row lists (model_specs/catalogue/runtimes)"
_MOST: Final = {"none": 0, "may": 1, "one": 1, "many": 1_000}
"""How many of the words that follow it a flag may take."""


def misused(
    args: Sequence[str], flags: Flags, owner: Callable[[str], str], server: str
) -> Iterator[tuple[int, str]]:
    """Arguments that a spec may not give the server that reads them by `flags`, and why.

    `owner` says why a flag is not a spec's, or nothing; `server` is the name in messages. What
    follows such a flag, or one that nobody knows, is taken for its values.
    """
    index = 0
    while index < len(args):
        word, here = args[index], index
        behind = index + 1
        while behind < len(args) and not _is_flag(args[behind]):
            behind += 1
        if not _is_flag(word):
            yield here, f"it stands behind no flag that takes it, got {shown(word)}; remove it"
            index = behind
            continue
        flag = _read(word, flags)
        kind = None if _taken(flag, flags, owner) else flags.kinds.get(flag.name)
        if kind is None:
            index = behind
            cure = "remove it"
            if not (why := owner(flag_of(word))):
                why = f"no flag that a spec gives {server}"
                alike = [known for known in flags.kinds if known[:2] == flag.name[:2]]
                cure = nearest(flag.name, alike, _LISTED)
            yield here, f"{why}, got {shown(flag.written)}; {cure}"
            continue
        room = 0 if flag.joined else _MOST[kind.takes]
        index = min(behind, here + 1 + room)
        values = (*flag.joined, *args[here + 1 : index])
        if why := _wrong(flag, kind, values):
            said = f"{flag.written} {' '.join(values)}".strip()
            cure = "write it alone" if kind.takes == "none" else "write another"
            yield here, f"{why}, got {shown(said)}; {cure}, or remove {flag.written}"


def _taken(flag: _Flag, flags: Flags, owner: Callable[[str], str]) -> bool:
    """Whether the flag, unless it is written whole, may be one that is not a spec's."""
    whole = flag_of(flag.written) == flag.name
    return not whole and bool(owner(flag_of(flag.written)))
