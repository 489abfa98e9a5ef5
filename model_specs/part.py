"""The manner of every part of a file that a person writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Typed, closed, unchangeable."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def part_of(annotation: Any) -> type[BaseModel] | None:
    """The part inside `Part`, `Part | None`, `tuple[Part, ...]` or an Annotated of these."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = part_of(argument)
        if found is not None:
            return found
    return None


def part_at(part: type[BaseModel], where: Iterable[str | int]) -> type[BaseModel]:
    """The part that stands at `where` under `part`."""
    for step in where:
        field = part.model_fields.get(str(step))
        part = (part_of(field.annotation) if field else None) or part
    return part
