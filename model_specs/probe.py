"""The example request by which the platform sees whether a model answers rightly."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from model_specs.errors import refuse_all
from model_specs.field_types import Pattern
from model_specs.json_path import JsonPath
from model_specs.part import Part

PAGE_SECONDS: Final = 10
"""From a model's second wrong answer to its page: a scrape, an evaluation, and some to spare."""


class ProbeRequest(Part):
    """The example request; it should be cheap and its answer known."""

    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1024)]
    """HTTP path on the model's endpoint."""
    body: dict[str, Any]
    """The JSON body, sent with POST."""


class Expectation(Part):
    """What makes the answer right."""

    status: Annotated[int, Field(ge=200, le=299)] = 200
    """HTTP status."""
    json_path: JsonPath = ""
    """A path that must exist in the JSON answer, e.g. `outputs[0].data`; empty asks nothing."""
    length: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Items of the list at `json_path`, e.g. an embedding's dimensions; 0 asks nothing."""
    matches: Pattern = ""
    """A regular expression that the answer must match; empty asks nothing."""
    latency_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    """The longest time to the whole answer; at most half of what `interval_seconds` has over 10."""

    @model_validator(mode="after")
    def _counts_a_list(self) -> Self:
        if self.length and not self.json_path:
            refuse_all([(("length",), "E353", "it counts the list at json_path; write that too")])
        return self


class Probe(Part):
    """The synthetic probe: a real request, sent the way a user's goes.

    A model that stops answering calls people within two intervals.
    """

    request: ProbeRequest | None = None
    """The request; without it the runtime is asked whether it is ready, and nobody is paged."""
    expect: Expectation = Expectation()
    """What the answer must be."""
    interval_seconds: Annotated[int, Field(ge=15, le=3600)] = 30
    """Time from one probe to the next; at least 10 and twice `expect.latency_seconds`."""

    @model_validator(mode="after")
    def _counts_no_stream(self) -> Self:
        streams = self.request is not None and self.request.body.get("stream") is True
        if self.expect.length and streams:
            why = "the events of a stream have no one list to count; leave out length, or stream"
            refuse_all([(("expect", "length"), "E353", why)])
        return self

    @model_validator(mode="after")
    def _judges_what_was_asked(self) -> Self:
        """Only an answer to the spec's own request has a known content."""
        if self.request is None:
            refuse_all(
                (("expect", name), "E203", "it judges the answer to probe.request; write that too")
                for name, field in sorted(Expectation.model_fields.items())
                if name != "latency_seconds" and getattr(self.expect, name) != field.default
            )
        return self

    @model_validator(mode="after")
    def _pages_in_time(self) -> Self:
        """After the last right answer an interval may pass, then two asks that time out."""
        longest, asked = (self.interval_seconds - PAGE_SECONDS) / 2, self.expect.latency_seconds
        if asked > longest:
            enough = PAGE_SECONDS + math.ceil(2 * asked)
            why = (
                f"too long for a page in two intervals of {self.interval_seconds} s, got {asked:g}"
            )
            cure = f"lower it to {longest:g}, or raise interval_seconds to {enough}"
            refuse_all([(("expect", "latency_seconds"), "E353", f"{why}; {cure}")])
        return self
