"""What the arguments of a server may say, and over how many GPUs they share a model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from model_specs.errors import refuse, shown

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
SHARED: Final = {
    "--tensor-parallel-size": "tensor",
    "-tp": "tensor",
    "--pipeline-parallel-size": "pipeline",
    "-pp": "pipeline",
    "--data-parallel-size": "data",
    "-dp": "data",
}
"""vLLM's flags that share a model over GPUs; what they say is multiplied. Source:
vllm/engine/arg_utils.py."""


def flag_of(word: str) -> str:
    """The flag in an argument; vLLM takes `_` for `-` in one."""
    return word.partition("=")[0].replace("_", "-")


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


def shares(word: str) -> bool:
    """Whether the argument says how a model is shared over GPUs."""
    return flag_of(word) in SHARED


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


def shared_sizes(args: Sequence[str], gpus: int) -> dict[str, int]:
    """The sizes by which the arguments share a model, `tensor` being `gpus` unless they say it.

    What is no number counts as none.
    """
    sizes = {"tensor": gpus}
    for index, word in enumerate(args):
        if shares(word):
            value = word.partition("=")[2] or "".join(args[index + 1 : index + 2])
            number = value.isascii() and value.isdecimal()
            sizes[SHARED[flag_of(word)]] = int(value) if number else 0
    return sizes


def gpus_shared(args: Sequence[str], gpus: int) -> int:
    """How many GPUs the arguments share a model over, where `gpus` is what they do unasked."""
    return math.prod(shared_sizes(args, gpus).values())
