"""Fields of a server that are right alone and wrong together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

Fault = tuple[tuple[str | int, ...], str, str]
"""Place, code and message, as errors.refuse_all takes them."""
_PROBES_SHARE: Final = 4
"""So many times its own questions a prober must be let through: others call meanwhile."""
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


def candidate_as_it_is(candidate: object, spec: object) -> Iterator[Fault]:
    """A candidate that is what serves: its rollout would prove nothing and take its GPUs."""
    fields = {name: getattr(candidate, name, None) for name in _OF_A_VERSION}
    named = [name for name, value in fields.items() if value is not None]
    if named and all(fields[name] == getattr(spec, name) for name in named):
        why = f"the candidate is what serves already, got the same {' and '.join(named)}"
        yield ("rollout", "candidate"), "E353", f"{why}; change it, or remove the rollout"
