"""Fields of a server that are right alone and wrong together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from model_specs.errors import shown
from model_specs.runtimes import RUNTIMES

Fault = tuple[tuple[str | int, ...], str, str]
"""Place, code and message, as errors.refuse_all takes them."""
_PROBES_SHARE: Final = 4
"""So many times its own questions a prober must be let through: others call meanwhile."""
SPOT_DRAIN_SECONDS: Final = 80
"""Of the 120 s of notice that a spot node gives 100 are counted on, and 20 are for the gateways
to stop sending and for slack (regions.clocks.drain)."""
_OF_A_VERSION: Final = ("image", "model", "args", "env")
"""What a candidate may change (schema.Candidate)."""


def limit_of_the_prober(access: str, requests_per_minute: int, interval: int) -> Iterator[Fault]:
    """A limit by which the gateway refuses the prober, which then calls people forever.

    `interval` is the probe's, in seconds.
    """
    enough = math.ceil(_PROBES_SHARE * 60 / interval)
    if access != "private" and requests_per_minute < enough:
        why = f"a probe every {interval} s must be a quarter of it at most"
        cure = f"write {enough} or more, or raise probe.interval_seconds"
        yield ("requests_per_minute",), "E353", f"{why}, got {requests_per_minute}; {cure}"


def cut_answers(spec: Any) -> Iterator[Fault]:
    """Times by which answers would end before they can, or which nothing keeps."""
    if spec.access == "private":
        yield from _ungated(spec)
    else:
        yield from _cut(spec)
    if spec.drain_seconds is not None and spec.server is not None:
        why = "an image's server says how long it takes to end, got server.shutdown_seconds too"
        if "shutdown_seconds" in spec.server.model_fields_set:
            yield ("drain_seconds",), "E353", f"{why}; write one of them"
    drained = spec.contract_of(spec.image).shutdown_seconds
    if spec.capacity.spot and drained > SPOT_DRAIN_SECONDS:
        why = f"a spot node goes after two minutes, got {drained} s for the server's end"
        cure = f"write {SPOT_DRAIN_SECONDS} or less, or leave spot"
        yield ("drain_seconds",), "E353", f"{why}; {cure}"


def _ungated(spec: Any) -> Iterator[Fault]:
    for name in ("timeout_seconds", "stream_idle_seconds"):
        if name in spec.model_fields_set:
            why = "callers of a private model ask it without a gateway that would end an answer"
            yield (name,), "E353", f"{why}; remove it, or use permissive or public"


def _cut(spec: Any) -> Iterator[Fault]:
    """Of a model behind a gateway, whose answers end there after timeout_seconds."""
    longest = spec.timeout_seconds
    shorter = {
        "stream_idle_seconds": spec.stream_idle_seconds,
        "drain_seconds": spec.drain_seconds,
    }
    for name, seconds in shorter.items():
        if seconds is not None and seconds > longest:
            why = f"an answer ends after timeout_seconds, got {seconds} over {longest}"
            yield (name,), "E353", f"{why}; lower it, or raise timeout_seconds"
    promised = {
        "probe.expect.latency_seconds": spec.probe.expect.latency_seconds,
        "slo.latency_seconds": spec.slo.latency_seconds,
    }
    for name, latency in promised.items():
        if latency is not None and latency > longest:
            why = f"{name} lets an answer take {latency:g} s, got {longest}"
            yield ("timeout_seconds",), "E353", f"{why}; raise it, or lower that"


def candidate_as_it_is(candidate: object, spec: object) -> Iterator[Fault]:
    """A candidate that is what serves: its rollout would prove nothing and take its GPUs."""
    fields = {name: getattr(candidate, name, None) for name in _OF_A_VERSION}
    named = [name for name, value in fields.items() if value is not None]
    if named and all(fields[name] == getattr(spec, name) for name in named):
        why = f"the candidate is what serves already, got the same {' and '.join(named)}"
        yield ("rollout", "candidate"), "E353", f"{why}; change it, or remove the rollout"


def args_of_another(spec: Any) -> Iterator[Fault]:
    """Arguments of one runtime that would reach another."""
    candidate = spec.rollout.candidate
    its = candidate.image if candidate else None
    if its is None or candidate.args is not None or not spec.args:
        return
    if spec.contract_of(its).name != spec.contract_of(spec.image).name:
        why = f"args were written for {shown(spec.image)}, got {shown(its)}"
        cure = "write rollout.candidate.args, [] for none"
        yield ("rollout", "candidate", "image"), "E353", f"{why}; {cure}"


def unsaid_server(spec: Any) -> Iterator[Fault]:
    """A contract for images of one's own where there is none, or two of them."""
    said = [name for name in ("runtime", "server") if getattr(spec, name) is not None]
    if said and all(image in RUNTIMES for image in spec.images.values()):
        why = f"it is of an image of one's own, got image {shown(spec.image)}"
        yield from (((name,), "E353", f"{why}; remove it, or pin your image") for name in said)
    elif len(said) > 1:
        why = "an image keeps one contract, got runtime and server; remove one"
        yield ("server",), "E353", why


def uncounted_answers(rollout: Any, probe: Any) -> Iterator[Fault]:
    """A number of right answers where nobody is asked."""
    asked = rollout.candidate is not None and probe.request is not None
    if "right_answers" in rollout.model_fields_set and not asked:
        why = "it counts a candidate's answers to probe.request; write both, or leave it out"
        yield ("rollout", "right_answers"), "E353", why
