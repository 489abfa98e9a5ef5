"""What is legal in a spec and may surprise its team: warnings, which change no exit code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from model_specs.errors import SpecError
from model_specs.load import Model, Specs
from model_specs.moment import written
from model_specs.names import MODEL_PATH, SCRATCH
from model_specs.per_region import named
from model_specs.runtimes import CUSTOM, RUNTIMES, Runtime
from model_specs.schema import TTL_NOTICE

OWN_IMAGE, NOT_PROBED, TTL, ASLEEP = "W403", "W404", "W405", "W408"

_CONTAINER: Final = (
    f"it runs as uid {CUSTOM.user} and gid {CUSTOM.group} with a read-only root, writes to "
    f"{SCRATCH} alone (its HOME), and finds the model in {MODEL_PATH}"
)
"""What every container of an own image finds, whatever it serves."""


def _signals(stable: Runtime) -> str:
    """By which metrics the server is scaled."""
    waiting, running = f"the gauge {stable.queue_metric}", stable.running_metric
    return f"{waiting} and {running}" if running else waiting


def _contract(stable: Runtime) -> str:
    """What the platform demands of a server's image where it is asked as `stable` is."""
    return (
        f"{_CONTAINER}; its own entrypoint starts a server that answers GET {stable.live_path} and "
        f"{stable.ready_path} on port {stable.port}, serves {stable.metrics_path} on port "
        f"{stable.metrics_port} with {_signals(stable)}, and ends within "
        f"{stable.shutdown_seconds} s of SIGTERM"
    )


def _demanded(model: Model) -> str:
    """What an image of the model's own must do; a candidate is asked and ended as the stable is."""
    if model.spec.batch is not None:
        return _CONTAINER
    return _contract(model.spec.contract_of(model.spec.image))


def advice(models: Iterable[Model]) -> Iterator[SpecError]:
    """Images of one's own with the contract they are held to, and endpoints without a request."""
    for model in models:
        for where, image in model.spec.images.items():
            said = model.spec.runtime or model.spec.server
            if image not in RUNTIMES and not said:
                message = f"an image of your own is held to this contract: {_demanded(model)}"
                yield model.source.error(where, OWN_IMAGE, message)
        if model.spec.batch is None and model.spec.probe.request is None:
            path = model.spec.contract_of(model.spec.image).probe_path
            message = (
                f"not probed for correctness: only GET {path} is asked, and nobody is paged by it; "
                "write probe.request with an example whose answer is known"
            )
            yield model.source.error(("probe",), NOT_PROBED, message)


def sleepers(models: Iterable[Model]) -> Iterator[SpecError]:
    """Models that may have no pod, which a gateway's first caller does not wake everywhere.

    Envoy Gateway gives a route without endpoints an answer of its own, so that no cluster counts
    the request that should wake the model (internal/gatewayapi/route.go of 1.9.1, "no ready
    endpoints"; envoyproxy/gateway#8288).
    """
    for model in models:
        spec = model.spec
        places: list[tuple[str | int, ...]] = [()] if spec.scaling.scale_to_zero else []
        for where, _, here in named(spec.regions):
            if here is not None and here.scaling is not None and here.scaling.scale_to_zero:
                places.append(where)
        for place in places:
            message = (
                "nobody wakes it behind Envoy Gateway 1.5 or later, which answers 503 itself and "
                "counts no request while no pod is there; write scaling.min or scaling.schedules, "
                "unless the region's gateway is another"
            )
            yield model.source.error((*place, "scaling", "scale_to_zero"), ASLEEP, message)


def ttls(specs: Specs, at: datetime) -> Iterator[SpecError]:
    """Models that are no longer planned at the moment `at`, and those that soon will not be."""
    for model in (*specs.expired, *specs.models):
        ttl = model.spec.ttl
        if ttl is not None and ttl <= at:
            what = f"passed on {written(ttl)}: the model is planned nowhere (at {written(at)})"
            cure = "set a later ttl to bring it back, or delete the spec"
            yield model.source.error(("ttl",), TTL, f"{what}; {cure}")
        elif ttl is not None and ttl - at <= TTL_NOTICE:
            what = f"passes on {written(ttl)}, within {TTL_NOTICE.days} days; then the model goes"
            yield model.source.error(("ttl",), TTL, f"{what}; set a later ttl to keep it")
