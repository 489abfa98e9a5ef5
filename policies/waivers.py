"""Exceptions from rules, as data: who answers for one, why, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from model_specs.errors import SpecError
from model_specs.load import parse
from model_specs.part import Part
from model_specs.source import Source, read

LONGEST_DAYS: Final = 90
ROW: Final = "P36"


class Waiver(Part):
    """One exception, from one rule for one resource."""

    rule: str
    """The rule's name, e.g. `image-digest`."""
    resource: str
    """What it is for, as findings print it: `Deployment search/embedder`."""
    owner: Annotated[str, Field(min_length=2)]
    """Who answers for it."""
    reason: Annotated[str, Field(min_length=10)]
    """Why it must be, and what would end it."""
    expires: date
    """The last day it holds, at most 90 days away."""


class WaiverList(Part):
    """policies/waivers.yaml: all exceptions there are."""

    waivers: tuple[Waiver, ...]
    """The exceptions, in any order."""


@dataclass(frozen=True, slots=True)
class Waivers:
    """The exceptions, and the file they stand in.

    `new` are those among the rows that came with the change under review: they do not count yet.
    """

    source: Source
    rows: tuple[Waiver, ...]
    new: tuple[Waiver, ...] = ()

    def holds(self, rule: str, resource: str, today: date) -> Waiver | None:
        """The exception that is in force for this finding."""
        for row in self.rows:
            if row in self.new:
                continue
            if (row.rule, row.resource) == (rule, resource) and row.expires >= today:
                return row
        return None

    def _error(self, index: int, field: str, message: str) -> SpecError:
        return self.source.error(("waivers", index, field), ROW, message)

    def faults(self, rules: Iterable[str], today: date) -> list[SpecError]:
        """Exceptions that no longer hold, hold too long, or are from no rule."""
        known = frozenset(rules)
        found: list[SpecError] = []
        for index, row in enumerate(self.rows):
            days = (row.expires - today).days
            if days < 0:
                message = (
                    f"expired on {row.expires}; mend {row.resource}, or renew it with a reason"
                )
                found.append(self._error(index, "expires", message))
            if days > LONGEST_DAYS:
                message = f"at most {LONGEST_DAYS} days, got {days}; choose an earlier day"
                found.append(self._error(index, "expires", message))
            if row.rule not in known:
                message = f"no such rule, got {row.rule!r}; take a name of policies/rules.md"
                found.append(self._error(index, "rule", message))
        return found

    def unused(self, used: Iterable[Waiver]) -> list[SpecError]:
        """Exceptions that nothing needed, which the next fault would hide behind.

        What is new waits for the change that needs it.
        """
        needed = [*used, *self.new]
        return [
            self._error(
                index, "resource", f"nothing needs it: {row.resource} passes {row.rule}; remove it"
            )
            for index, row in enumerate(self.rows)
            if row not in needed
        ]


def read_waivers(path: Path) -> Waivers:
    """The exceptions in `path`. Raises SpecErrors when the file is missing or refused."""
    source = read(path, f"{path.parent.name}/{path.name}")
    return Waivers(source, parse(source, WaiverList).waivers)
