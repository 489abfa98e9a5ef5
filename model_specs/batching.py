"""Micro-batching: how many requests a server puts together, and how long the first one waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import Field

from model_specs.contradictions import Fault
from model_specs.part import Part
from model_specs.runtimes import Runtime


class Batching(Part):
    """Requests that a server answers together; a GPU answers many in the time of one."""

    max_size: Annotated[int, Field(ge=2, le=4096)]
    """The most requests of one batch."""
    max_wait_ms: Annotated[int, Field(ge=1, le=60_000)]
    """How long the first of a batch waits for others, in milliseconds; it adds to each answer."""


_INSTEAD: Final = {
    "code": "it is said in the service's code: write {} there, and remove this",
    "itself": "it batches by itself; remove this",
    "model_files": "it is said in the model's files: write {} there, and remove this",
}


def variables(runtime: Runtime, wish: Batching) -> dict[str, str]:
    """The variables that say `wish` to a server of `runtime`; none where they do not."""
    said = runtime.batching
    if said is None or said.by != "variables":
        return {}
    wait = wish.max_wait_ms * said.wait_units_per_second / 1000
    return {said.max_size: str(wish.max_size), said.max_wait: f"{wait:f}".rstrip("0").rstrip(".")}


def unbatched(spec: Any) -> Iterator[Fault]:
    """A wish for batches that a runtime does not take, or that `env` says otherwise."""
    if spec.batching is None:
        return
    for image in dict.fromkeys(spec.images.values()):
        runtime = spec.contract_of(image)
        said = runtime.batching
        if said is None:
            why = "an image of one's own batches as its code says; remove this, or name its runtime"
            yield ("batching",), "E353", why
        elif said.by != "variables":
            knobs = " and ".join(filter(None, (said.max_size, said.max_wait)))
            cure = _INSTEAD[said.by].format(knobs)
            yield ("batching",), "E353", f"{runtime.name} is not told it by the platform, {cure}"
    for name in sorted(spec.env):
        if any(
            name in variables(spec.contract_of(one), spec.batching) for one in spec.images.values()
        ):
            yield ("env", name), "E353", "batching says this; remove one of them"
