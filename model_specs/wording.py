"""Says what pydantic finds in a file in the house's words, with a way out that fits the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from model_specs.batch_fields import BATCH_FIELDS
from model_specs.errors import SpecError, nearest, shown
from model_specs.foreign_fields import FOREIGN_FIELDS
from model_specs.moment import span_of
from model_specs.part import part_at, part_of
from model_specs.per_region import MARKS
from model_specs.project import ProjectSpec
from model_specs.schema import ModelSpec
from model_specs.source import MAX_ERRORS, Source, Where

Said = tuple[str, str]

_KINDS: Final[dict[str, type[BaseModel]]] = {
    "project.yaml": ProjectSpec,
    "a model's file": ModelSpec,
}
"""Where else a field may belong."""
_UNITS: Final[tuple[tuple[str, str, str], ...]] = (
    ("mib_per_second", "E303", "MiB a second"),
    ("seconds", "E304", "seconds"),
    ("gib", "E303", "GiB"),
    ("percent", "E303", "percent"),
    ("steps", "E303", "percent"),
    ("cpu_quota", "E303", "CPU cores"),
    ("gpu_quota", "E303", "GPUs"),
    ("usd_per_month", "E303", "US dollars a month"),
    ("price_usd_per_hour", "E303", "US dollars an hour"),
    ("requests_per_minute", "E303", "requests a minute"),
    ("availability", "E303", "shares of one (0.995)"),
)
"""How a field's name ends, and what its number counts; units are in names, never in values."""
_SPAN: Final = re.compile(
    r"(\d{1,6}) ?(s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)", re.IGNORECASE
)
_CURES: Final = (
    ("bool", "write true or false"),
    ("float", "write a number"),
    ("int", "write a whole number"),
    ("literal", "take one of these"),
    ("string", "put it in quotes"),
    ("tuple", "write a list: [one, two]"),
    ("", "write `key: value` lines"),
)
"""Prefixes of pydantic's names for a wrong type, and what to write; first match wins."""
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d+)?")


def _homes(part: type[BaseModel], word: str, prefix: str) -> Iterator[str]:
    """Paths under `part` of every field called `word`; what may differ in a region has its own."""
    for name, field in part.model_fields.items():
        if name == "regions":
            continue
        if name == word:
            yield f"{prefix}{name}"
        inner = part_of(field.annotation)
        if inner is not None:
            yield from _homes(inner, word, f"{prefix}{name}.")


def _applies(path: str, is_batch: bool) -> bool:
    """Whether a model spec that is a batch job, or a server, may have a field at `path`."""
    first = path.partition(".")[0]
    return first in BATCH_FIELDS if is_batch else first != "batch"


def _missing(details: ErrorDetails, part: type[BaseModel]) -> Said:
    *above, name = details["loc"]
    field = part_at(part, above).model_fields.get(str(name))
    about = re.sub(r"(?<!\.)\.$", "", ((field and field.description) or "").replace("\n", " "))
    return "E203", f"missing; write {name}: {about}"


def _unknown(details: ErrorDetails, part: type[BaseModel]) -> Said:
    *above, last = details["loc"]
    known, word = tuple(part_at(part, above).model_fields), str(last)
    got = f"got {shown(word)}"
    if not above and part in _KINDS.values() and word in FOREIGN_FIELDS:
        code, why, cure = FOREIGN_FIELDS[word]
        return code, f"{why}, {got}; {cure}"
    is_batch = details["ctx"]["is_batch"]
    homes = [path for path in _homes(part, word, "") if _applies(path, is_batch)]
    homes += [
        f"{path} in {file}"
        for file, other in _KINDS.items()
        if other is not part and part in _KINDS.values()
        for path in _homes(other, word, "")
    ]
    if homes:
        return "E202", f"no such field here, {got}; it belongs at {' or '.join(homes)}"
    return "E201", f"no such field, {got}; {nearest(word, known)}"


def _unit(where: Where) -> Said | None:
    """Code and unit of the number at `where`, told by the names on the way to it."""
    names = [step for step in where if isinstance(step, str)]
    for end, code, unit in _UNITS:
        if any(name.endswith(end) for name in names):
            return code, unit
    return None


def _typed(details: ErrorDetails, part: type[BaseModel]) -> Said:
    kind, value, where = details["type"], details["input"], details["loc"]
    got = f"{_lower(details['msg'])}, got {shown(value)}"
    number = kind.startswith(("int", "float"))
    unit = _unit(where) if number and isinstance(value, str) else None
    if number and isinstance(value, str) and _NUMBER.fullmatch(value):
        return "E204", f"{got}; take the quotes and leading zeros off"
    if unit is not None and any(map(str.isdigit, str(value))):
        code, counts = unit
        whole = "a whole number" if kind.startswith("int") else "a number"
        span = _SPAN.fullmatch(str(value)) if code == "E304" else None
        exact = f"{int(span[1]) * _SECONDS[span[2][0].lower()]}" if span else "a bare number"
        return code, f"counts {counts} as {whole}, got {shown(value)}; write {exact}"
    return "E204", f"{got}; {next(cure for start, cure in _CURES if kind.startswith(start))}"


def _bounded(details: ErrorDetails, part: type[BaseModel]) -> Said:
    got = f"{_lower(details['msg'])}, got {shown(details['input'])}"
    return "E301", f"{got}; stay within the bounds"


def _moment(details: ErrorDetails, part: type[BaseModel]) -> Said:
    given = details["input"]
    if isinstance(given, str) and span_of(given):
        why = f"counted from no moment yet, got {shown(given)}"
        return "E352", f"{why}; run `isoserve model pin` on this spec: it writes the moment"
    why = f"no moment with a time zone, got {shown(given)}"
    return "E352", f"{why}; write e.g. 2027-01-31T00:00:00Z"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].replace("Input ", "")


_BOUNDS: Final = (
    "greater_than", "less_than", "too_short", "too_long", "string_pattern", "string_too",
    "finite_number",
)  # fmt: skip
_SENTENCES: Final[
    tuple[tuple[tuple[str, ...], Callable[[ErrorDetails, type[BaseModel]], Said]], ...]
] = (
    (("missing",), _missing),
    (("extra_forbidden",), _unknown),
    (_BOUNDS, _bounded),
    (("datetime", "timezone"), _moment),
    (("",), _typed),
)
"""Prefixes of pydantic's error types, and who says code and sentence; first match wins."""


def _said(details: ErrorDetails, part: type[BaseModel]) -> Said:
    own = details.get("ctx", {})
    if "why" in own:  # a validator of ours has said it already
        return details["type"], own["why"]
    return next(
        sentence(details, part)
        for prefixes, sentence in _SENTENCES
        if details["type"].startswith(prefixes)
    )


def translate(source: Source, error: ValidationError, part: type[BaseModel]) -> list[SpecError]:
    """pydantic's findings in our form, at their places in the file."""
    found: list[SpecError] = []
    for details in islice(error.errors(include_url=False), MAX_ERRORS + 1):
        # pydantic says `[key]` where a key of a mapping is wrong; the place is the key's own.
        where = tuple(step for step in details["loc"] if step not in ("[key]", *MARKS))
        values = source.values if isinstance(source.values, dict) else {}
        told = {**details.get("ctx", {}), "is_batch": values.get("batch") is not None}
        code, message = _said({**details, "loc": where, "ctx": told}, part)
        found.append(source.error(where, code, message))
    return found
