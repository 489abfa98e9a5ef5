"""The runtime catalogue: what each serving image needs to be told and offers, one row an image.

Digests are of the example registry; a company that mirrors the images writes its own digests here.
A row states the whole command, user and working directory, so that nothing depends on the image's
own entrypoint, USER and WORKDIR: Kubernetes' `command` replaces the entrypoint.
`sources` says where in `repository` (at GitHub) each fact of the upstream software was read, all of
them on 2026-11-28.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from model_specs.arguments import SHARED, misused, sets, shares
from model_specs.errors import shown
from model_specs.kv_cache import VLLM as VLLM_CACHE
from model_specs.kv_cache import KvCache
from model_specs.names import MODEL_PATH, SCRATCH
from model_specs.owned_settings import EMBEDDINGS, MLSERVER, TRITON, VLLM
from model_specs.server_flags import EMBEDDINGS as EMBEDDINGS_FLAGS
from model_specs.server_flags import TRITON as TRITON_FLAGS
from model_specs.server_flags import VLLM as VLLM_FLAGS
from model_specs.server_flags import Flags
from model_specs.setting import Setting, refusal_of_variable

USER_NAME: Final = "isoserve"
"""The user's name in the environment: the uid stands in no image's /etc/passwd."""
SERVER_UID: Final = 10001
SERVER_GID: Final = 10001
"""Above 10000, where no distribution has users of its own; no image's files belong to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What the command line of a server may depend on."""

    served_name: str
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
    `needs_gpu` the server cannot start on a machine without a GPU. `kv_cache` is how it divides GPU
    memory, where it keeps keys and values of the tokens it has seen.
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
    `cpu_milli` and others of the machine are not here: they belong to the machine type.
    """

    name: str
    repository: str
    upstream: str
    image: str
    command: tuple[str, ...]
    args: Callable[[Launch], tuple[str, ...]]
    aliases: tuple[str, ...]
    owned: tuple[Setting, ...]
    flags: Flags | None
    takes_args: bool
    needs_gpu: bool
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
    running_metric: str
    running_units: int
    probe_path: str
    probe_json_path: str
    engine_start_seconds: int
    image_gib: float
    shutdown_seconds: int
    sources: Mapping[str, str]


_TRITON_METRICS_PORT: Final = 8002


def _vllm_args(launch: Launch) -> tuple[str, ...]:
    return (
        MODEL_PATH,
        "--served-model-name", launch.served_name,
        "--host", "0.0.0.0",
        "--port", str(launch.port),
        "--tensor-parallel-size", str(max(launch.gpus, 1)),
        # vLLM's default 0 aborts requests in flight at SIGTERM (vllm-project/vllm#43208).
        "--shutdown-timeout", str(launch.shutdown_seconds),
    )  # fmt: skip


def _triton_args(launch: Launch) -> tuple[str, ...]:
    return (
        f"--model-repository={MODEL_PATH}",
        f"--http-port={launch.port}",
        f"--metrics-port={_TRITON_METRICS_PORT}",
        f"--exit-timeout-secs={launch.shutdown_seconds}",
    )


def _mlserver_args(launch: Launch) -> tuple[str, ...]:
    return (MODEL_PATH,)


def _embeddings_args(launch: Launch) -> tuple[str, ...]:
    return (
        "--model-id", MODEL_PATH,
        "--served-model-name", launch.served_name,
        # Its default is the variable HOSTNAME, which Kubernetes sets to the pod's name.
        "--hostname", "0.0.0.0",
        "--port", str(launch.port),
    )  # fmt: skip


def _no_args(launch: Launch) -> tuple[str, ...]:
    return ()


_V2_LIVE, _V2_READY = "/v2/health/live", "/v2/health/ready"
_REGISTRY = "registry.example.com/runtimes"

RUNTIMES: Final[dict[str, Runtime]] = {
    row.name: row
    for row in (
        Runtime(
            name="vllm",
            repository="vllm-project/vllm",
            upstream="docker.io/vllm/vllm-openai:v0.18.0",
            image=f"{_REGISTRY}/vllm@sha256:"
            "ec8207a3dde607f7867f8f5390915018488b877761306ffd4ef099f9b3ee16a1",
            command=("vllm", "serve"),
            args=_vllm_args,
            # The flags that share a model pass where they are written whole, and count.
            aliases=("--model", *SHARED),
            owned=VLLM,
            flags=VLLM_FLAGS,
            takes_args=True,
            needs_gpu=True,
            kv_cache=VLLM_CACHE,
            user=SERVER_UID,
            group=SERVER_GID,
            working_dir=SCRATCH,
            env={
                "TORCHINDUCTOR_CACHE_DIR": f"{SCRATCH}/torchinductor",
                "TRITON_CACHE_DIR": f"{SCRATCH}/triton",
                "VLLM_CACHE_ROOT": f"{SCRATCH}/vllm",
                "VLLM_CONFIG_ROOT": f"{SCRATCH}/vllm-config",
                "XDG_CACHE_HOME": f"{SCRATCH}/cache",
            },
            port=8000,
            live_path="/health",
            ready_path="/health",
            metrics_path="/metrics",
            metrics_port=8000,
            queue_metric="vllm:num_requests_waiting",
            running_metric="vllm:num_requests_running",
            running_units=0,
            probe_path="/v1/models",
            probe_json_path="data[0].id",
            engine_start_seconds=120,
            image_gib=9.0,
            shutdown_seconds=40,
            sources={
                "aliases": "vllm/utils/argparse_utils.py: --model; vllm/engine/arg_utils.py: rest",
                "args": "issue 34730: --shutdown-timeout is in v0.18.0 and later",
                "command": "docker/Dockerfile, vllm-openai; it was another one (issue 37133)",
                "env": "vllm/envs.py; pytorch: torch/_inductor/runtime/cache_dir_utils.py",
                "flags": "vllm/engine/arg_utils.py; entrypoints/openai/cli_args.py; config/",
                "health": "vllm/entrypoints/openai/api_server.py: GET /health",
                "kv_cache": "vllm/config/cache.py, v1/kv_cache_interface.py; logs: issue 10511",
                "metrics": "docs/usage/metrics.md: vllm:num_requests_waiting",
                "running": "docs/usage/metrics.md: vllm:num_requests_running, a gauge",
                "needs_gpu": "vllm/config/device.py: Failed to infer device type (issue 12847)",
                "owned": "vllm/entrypoints/openai/cli_args.py; engine/arg_utils.py; envs.py; "
                "v1/engine/async_llm.py: no metrics with --disable-log-stats (v0.19.1)",
                "probe": "vllm/entrypoints/openai/api_server.py: GET /v1/models",
                "user": "docker/Dockerfile: no USER; torch asks for its name (kserve/kserve#5666)",
                "working_dir": "docker/Dockerfile: WORKDIR /vllm-workspace, of root",
            },
        ),
        Runtime(
            name="triton",
            repository="triton-inference-server/server@e1db8a6",
            upstream="nvcr.io/nvidia/tritonserver:26.07-py3",
            image=f"{_REGISTRY}/triton@sha256:"
            "b7933ed6180d9e2895a9d2df885e2a8b92e998a3c16297581f5b8698daacf492",
            # The image's own entrypoint sets up CUDA's compatibility libraries.
            command=("/opt/nvidia/nvidia_entrypoint.sh", "tritonserver"),
            args=_triton_args,
            aliases=("--model-store",),
            owned=TRITON,
            flags=TRITON_FLAGS,
            takes_args=True,
            needs_gpu=False,
            kv_cache=None,
            user=SERVER_UID,
            group=SERVER_GID,
            working_dir=SCRATCH,
            env={"XDG_CACHE_HOME": f"{SCRATCH}/cache"},
            port=8000,
            live_path=_V2_LIVE,
            ready_path=_V2_READY,
            metrics_path="/metrics",
            metrics_port=_TRITON_METRICS_PORT,
            queue_metric="nv_inference_pending_request_count",
            running_metric="nv_inference_compute_infer_duration_us",
            running_units=1_000_000,
            probe_path=_V2_READY,
            probe_json_path="",
            engine_start_seconds=60,
            image_gib=8.0,
            shutdown_seconds=30,
            sources={
                "aliases": "src/command_line_parser.cc: --model-store; getopt_long, no short flags",
                "args": "src/command_line_parser.cc",
                "command": "build.py: ENTRYPOINT /opt/nvidia/nvidia_entrypoint.sh",
                "env": "none of its own; the XDG base directory specification",
                "flags": "src/command_line_parser.cc; docs of the backends for --backend-config",
                "health": "docs/protocol: KServe v2 health endpoints",
                "kv_cache": "none of its own: a backend has its own, told by the model's files",
                "metrics": "docs/user_guide/metrics.md: nv_inference_pending_request_count",
                "running": "docs/user_guide/metrics.md: no gauge; Compute Time, cumulative, in us",
                "needs_gpu": "docs/getting_started/quickstart.md: Run on CPU-Only System",
                "owned": "src/command_line_parser.cc, with AIP_MODE and AIP_HTTP_PORT",
                "probe": "docs/customization_guide/deploy.md: ready when all models are",
                "user": "build.py: user triton-server is there, and no USER is set",
                "working_dir": "build.py: WORKDIR /opt/tritonserver",
            },
        ),
        Runtime(
            name="mlserver",
            repository="SeldonIO/MLServer@a325e52",
            upstream="docker.io/seldonio/mlserver:1.7.1",
            image=f"{_REGISTRY}/mlserver@sha256:"
            "224eed2b3140c9cce086632576a4f0a529ca27ad4ce5ad726709fbf8564354e3",
            command=("mlserver", "start"),
            args=_mlserver_args,
            aliases=(),
            owned=MLSERVER,
            flags=None,
            takes_args=False,
            needs_gpu=False,
            kv_cache=None,
            user=SERVER_UID,
            group=SERVER_GID,
            # The image's own is 0776 and 1000:0: who is neither may not even look for `.env` there.
            working_dir=SCRATCH,
            env={
                "HF_HOME": f"{SCRATCH}/huggingface",
                # Its worker processes fail the requests in flight at SIGTERM, the server then never
                # ends, and they write into the working directory.
                "MLSERVER_DEBUG": "false",
                "MLSERVER_PARALLEL_WORKERS": "0",
                "NUMBA_CACHE_DIR": f"{SCRATCH}/numba",
            },
            port=8080,
            live_path=_V2_LIVE,
            ready_path=_V2_READY,
            metrics_path="/metrics",
            metrics_port=8082,
            # Of those that wait alone MLServer has a histogram and no gauge.
            queue_metric="rest_server_requests_in_progress",
            running_metric="",
            running_units=0,
            probe_path=_V2_READY,
            probe_json_path="",
            engine_start_seconds=30,
            image_gib=2.0,
            shutdown_seconds=20,
            sources={
                "aliases": "mlserver/cli/main.py: mlserver start has no options",
                "args": "mlserver/cli/main.py: mlserver start FOLDER",
                "command": "Dockerfile: CMD `mlserver start` after its conda environment",
                "env": "Dockerfile: HF_HOME, NUMBA_CACHE_DIR; mlserver/settings.py",
                "flags": "mlserver/cli/main.py: `start` takes one folder, no options",
                "health": "openapi/dataplane.json: KServe v2 health endpoints",
                "kv_cache": "none of its own: its runtimes keep nothing between requests",
                "metrics": "mlserver/settings.py: port 8082, prefix rest_server",
                "running": "docs/user-guide/metrics.md: in progress are all in flight; "
                "mlserver/rest/app.py: without /v2/health/live, /v2/health/ready and /metrics",
                "needs_gpu": "Dockerfile: FROM ubi9/ubi-minimal, without CUDA",
                "owned": "mlserver/settings.py; cli/main.py: `start` takes one folder, no options",
                "probe": "mlserver/handlers/dataplane.py: ready when all models are",
                "user": "Dockerfile: USER 1000",
                "working_dir": "Dockerfile: /opt/mlserver, 1000:0, mode 776; settings read .env",
            },
        ),
        Runtime(
            name="text-embeddings-inference",
            repository="huggingface/text-embeddings-inference@0d124dc",
            upstream="ghcr.io/huggingface/text-embeddings-inference:cuda-1.9",
            image=f"{_REGISTRY}/text-embeddings-inference@sha256:"
            "22a50c67da103c4bd7f2976ee3c1a3935c9efa79cc39b5c388f059c1ae88b378",
            # One router for each GPU generation is in the image; the script starts the one that
            # fits, with the CUDA libraries that fit the driver. Without nvidia-smi it exits with 1.
            command=("/entrypoint.sh",),
            args=_embeddings_args,
            aliases=("-p",),
            owned=EMBEDDINGS,
            flags=EMBEDDINGS_FLAGS,
            takes_args=True,
            needs_gpu=True,
            kv_cache=None,
            user=SERVER_UID,
            group=SERVER_GID,
            working_dir=SCRATCH,
            env={"HUGGINGFACE_HUB_CACHE": f"{SCRATCH}/huggingface"},
            port=8080,
            live_path="/health",
            ready_path="/health",
            metrics_path="/metrics",
            metrics_port=8080,
            queue_metric="te_queue_size",
            running_metric="te_request_inference_duration_sum",
            running_units=1,
            probe_path="/health",
            probe_json_path="",
            engine_start_seconds=30,
            image_gib=4.0,  # estimated: five routers on CUDA's runtime image
            shutdown_seconds=20,
            sources={
                "aliases": "router/src/main.rs: port is `short`, the only one",
                "args": "router/src/main.rs",
                "command": "Dockerfile-cuda-all: ENTRYPOINT ./entrypoint.sh, in /; matrix.json",
                "env": "Dockerfile-cuda-all: HUGGINGFACE_HUB_CACHE=/data",
                "flags": "router/src/main.rs",
                "health": "router/src/http/server.rs: GET /health",
                "kv_cache": "README.md: embeddings, rerankers and classifiers, none generates",
                "metrics": "core/src/queue.rs: te_queue_size; server.rs: /metrics on the same port",
                "running": "router/src/lib.rs: no gauge; te_request_inference_duration, in seconds",
                "needs_gpu": "cuda-all-entrypoint.sh: exit 1 without nvidia-smi",
                "owned": "router/src/main.rs: clap reads each flag's name in capitals (`env`)",
                "probe": "router/src/http/server.rs: /health asks the model itself",
                "user": "Dockerfile-cuda-all: no USER; the script is of root, mode 775",
                "working_dir": "Dockerfile-cuda-all: no WORKDIR",
            },
        ),
    )
}

CUSTOM: Final = Runtime(
    name="custom",
    repository="",
    upstream="",
    image="",  # the spec's own image
    command=(),
    args=_no_args,
    aliases=(),
    owned=(),
    flags=None,
    takes_args=True,
    needs_gpu=False,
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
    running_metric="inference_requests_running",
    running_units=0,
    probe_path=_V2_READY,
    probe_json_path="",
    engine_start_seconds=120,
    image_gib=10.0,
    shutdown_seconds=30,
    sources={},
)
"""The contract of an image of one's own: the Open Inference Protocol v2 on port 8080."""


_RATE_WINDOW: Final = "2m"
"""Several scrapes, of which a rate needs two."""


def load(runtime: Runtime, matchers: str, by: str = "") -> str:
    """PromQL: requests in the servers that `matchers` select, running and waiting.

    Summed `by` labels, or over all. Without the gauge of those that wait there is no result, and so
    a lost metric is no idle server; the other one may have no series yet.
    """
    grouped = f" by ({by})" if by else ""
    waiting = f"sum{grouped} ({runtime.queue_metric}{{{matchers}}})"
    if not runtime.running_metric:
        return waiting
    running = f"{runtime.running_metric}{{{matchers}}}"
    if runtime.running_units:
        running = f"rate({running}[{_RATE_WINDOW}]) / {runtime.running_units}"
    none = f"{waiting} * 0" if by else "vector(0)"
    return f"{waiting} + (sum{grouped} ({running}) or {none})"


def own_flags(runtime: Runtime) -> frozenset[str]:
    """The flags that a runtime's command line already has, with hyphens, and their aliases."""
    launch = Launch(served_name="", gpus=1, port=runtime.port, shutdown_seconds=1)
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
    twins = runtime.flags.kinds if runtime.flags and runtime.flags.has_twins else {}
    for name, value in env.items():
        why = refusal_of_variable(runtime.owned, name, value)
        kind = twins.get(f"--{name.lower().replace('_', '-')}")
        wrong = kind.wrong(value) if kind and not why else ""
        if why or wrong:
            yield name, why or f"{wrong}, got {shown(value)}; write another, or remove it"


def _owner(runtime: Runtime, flag: str) -> str:
    """Why a spec does not give `runtime` a flag; empty where nobody else sets it."""
    own = own_flags(runtime)
    # How a model is shared over GPUs a spec may say itself, with the flag written whole.
    if not (flag in own and shares(flag)) and any(sets(flag, one) for one in own):
        return "the platform sets this flag itself"
    return next(
        (one.why for one in runtime.owned if any(sets(flag, known) for known in one.flags)), ""
    )
