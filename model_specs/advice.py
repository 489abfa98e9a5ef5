"""What is legal in a spec and may surprise its team: warnings, which change no exit code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from model_specs.errors import SpecError
from model_specs.load import Model
from model_specs.runtimes import CUSTOM, MODEL_PATH, RUNTIMES, SCRATCH, Runtime
from model_specs.source import Where

OWN_IMAGE, NOT_PROBED = "W403", "W404"


def _container(runtime: Runtime) -> str:
    """What every container of `runtime` finds, whatever it serves."""
    return (
        f"it runs as uid {runtime.user} and gid {runtime.group} with a read-only root, writes to "
        f"{SCRATCH} alone (its HOME), and finds the model in {MODEL_PATH}"
    )


def contract(runtime: Runtime) -> str:
    """What the platform demands of a server's image, in words: its row of the catalogue."""
    return (
        f"{_container(runtime)}; its own entrypoint starts a server that answers GET "
        f"{runtime.live_path} and {runtime.ready_path} on port {runtime.port}, serves "
        f"{runtime.metrics_path} on port {runtime.metrics_port} with the gauge "
        f"{runtime.queue_metric}, and ends within {runtime.shutdown_seconds} s of SIGTERM"
    )


def _images(model: Model) -> Iterator[tuple[Where, str]]:
    """Where the spec names an image, and which."""
    yield ("image",), model.spec.image
    candidate = model.spec.rollout.candidate
    if candidate is not None and candidate.image is not None:
        yield ("rollout", "candidate", "image"), candidate.image


def advice(models: Iterable[Model]) -> Iterator[SpecError]:
    """Images of one's own with the contract they are held to, and endpoints without a request."""
    for model in models:
        is_job = model.spec.batch is not None
        demanded = _container(CUSTOM) if is_job else contract(CUSTOM)
        for where, image in _images(model):
            if image not in RUNTIMES:
                message = f"an image of your own is held to this contract: {demanded}"
                yield model.source.error(where, OWN_IMAGE, message)
        if not is_job and model.spec.probe.request is None:
            path = RUNTIMES.get(model.spec.image, CUSTOM).probe_path
            message = (
                f"not probed for correctness: only GET {path} is asked, and nobody is paged by it; "
                "write probe.request with an example whose answer is known"
            )
            yield model.source.error(("probe",), NOT_PROBED, message)
