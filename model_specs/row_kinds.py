"""What a row of the catalogue says of the values of flags and of variables.

Most are of a plain kind, listed by its name. A form is a kind with particulars of its own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from model_specs.catalogue_files import Row, Text
from model_specs.errors import refuse, refuse_all, shown
from model_specs.flag_kinds import (
    ADAPTERS,
    JSON_OBJECT,
    MODEL_FILE,
    MODEL_FILES,
    MODEL_FOLDER,
    NUMBER,
    NUMBERS,
    OPTION,
    SCRATCH_FILE,
    SWITCH,
    TEMPLATE,
    TEMPLATE_VALUES,
    TEXT,
    TEXTS,
    WORD,
    Kind,
    class_of,
    json_keys,
    matching,
    one_of,
    one_or_path,
)

Flag = Annotated[str, Field(pattern=r"^--?[A-Za-z][A-Za-z0-9_-]*$", max_length=128)]
Exact = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=128)]
"""The name of a variable."""
FlagKind = Literal[
    "adapters",
    "json_object",
    "model_file",
    "model_files",
    "model_folder",
    "number",
    "numbers",
    "option",
    "scratch_file",
    "switch",
    "template",
    "template_values",
    "text",
    "texts",
    "toggle",
    "word",
]
"""Of model_specs.flag_kinds, by name. A `toggle` is a switch that is turned off by "no-" before its
name (argparse's BooleanOptionalAction)."""
VariableKind = Literal[
    "json_object",
    "model_file",
    "model_files",
    "model_folder",
    "number",
    "scratch_file",
    "text",
    "word",
]
"""Those that are of one value."""
_TOGGLE: Final = "toggle"
_PLAIN: Final = {
    "adapters": ADAPTERS,
    "json_object": JSON_OBJECT,
    "model_file": MODEL_FILE,
    "model_files": MODEL_FILES,
    "model_folder": MODEL_FOLDER,
    "number": NUMBER,
    "numbers": NUMBERS,
    "option": OPTION,
    "scratch_file": SCRATCH_FILE,
    "switch": SWITCH,
    "template": TEMPLATE,
    "template_values": TEMPLATE_VALUES,
    "text": TEXT,
    "texts": TEXTS,
    _TOGGLE: SWITCH,
    "word": WORD,
}


def _check_pattern(pattern: str) -> str:
    try:
        with warnings.catch_warnings(action="ignore"):  # about what a later Python may read anew
            re.compile(pattern, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        why = f"no regular expression ({error}), got {shown(pattern)}"
        raise refuse("E306", f"{why}; mend it, or escape what is meant literally") from None
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_check_pattern)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=128)]
_FORMS: Final = ("class_of", "json_keys", "one_of", "pattern")


class Form(Row):
    """A kind of value with particulars: one of `one_of`, `pattern`, `json_keys` and `class_of`."""

    one_of: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """A closed choice of words."""
    or_model_file: bool = False
    """Whether a path in the model's folder is taken beside the words of `one_of`."""
    pattern: Pattern | None = None
    """A regular expression (Python's `re`, ASCII) that the whole value fits."""
    says: Text | None = None
    """What a value that fits `pattern` looks like, for messages."""
    json_keys: Annotated[tuple[Key, ...], Field(min_length=1)] | None = None
    """A JSON object of these keys alone, whose values name no path and no import path."""
    path_keys: tuple[Key, ...] = ()
    """Further keys of it, whose values are paths in the model's folder."""
    class_of: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$", max_length=64)] | None = None
    """The import path of a class of this Python package, or of one that begins so."""

    @model_validator(mode="after")
    def _is_one_form(self) -> Self:
        given = [name for name in _FORMS if getattr(self, name) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            why = f"a form has one of {', '.join(_FORMS)}, got {got}"
            raise refuse("E301", f"{why}; write one, or a form for each")
        for name, of in (("or_model_file", "one_of"), ("path_keys", "json_keys")):
            if getattr(self, name) and of != given[0]:
                raise refuse("E301", f"{name} goes with {of}, got {given[0]}; leave it out")
        if (self.says is None) != (self.pattern is None):
            got = "no words" if self.says is None else "words alone"
            raise refuse("E301", f"a pattern has words for messages, got {got}; write both")
        return self

    def kind(self) -> Kind:
        """The kind of value that this form says."""
        if self.one_of:
            return one_or_path(*self.one_of) if self.or_model_file else one_of(*self.one_of)
        if self.json_keys:
            return json_keys(self.json_keys, self.path_keys)
        if self.class_of:
            return class_of(self.class_of)
        return matching(self.pattern or "", self.says or "")


class FlagForm(Form):
    """The form of the values of some flags."""

    flags: Annotated[tuple[Flag, ...], Field(min_length=1)]


class VariableForm(Form):
    """The form of the values of some variables."""

    variables: Annotated[tuple[Exact, ...], Field(min_length=1)]


Listed = Mapping[FlagKind, Sequence[str]] | Mapping[VariableKind, Sequence[str]]


def named(
    listed: Listed, forms: Sequence[FlagForm | VariableForm]
) -> Iterator[tuple[tuple[str | int, ...], str, Kind]]:
    """Every name, with the place where it stands in the row, and its kind."""
    for plain, names in listed.items():
        for index, name in enumerate(names):
            yield ("listed", plain, index), name, _PLAIN[plain]
            if plain == _TOGGLE:
                yield ("listed", plain, index), f"--no-{name.removeprefix('--')}", _PLAIN[plain]
    for number, form in enumerate(forms):
        key = "flags" if isinstance(form, FlagForm) else "variables"
        kind = form.kind()
        for index, name in enumerate(getattr(form, key)):
            yield ("forms", number, key, index), name, kind


def kinds_of(listed: Listed, forms: Sequence[FlagForm | VariableForm]) -> dict[str, Kind]:
    """The kinds of value by name. Raises ValidationError for names that are listed twice."""
    found: dict[str, Kind] = {}
    twice = []
    for where, name, kind in named(listed, forms):
        if name in found:
            twice.append((where, "E301", f"listed twice, got {shown(name)}; keep one"))
        found[name] = kind
    refuse_all(twice)
    return found
