"""What the value of a server's flag or variable may be: one kind a flag or variable.

A value names no file outside the model's own folder, no code by its import path, and no other
model: who may do that could serve what nobody has verified.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from model_specs.errors import nearest, shown
from model_specs.names import MODEL_PATH, SCRATCH

_SHARED_MEMORY: Final = "/dev/shm"
_NUMBER: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?[kKmMgGtT]?|auto|None")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*")
_LINKED: Final = re.compile(r"[/\\]|\.[A-Za-z_]")
"""A path, or a name of something in a module."""
_INLINE: Final = re.compile(r"[{}\n]")
"""vLLM takes a chat template that is no file for the text itself, with one of these in it
(vllm/entrypoints/chat_utils.py)."""
_NAMED: Final = re.compile(r"(?s)[A-Za-z0-9][\w.-]*=(.*)", re.ASCII)
_FOREIGN_KEY: Final = re.compile(
    r"auto_map|custom_pipelines?|trust_remote_code|load_format|model(_id|_name)?|tokenizer"
    r"|pretrained.*|(hf_|use_auth_|auth_)?token|(.*_)?(name_or_path|revision|path|uri|url|repo"
    r"|plugin|module|endpoint|files?|folder|dir|cls|tarball)|.*_class",
    re.IGNORECASE,
)
"""Keys of a configuration by which transformers and others load code, files or another model."""

_ELSEWHERE: Final = re.compile(
    r"(?s)[/~]|\.\.?/|.*://|(?!(application|audio|image|text|video)/)[\w.-]+/[\w./-]+\Z", re.ASCII
)
"""A path, a URL, or a name of a model on a hub, which a media type is not."""


def below(folder: str, value: str) -> bool:
    """Whether `value` is `folder` or a path in it, written without a way out of it."""
    inside = value == folder or value.startswith(f"{folder}/")
    return inside and ".." not in value.split("/") and "\\" not in value


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How many words a flag takes (`may`: one or none), and what is wrong with one of them.

    `wrong` says a sentence's beginning, or nothing. `is_json` has parts that a command line may
    write one by one (`--flag.key value`).
    """

    takes: Literal["none", "may", "one", "many"] = "one"
    wrong: Callable[[str], str]
    is_json: bool = False


def _nothing(value: str) -> str:
    return ""


def _no_number(value: str) -> str:
    return "" if _NUMBER.fullmatch(value) else "its value is a number"


def _no_word(value: str) -> str:
    return "" if _WORD.fullmatch(value) else "its value is one word, no path and no import path"


def _outside_model(value: str) -> str:
    return "" if below(MODEL_PATH, value) else f"its value is a path in {MODEL_PATH}"


def _outside_scratch(value: str) -> str:
    inside = below(SCRATCH, value) or below(_SHARED_MEMORY, value)
    return "" if inside else f"its value is a path in {SCRATCH}, where nothing is at the start"


def _outside_model_relative(value: str) -> str:
    is_name = value != "" and not value.startswith("/")
    return _outside_model(f"{MODEL_PATH}/{value}") if is_name else "its value is a folder's name"


def _no_template(value: str) -> str:
    is_path = value.startswith(("/", ".", "~")) or not _INLINE.search(value)
    return _outside_model(value) if is_path else ""


def class_of(module: str) -> Kind:
    """The import path of a class of one module, or of its companions (`module_name.Class`)."""
    pattern = re.compile(rf"{re.escape(module)}(_[a-z_]+)?(\.[A-Za-z_]\w*)+", re.ASCII)
    why = f"its value is a class of {module}'s"
    return Kind(wrong=lambda value: "" if pattern.fullmatch(value) else why)


def one_of(*words: str) -> Kind:
    """A closed choice, where another word would be taken and do harm."""
    return Kind(wrong=lambda value: "" if value in words else f"its value is {' or '.join(words)}")


def matching(pattern: str, says: str) -> Kind:
    """A value of a form of its own; `says` names it."""
    form = re.compile(pattern, re.ASCII)
    return Kind(wrong=lambda value: "" if form.fullmatch(value) else f"its value is {says}")


def one_or_path(*words: str) -> Kind:
    """A closed choice, or a path in the model's folder."""
    why = f"its value is {', '.join(words)} or a path in {MODEL_PATH}"
    return Kind(wrong=lambda value: "" if value in words or below(MODEL_PATH, value) else why)


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError("a key given twice")
    return dict(pairs)


def _parsed(value: str) -> Any:
    """The JSON in `value`; None where it is none. A key given twice is read by each as it likes."""
    try:
        return json.loads(value, object_pairs_hook=_single)
    except (ValueError, RecursionError):
        return None


def _leaves(whole: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a JSON value, however deep, with what it holds; items of lists under theirs."""
    rest: list[tuple[str, Any]] = [("", whole)]
    while rest:
        key, value = rest.pop()
        if isinstance(value, dict):
            rest += value.items()
        elif isinstance(value, list):
            rest += ((key, item) for item in value)
        if key:
            yield key, value


def _foreign(whole: Any) -> str:
    """What in a JSON value names code, a file or another model; empty if nothing."""
    for key, value in _leaves(whole):
        if _FOREIGN_KEY.fullmatch(key):
            return f"{shown(key)} in it would load other code, files or another model"
        if isinstance(value, str) and _ELSEWHERE.match(value):
            return f"{shown(key)} in it names a file, a model or a place outside"
    return ""


def json_object(says_all: bool = False) -> Kind:
    """A JSON object of any keys but those that load; of those too if it is text for a template."""

    def wrong(value: str) -> str:
        found = _parsed(value)
        if not isinstance(found, dict):
            return "its value is one JSON object"
        return "" if says_all else _foreign(found)

    return Kind(wrong=wrong, is_json=True)


def json_keys(keys: Iterable[str], paths: Iterable[str] = ()) -> Kind:
    """A JSON object of these keys alone: plain values, and at `paths` paths in the model's folder.

    A plain value is no path, and no name in a module, however deep it stands.
    """
    plain, inside = frozenset(keys), frozenset(paths)

    def wrong(value: str) -> str:
        found = _parsed(value)
        if not isinstance(found, dict):
            return "its value is one JSON object"
        for key, held in found.items():
            if key in inside:
                if not isinstance(held, str) or not below(MODEL_PATH, held):
                    return f"{shown(key)} in it is a path in {MODEL_PATH}"
            elif key not in plain:
                hint = nearest(key, plain | inside, "leave it out")
                return f"{shown(key)} in it is none that a spec writes ({hint})"
            elif any(
                isinstance(one, str) and _LINKED.search(one) for _, one in _leaves({key: held})
            ):
                return f"{shown(key)} in it is no path and no import path"
        return ""

    return Kind(wrong=wrong, is_json=True)


def _no_adapter(value: str) -> str:
    """LoRA adapters: name=path, or JSON with name, path and base_model_name (vLLM's)."""
    found, named = _parsed(value), _NAMED.fullmatch(value)
    if isinstance(found, dict):
        path = found.get("path")
        known = found.keys() <= {"name", "path", "base_model_name"}
        fits = known and isinstance(path, str) and below(MODEL_PATH, path)
    else:
        fits = named is not None and below(MODEL_PATH, named[1])
    return "" if fits else f"an adapter is name=path, with a path in {MODEL_PATH}"


def _no_paths(value: str) -> str:
    found = _parsed(value)
    fits = isinstance(found, dict) and all(
        isinstance(path, str) and below(MODEL_PATH, path) for path in found.values()
    )
    return "" if fits else f"its value is a JSON object of paths in {MODEL_PATH}"


SWITCH: Final = Kind(takes="none", wrong=_nothing)
OPTION: Final = Kind(takes="may", wrong=_no_word)
NUMBER: Final = Kind(wrong=_no_number)
NUMBERS: Final = Kind(takes="many", wrong=_no_number)
WORD: Final = Kind(wrong=_no_word)
TEXT: Final = Kind(wrong=_nothing)
TEXTS: Final = Kind(takes="many", wrong=_nothing)
MODEL_FILE: Final = Kind(wrong=_outside_model)
MODEL_FOLDER: Final = Kind(wrong=_outside_model_relative)
SCRATCH_FILE: Final = Kind(wrong=_outside_scratch)
TEMPLATE: Final = Kind(wrong=_no_template)
ADAPTERS: Final = Kind(takes="many", wrong=_no_adapter)
MODEL_FILES: Final = Kind(wrong=_no_paths, is_json=True)
JSON_OBJECT: Final = json_object()
TEMPLATE_VALUES: Final = json_object(says_all=True)


def table(*rows: tuple[Kind, str], lead: str = "") -> Mapping[str, Kind]:
    """Rows of a kind and the names that have it, as a mapping by name; `lead` goes before each."""
    return {
        name if name.startswith("-") else f"{lead}{name}": kind
        for kind, names in rows
        for name in names.split()
    }
