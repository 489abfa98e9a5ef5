"""How many replicas serve, and in which windows of the day there are more of them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from model_specs.cron import out_of_turn, parse_cron
from model_specs.errors import refuse, refuse_all, shown
from model_specs.field_types import Cron, Replicas, Seconds, Zone
from model_specs.part import Part


class Schedule(Part):
    """A floor of replicas in a window of the day; it never caps."""

    start: Cron
    """When the window opens, five cron fields."""
    end: Cron
    """When the window closes, five cron fields."""
    timezone: Zone = "UTC"
    """An IANA time zone; both ends are read in it."""
    replicas: Replicas
    """Replicas kept while the window is open."""

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if parse_cron(self.start) == parse_cron(self.end):
            why = f"a window that closes as it opens is none, got {shown(self.end)} twice"
            refuse_all([(("end",), "E305", f"{why}; write when it closes")])
        if fault := out_of_turn(self.start, self.end):
            why = (
                f"starts and ends take turns, or KEDA opens the window at other times, got {fault}"
            )
            cure = "write one end for each start, e.g. 0 8 * * 1-5 and 0 18 * * 1-5"
            refuse_all([(("end",), "E305", f"{why}; {cure}")])
        return self


QueueDepth = Annotated[int, Field(ge=1, le=10_000)]
Schedules = Annotated[tuple[Schedule, ...], Field(max_length=100)]


class Scaling(Part):
    """How many replicas serve, and what makes them more."""

    min: Replicas = 1
    """Replicas kept warm in every region."""
    max: Replicas = 2
    """The most replicas in one region."""
    queue_depth: QueueDepth = 4
    """Requests in the server per replica, running and waiting, above which a replica is added and
    below which one is given back. Each version is measured by itself."""
    scale_to_zero: bool = False
    """Give every replica back when no request came for `idle_seconds`."""
    idle_seconds: Seconds = 600
    """How long without a request before the last replica goes."""
    schedules: Schedules = ()
    """Windows with a higher floor."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            why = f"min is above max, got min {self.min} and max {self.max}; raise max or lower min"
            raise refuse("E302", why)
        for schedule in self.schedules:
            if schedule.replicas > self.max:
                why = f"a schedule's replicas exceed max, got {schedule.replicas} over {self.max}"
                raise refuse("E302", f"{why}; raise max")
        return self
