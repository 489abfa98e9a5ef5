"""Where a model is served, and what differs there: its machine type, replicas, rates and sizes.

Everything else is the same in every region, and so is what a region does not name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationError,
    model_serializer,
)

from model_specs.contradictions import Fault
from model_specs.errors import SpecError, refuse, refuse_all, repeated, shown
from model_specs.field_types import Replicas, Seconds
from model_specs.names import Name
from model_specs.part import Part
from model_specs.scaling import QueueDepth, Schedules
from model_specs.source import Source, Where

SpecT = TypeVar("SpecT", bound=Part)
Rate = Annotated[int, Field(ge=1, le=1_000_000)]
Gib = Annotated[int, Field(ge=1, le=4096)]
MachineName = Annotated[str, Field(min_length=1, max_length=63)]
MARKS: Final = frozenset({"[list]", "[map]", "[name]", "[one]"})
"""What pydantic puts into a place to say which form a value has; no file has it."""


class _Differing(Part):
    """Fields of which those that are left out are as everywhere."""

    @model_serializer(mode="wrap")
    def _stated(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = inner(self)
        return {name: value for name, value in told.items() if value is not None}


class Rates(_Differing):
    """How fast a model's files come, where its team has measured it; else the machine type's row
    says it. Start-up clocks, and the time that a job's files may take, follow."""

    load_mib_per_second: Rate | None = None
    """Node disk to the engine's memory, less where it converts or quantises while it loads."""
    fetch_mib_per_second: Rate | None = None
    """Registry to node disk."""


class ScalingHere(_Differing):
    """What of `scaling` differs in the region; the rest is as everywhere."""

    min: Replicas | None = None
    """Replicas kept warm there."""
    max: Replicas | None = None
    """The most replicas there."""
    queue_depth: QueueDepth | None = None
    """Requests in the server per replica, above which a replica is added there."""
    scale_to_zero: bool | None = None
    """Whether every replica is given back there."""
    idle_seconds: Seconds | None = None
    """How long without a request before the last replica goes there."""
    # A list of a file is no tuple any more once `_check_regions` has seen it.
    schedules: Annotated[Schedules, Field(strict=False)] | None = None
    """Windows with a higher floor there, in the place of those everywhere."""


class Here(_Differing):
    """What differs in one region; what is left out is as everywhere."""

    machine_type: MachineName | None = None
    """The row of the machine catalogue there."""
    scaling: ScalingHere | None = None
    """How many replicas there."""
    rates: Rates | None = None
    """How fast its files come there."""
    tmp_gib: Gib | None = None
    """The size of /tmp there."""
    shared_memory_gib: Gib | None = None
    """The size of /dev/shm there."""


def _form(entry: Any) -> str:
    return "[one]" if isinstance(entry, dict | Mapping) else "[name]"


def _kind(regions: Any) -> str:
    return "[map]" if isinstance(regions, dict | Mapping) else "[list]"


def _named(entry: Any) -> Any:
    """The region of one entry of a list, if it has one."""
    return next(iter(entry)) if isinstance(entry, dict) and len(entry) == 1 else entry


MOST_REGIONS: Final = 100
"""A spec is checked as a whole for each region that it names."""


def _check_regions(regions: Any) -> Any:
    if regions == "all":
        return ()
    if isinstance(regions, list | dict) and len(regions) > MOST_REGIONS:
        why = f"at most {MOST_REGIONS} regions are named, got {len(regions)}"
        raise refuse("E333", f"{why}; write `all`, and below it what differs")
    if not isinstance(regions, list | dict) or not regions:
        why = "regions is `all`, a list of names, or what differs by name"
        raise refuse("E333", f"{why}, got {shown(regions)}; name one")
    if isinstance(regions, dict):
        return regions
    refuse_all(
        ((index,), "E333", f"a region named twice, got {shown(_named(regions[index]))}; keep one")
        for index in repeated(map(_named, regions))
    )
    return tuple(regions)


class _Forms:
    """The JSON Schema of the three forms, which pydantic's checks alone do not tell."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        inner: dict[str, Any] = handler(core)
        listed, by_name = inner["oneOf"]
        return {"anyOf": [{"const": "all"}, {**listed, "minItems": 1}, by_name]}


_Entry = Annotated[
    Annotated[Name, Tag("[name]")]
    | Annotated[dict[Name, Here], Field(min_length=1, max_length=1), Tag("[one]")],
    Discriminator(_form),
]
Regions = Annotated[
    Annotated[tuple[_Entry, ...], Tag("[list]")] | Annotated[dict[Name, Here], Tag("[map]")],
    Discriminator(_kind),
    BeforeValidator(_check_regions),
    _Forms,
]
Said = tuple[str, ...]
"""A field of Here, by its names."""


def named(regions: Any) -> Iterator[tuple[Where, str, Here | None]]:
    """Every region that is named: its place in the file, its name, and what differs there."""
    if isinstance(regions, Mapping):
        yield from ((("regions", name), name, here) for name, here in regions.items())
        return
    for index, entry in enumerate(regions):
        if isinstance(entry, str):
            yield ("regions", index), entry, None
        else:
            yield from ((("regions", index, n), n, here) for n, here in entry.items())


def only(regions: Any) -> tuple[str, ...]:
    """The regions of a list, outside of which the model is not served; empty: everywhere."""
    return () if isinstance(regions, Mapping) else tuple(name for _, name, _ in named(regions))


def differing(here: Here) -> dict[Said, Any]:
    """The fields that are said, with their values."""
    told: dict[Said, Any] = {}
    for name in type(here).model_fields:
        value = getattr(here, name)
        if isinstance(value, Part):
            of_it = {(name, n): getattr(value, n) for n in type(value).model_fields}
            told |= {where: one for where, one in of_it.items() if one is not None}
        elif value is not None:
            told[name,] = value
    return told


def merged(spec: SpecT, here: Here) -> SpecT:
    """The spec as it is where `here` differs. Raises ValidationError where that is refused."""
    told = spec.model_dump(mode="json", exclude_unset=True, exclude={"regions"})
    for name, value in here.model_dump(mode="json").items():
        told[name] = {**told.get(name, {}), **value} if isinstance(value, dict) else value
    return type(spec).model_validate_json(json.dumps(told))


def placed(where: Where, said: Sequence[Said], path: Where) -> Where:
    """Where in the file a field of a merged spec stands: below the region, if that says it."""
    for one in said:
        if path and one[: len(path)] == path[: len(one)]:
            return (*where, *path)
    return path


@dataclass(slots=True)
class SourceHere(Source):
    """A model's file, of which some fields stand below a region."""

    where: Where = ()
    said: tuple[Said, ...] = ()

    def error(self, where: Where, code: str, message: str) -> SpecError:
        """An error at the field that counts in the region."""
        return Source.error(self, placed(self.where, self.said, where), code, message)


def source_here(source: Source, where: Where, here: Here) -> Source:
    """The file as errors of the merged spec are told of it."""
    return SourceHere(
        source.file, source.values, source.places, source.text, where, tuple(differing(here))
    )


def faults(spec: Any) -> Iterator[Fault]:
    """Regions in which nothing differs, or which contradict the rest of the spec."""
    for where, _, here in named(spec.regions):
        if here is None:
            continue
        said = differing(here)
        if not said:
            cure = "write its name alone" if isinstance(where[1], int) else "remove it"
            yield where, "E203", f"nothing differs in this region; write what does, or {cure}"
            continue
        same = [path for path, value in said.items() if _everywhere(spec, path) == value]
        for path in same:
            why = f"it is so everywhere, got {shown(_plain(said[path]))}; remove it"
            yield (*where, *path), "E353", why
        if not same:
            yield from _refused(spec, where, here, tuple(said))


def _plain(value: Any) -> Any:
    return [one.model_dump(mode="json") for one in value] if isinstance(value, tuple) else value


def _everywhere(spec: Any, path: Said) -> Any:
    value = spec
    for name in path:
        value = getattr(value, name)
    return value


def _refused(spec: Any, where: Where, here: Here, said: Sequence[Said]) -> Iterator[Fault]:
    """What a spec of the region's fields would be refused for."""
    try:
        merged(spec, here)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            path = tuple(step for step in found["loc"] if step not in MARKS)
            at = placed(where, said, path)
            why = found.get("ctx", {}).get("why", found["msg"])
            yield at if at != path else where, found["type"], f"in this region {why}"
