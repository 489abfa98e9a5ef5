"""What an image of a team's own serves: said in the spec, or by the runtime that it stands for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from model_specs.batching import Batching, variables
from model_specs.errors import nearest, refuse, shown
from model_specs.field_types import Argument
from model_specs.part import Part
from model_specs.runtime_row import Metric, Path, Port, Seconds
from model_specs.runtimes import CUSTOM, RUNTIMES, SERVER_UID, Runtime

_FIRST_USER: Final = SERVER_UID
"""Below are users of distributions and of nodes; no rule lets a tenant's pod run as one of them."""


def _check_runtime(name: str) -> str:
    if name in RUNTIMES:
        return name
    raise refuse("E331", f"no such runtime, got {shown(name)}; {nearest(name, RUNTIMES)}")


RuntimeName = Annotated[str, AfterValidator(_check_runtime)]
_User = Annotated[int, Field(ge=_FIRST_USER, le=2**31 - 1)]


class Server(Part):
    """The contract of an image of one's own, where it is not the Open Inference Protocol's."""

    command: Annotated[tuple[Argument, ...], Field(max_length=100)] = ()
    """The program and its first arguments; without it the image's own entrypoint runs."""
    port: Port = CUSTOM.port
    """Where it answers HTTP."""
    live_path: Path = CUSTOM.live_path
    """A GET of it answers 200 while the server lives."""
    ready_path: Path = CUSTOM.ready_path
    """A GET of it answers 200 once the model is loaded; the default probe asks it too."""
    metrics_path: Path = CUSTOM.metrics_path
    """Where Prometheus reads its metrics."""
    metrics_port: Port | None = None
    """At which port it does; without it at `port`."""
    waiting_metric: Annotated[Metric, Field(min_length=1)] = CUSTOM.queue_metric
    """The gauge of requests that wait, by which it is scaled."""
    running_metric: Metric = CUSTOM.running_metric
    """The gauge of requests being answered; empty where the other one counts these too."""
    user: _User = CUSTOM.user
    """The uid it runs as."""
    group: _User = CUSTOM.group
    """The gid it runs as, to which the files that it writes belong."""
    start_seconds: Seconds = CUSTOM.engine_start_seconds
    """From its start to the first byte of the model that it reads."""
    shutdown_seconds: Seconds = CUSTOM.shutdown_seconds
    """How long it may finish its requests after SIGTERM."""


@cache
def contract(
    image: str, runtime: str | None, server: Server | None, batching: Batching | None
) -> Runtime:
    """The row by which an image is started, asked, measured and ended.

    `image` is a runtime's name or one of a team's own; the others are of the spec.
    """
    row = _row(image, runtime, server)
    return replace(row, env={**row.env, **variables(row, batching)}) if batching else row


def _row(image: str, runtime: str | None, server: Server | None) -> Runtime:
    if image in RUNTIMES:
        return RUNTIMES[image]
    if runtime is not None:
        return replace(RUNTIMES[runtime], image="")
    if server is None:
        return CUSTOM
    return replace(
        CUSTOM,
        command=server.command,
        port=server.port,
        live_path=server.live_path,
        ready_path=server.ready_path,
        probe_path=server.ready_path,
        metrics_path=server.metrics_path,
        metrics_port=server.metrics_port or server.port,
        queue_metric=server.waiting_metric,
        running_metric=server.running_metric,
        user=server.user,
        group=server.group,
        engine_start_seconds=server.start_seconds,
        shutdown_seconds=server.shutdown_seconds,
    )
