"""The runtime catalogue: what each serving image needs to be told and offers, one row an image.

The rows are files of `catalogue/runtimes/` (model_specs.runtime_row), with their sources. Digests
are of the example registry: a company that mirrors the images writes its own digests into files of
its project (model_specs.catalogue_files). A row states the whole command, user and working
directory, so that nothing depends on the image's own entrypoint, USER and WORKDIR: Kubernetes'
`command` replaces the entrypoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from model_specs.arguments import Flags, misused, sets
from model_specs.catalogue_files import Fact, read_folders, rows
from model_specs.errors import shown
from model_specs.kv_cache import KvCache
from model_specs.reserved_variables import LIBRARIES
from model_specs.row_kinds import kinds_of
from model_specs.runtime_row import (
    FACTS,
    OPTIONAL_FACTS,
    SERVED_NAMES,
    WHERE,
    Batching,
    Parallel,
    RuntimeRow,
)
from model_specs.setting import Setting, refusal_of_variable

USER_NAME: Final = "isoserve"
"""The user's name in the environment: the uid stands in no image's /etc/passwd."""
MOST_NAMES: Final = 20
"""Nobody remembers more of one model."""
SERVER_UID: Final = 10001
SERVER_GID: Final = 10001
"""Above 10000, where no distribution has users of its own; no image's files belong to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What the command line of a server may depend on."""

    served_names: tuple[str, ...]
    """The first is what answers say."""
    gpus: int
    port: int
    shutdown_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One serving image and its contract. Paths are HTTP paths on `port`, metrics on
    `metrics_port`.

    `upstream` is the image and version that the row was written for. `command` replaces the image's
    entrypoint and `args` follow it; an empty `command` or `working_dir` keeps the image's own.
    `aliases` are other flags, short ones too, for what `args` sets, and `owned` what else a spec
    does not set; `flags` is all that it may give in `args`, None for a program that refuses to
    start with any, or of which nobody knows (`takes_args`). With
    `needs_gpu` the server cannot start on a machine without a GPU. `gpu_vendors` are those on whose
    GPUs `image` computes and `architectures` the processors that it is built for; an image of one's
    own that keeps this contract may be for others. With `parallel` a spec may share a model over
    its machine's GPUs by arguments.
    `kv_cache` is how it divides GPU memory, where it keeps keys and values of the tokens it has
    seen.
    `env` leads the caches that the software writes below SCRATCH; a spec's own `env` comes over it.
    `queue_metric` is the gauge of requests waiting. With `running_metric`, of those being answered,
    it makes the load to scale on (`load`). Where a runtime has no such gauge, `running_metric` is a
    counter of the time that requests were being answered, in units of which a second has
    `running_units`; its rate is their mean number, and a request is seen when it is over.
    `running_units` is 0 for a gauge. An empty `running_metric` says that `queue_metric` counts
    those too.
    The default probe is a GET of `probe_path`, answered with 200 by every model of this runtime;
    with `probe_json_path` the answer also names the served model there. `sources` has a row for
    each upstream fact.
    `batching` says who puts requests together; None where only the image's code knows.
    `cpu_milli` and others of the machine are not here: they belong to the machine type.
    """

    name: str
    repository: str
    upstream: str
    image: str
    command: tuple[str, ...]
    arg_templates: tuple[str, ...]
    aliases: tuple[str, ...]
    owned: tuple[Setting, ...]
    flags: Flags | None
    takes_args: bool
    architectures: tuple[str, ...]
    needs_gpu: bool
    gpu_vendors: tuple[str, ...]
    parallel: Parallel | None
    kv_cache: KvCache | None
    user: int
    group: int
    working_dir: str
    env: Mapping[str, str]
    port: int
    live_path: str
    ready_path: str
    metrics_path: str
    metrics_port: int
    queue_metric: str
    queue_units: int
    running_metric: str
    running_units: int
    probe_path: str
    probe_json_path: str
    engine_start_seconds: int
    image_gib: float
    shutdown_seconds: int
    batching: Batching | None
    sources: Mapping[str, str]

    def args(self, launch: Launch) -> tuple[str, ...]:
        """The arguments with which the server is launched."""
        said = {
            **WHERE,
            "gpus": max(launch.gpus, 1),
            "metrics_port": self.metrics_port,
            "port": launch.port,
            "served_name": launch.served_names[0],
            "shutdown_seconds": launch.shutdown_seconds,
        }
        words: list[str] = []
        for word in self.arg_templates:
            if word == SERVED_NAMES:
                words += launch.served_names
            else:
                words.append(word.format(**said) if "{" in word or "}" in word else word)
        return tuple(words)

    @property
    def sharing(self) -> Mapping[str, str]:
        """The flags by which a spec may share a model over GPUs: what each is the size of."""
        return self.parallel.flags if self.parallel else {}

    @property
    def most_names(self) -> int:
        """How many served names the server may be told; 0 where it is told none."""
        if SERVED_NAMES in self.arg_templates:
            return MOST_NAMES
        return int(any("{served_name}" in word for word in self.arg_templates))


_V2_LIVE, _V2_READY = "/v2/health/live", "/v2/health/ready"


def _flags(row: RuntimeRow) -> Flags | None:
    if row.flags.takes == "none":
        return None
    return Flags(
        kinds=kinds_of(row.flags.listed, row.flags.forms),
        abbreviated=row.flags.abbreviated,
        reads_variables=row.flags.reads_variables,
        underscores=row.flags.underscores,
        json_parts=row.flags.json_parts,
        digits=row.flags.digits,
    )


def _owned(row: RuntimeRow) -> tuple[Setting, ...]:
    own = (
        Setting(
            flags=one.flags,
            variables=one.variables,
            why=one.why,
            but=kinds_of(one.but.listed, one.but.forms) if one.but else {},
        )
        for one in row.owned.settings
    )
    return (*own, *LIBRARIES)


def _sources(row: RuntimeRow) -> dict[str, str]:
    """Where each of its facts was read, and when."""
    found: dict[str, Fact | None] = {name: getattr(row, name) for name in (*FACTS, *OPTIONAL_FACTS)}
    return {name: f"{fact.source} ({fact.date})" for name, fact in found.items() if fact}


def of_row(name: str, row: RuntimeRow) -> Runtime:
    """A row as the rest of the program takes it."""
    return Runtime(
        name=name,
        repository=row.software.repository,
        upstream=f"{row.software.image}:{row.software.version}",
        image=row.image,
        command=row.command.words,
        arg_templates=row.args.words,
        aliases=row.aliases.flags,
        owned=_owned(row),
        flags=_flags(row),
        takes_args=row.flags.takes != "none",
        architectures=row.architectures.names if row.architectures else (),
        needs_gpu=row.gpu.needed,
        gpu_vendors=row.gpu.kinds,
        parallel=row.parallel,
        kv_cache=row.kv_cache.memory,
        user=row.user.uid,
        group=row.user.gid,
        working_dir=row.working_dir.path.format(**WHERE),
        env={name: value.format(**WHERE) for name, value in row.env.variables.items()},
        port=row.health.port,
        live_path=row.health.live_path,
        ready_path=row.health.ready_path,
        metrics_path=row.metrics.path,
        metrics_port=row.metrics.port,
        queue_metric=row.metrics.waiting,
        queue_units=row.metrics.units_per_second,
        running_metric=row.running.metric,
        running_units=row.running.units_per_second,
        probe_path=row.probe.path,
        probe_json_path=row.probe.json_path,
        engine_start_seconds=row.engine_start_seconds,
        image_gib=row.image_gib,
        shutdown_seconds=row.shutdown_seconds,
        batching=row.batching,
        sources=_sources(row),
    )


RUNTIMES: Final[dict[str, Runtime]] = {
    name: of_row(name, row) for name, row in rows("runtimes", RuntimeRow, read_folders()).items()
}
"""By name, in order of it."""

CUSTOM: Final = Runtime(
    name="custom",
    repository="",
    upstream="",
    image="",  # the spec's own image
    command=(),
    arg_templates=(),
    aliases=(),
    owned=(),
    flags=None,
    takes_args=True,
    architectures=(),
    needs_gpu=False,
    gpu_vendors=(),
    parallel=None,
    kv_cache=None,
    user=SERVER_UID,
    group=SERVER_GID,
    working_dir="",
    env={},
    port=8080,
    live_path=_V2_LIVE,
    ready_path=_V2_READY,
    metrics_path="/metrics",
    metrics_port=8080,
    queue_metric="inference_requests_waiting",
    queue_units=0,
    running_metric="inference_requests_running",
    running_units=0,
    probe_path=_V2_READY,
    probe_json_path="",
    engine_start_seconds=120,
    image_gib=10.0,
    shutdown_seconds=30,
    batching=None,
    sources={},
)
"""The contract of an image of one's own: the Open Inference Protocol v2 on port 8080."""


_RATE_WINDOW: Final = "2m"
"""Several scrapes, of which a rate needs two."""


def _mean(metric: str, matchers: str, units: int) -> str:
    """A gauge of requests, or their mean number by the time that they took."""
    series = f"{metric}{{{matchers}}}"
    return f"rate({series}[{_RATE_WINDOW}]) / {units}" if units else series


def load(runtime: Runtime, matchers: str, by: str = "") -> str:
    """PromQL: requests in the servers that `matchers` select, running and waiting.

    Summed `by` labels, or over all. Without the gauge of those that wait there is no result, and so
    a lost metric is no idle server; the other one may have no series yet.
    """
    grouped = f" by ({by})" if by else ""
    waiting = _mean(runtime.queue_metric, matchers, runtime.queue_units)
    waiting = f"sum{grouped} ({waiting})"
    if not runtime.running_metric:
        return waiting
    running = _mean(runtime.running_metric, matchers, runtime.running_units)
    none = f"{waiting} * 0" if by else "vector(0)"
    return f"{waiting} + (sum{grouped} ({running}) or {none})"


def own_flags(runtime: Runtime) -> frozenset[str]:
    """The flags that a runtime's command line already has, with hyphens, and their aliases."""
    launch = Launch(served_names=("",), gpus=1, port=runtime.port, shutdown_seconds=1)
    words = [word for word in runtime.args(launch) if word.startswith("--")]
    flags = (word.partition("=")[0].replace("_", "-") for word in words)
    return frozenset((*flags, *runtime.aliases))


def misused_arguments(runtime: Runtime, args: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Arguments that a spec may not give `runtime`: which, and the message."""
    if not runtime.takes_args:
        why = f"{runtime.name} takes no arguments; write its variables in `env`"
        yield from ((n, f"{why}, got {shown(word)}; remove it") for n, word in enumerate(args))
    elif runtime.flags:
        server = f"{runtime.name} ({runtime.upstream.rpartition(':')[2]})"
        yield from misused(args, runtime.flags, lambda flag: _owner(runtime, flag), server)


def misused_variables(runtime: Runtime, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Variables that a spec may not give `runtime`, or not with their values: which, and why."""
    of_flags = runtime.flags.kinds if runtime.flags and runtime.flags.reads_variables else {}
    for name, value in env.items():
        why = refusal_of_variable(runtime.owned, name, value)
        kind = of_flags.get(f"--{name.lower().replace('_', '-')}")
        wrong = kind.wrong(value) if kind and not why else ""
        if why or wrong:
            yield name, why or f"{wrong}, got {shown(value)}; write another, or remove it"


def _owner(runtime: Runtime, flag: str) -> str:
    """Why a spec does not give `runtime` a flag; empty where nobody else sets it."""
    own = own_flags(runtime)
    # How a model is shared over GPUs a spec may say itself, with the flag written whole.
    if not (flag in own and flag in runtime.sharing) and any(sets(flag, one) for one in own):
        return "the platform sets this flag itself"
    return next(
        (one.why for one in runtime.owned if any(sets(flag, known) for known in one.flags)), ""
    )
