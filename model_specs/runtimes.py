"""The runtime catalogue: what each serving image needs told and offers, one row an image.

Digests are of the example registry; a company that mirrors the images writes its own digests here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

MODEL_PATH: Final = "/models/current"
"""Where every container finds the model's files, whatever way they came."""


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

    `queue_metric` is the gauge of requests waiting, the signal to scale on; `cpu_milli` and others
    of the machine are not here: they belong to the machine type. A spec's own `env` comes over
    this one.
    """

    name: str
    image: str
    port: int
    live_path: str
    ready_path: str
    metrics_path: str
    metrics_port: int
    queue_metric: str
    args: Callable[[Launch], tuple[str, ...]]
    env: Mapping[str, str]
    probe_path: str
    probe_body: Callable[[str], dict[str, Any]]
    engine_start_seconds: int
    image_gib: float
    shutdown_seconds: int


_TRITON_METRICS_PORT: Final = 8002


def _vllm_args(launch: Launch) -> tuple[str, ...]:
    return (
        "serve", MODEL_PATH,
        "--served-model-name", launch.served_name,
        "--host", "0.0.0.0",
        "--port", str(launch.port),
        "--tensor-parallel-size", str(max(launch.gpus, 1)),
        # vLLM's default 0 aborts requests in flight at SIGTERM (vllm-project/vllm#43208).
        "--shutdown-timeout", str(launch.shutdown_seconds),
    )  # fmt: skip


def _triton_args(launch: Launch) -> tuple[str, ...]:
    return (
        "tritonserver",
        f"--model-repository={MODEL_PATH}",
        f"--http-port={launch.port}",
        f"--metrics-port={_TRITON_METRICS_PORT}",
        f"--exit-timeout-secs={launch.shutdown_seconds}",
    )


def _mlserver_args(launch: Launch) -> tuple[str, ...]:
    return ("mlserver", "start", MODEL_PATH)


def _onnxruntime_args(launch: Launch) -> tuple[str, ...]:
    return (
        "--model_path", f"{MODEL_PATH}/model.onnx",
        "--http_port", str(launch.port),
        "--model_name", launch.served_name,
    )  # fmt: skip


def _no_args(launch: Launch) -> tuple[str, ...]:
    return ()


def _completion(served_name: str) -> dict[str, Any]:
    return {"model": served_name, "prompt": "ping", "max_tokens": 1}


def _infer(served_name: str) -> dict[str, Any]:
    tensor = {"name": "input", "shape": [1, 1], "datatype": "FP32", "data": [0.0]}
    return {"id": "probe", "inputs": [tensor]}


_V2_LIVE, _V2_READY = "/v2/health/live", "/v2/health/ready"
_REGISTRY = "registry.example.com/runtimes"
V2_INFER: Final = "/v2/models/{model}/infer"

RUNTIMES: Final[dict[str, Runtime]] = {
    row.name: row
    for row in (
        Runtime(
            name="vllm",
            image=f"{_REGISTRY}/vllm@sha256:"
            "ec8207a3dde607f7867f8f5390915018488b877761306ffd4ef099f9b3ee16a1",
            port=8000,
            live_path="/health",
            ready_path="/health",
            metrics_path="/metrics",
            metrics_port=8000,
            queue_metric="vllm:num_requests_waiting",
            args=_vllm_args,
            env={},
            probe_path="/v1/completions",
            probe_body=_completion,
            engine_start_seconds=120,
            image_gib=9.0,
            shutdown_seconds=40,
        ),
        Runtime(
            name="triton",
            image=f"{_REGISTRY}/triton@sha256:"
            "b7933ed6180d9e2895a9d2df885e2a8b92e998a3c16297581f5b8698daacf492",
            port=8000,
            live_path=_V2_LIVE,
            ready_path=_V2_READY,
            metrics_path="/metrics",
            metrics_port=_TRITON_METRICS_PORT,
            queue_metric="nv_inference_pending_request_count",
            args=_triton_args,
            env={},
            probe_path=V2_INFER,
            probe_body=_infer,
            engine_start_seconds=60,
            image_gib=8.0,
            shutdown_seconds=30,
        ),
        Runtime(
            name="mlserver",
            image=f"{_REGISTRY}/mlserver@sha256:"
            "224eed2b3140c9cce086632576a4f0a529ca27ad4ce5ad726709fbf8564354e3",
            port=8080,
            live_path=_V2_LIVE,
            ready_path=_V2_READY,
            metrics_path="/metrics",
            metrics_port=8082,
            # Running ones too: of those that wait MLServer has a histogram and no gauge.
            queue_metric="rest_server_requests_in_progress",
            args=_mlserver_args,
            # Its worker processes fail the requests in flight at SIGTERM, the server then never
            # ends, and they write into the working directory, which is read-only.
            env={"MLSERVER_DEBUG": "false", "MLSERVER_PARALLEL_WORKERS": "0"},
            probe_path=V2_INFER,
            probe_body=_infer,
            engine_start_seconds=30,
            image_gib=2.0,
            shutdown_seconds=20,
        ),
        Runtime(
            name="onnxruntime",
            image=f"{_REGISTRY}/onnxruntime@sha256:"
            "8eeceae1fd9f7aad4f66a0203c14f8abd56964912d14f01e8e17cbd7af53a677",
            port=8001,
            live_path=_V2_LIVE,
            ready_path=_V2_READY,
            metrics_path="/metrics",
            metrics_port=8001,
            queue_metric="onnxruntime_requests_waiting",
            args=_onnxruntime_args,
            env={},
            probe_path=V2_INFER,
            probe_body=_infer,
            engine_start_seconds=20,
            image_gib=1.0,
            shutdown_seconds=20,
        ),
    )
}

CUSTOM: Final = Runtime(
    name="custom",
    image="",  # the spec's own image
    port=8080,
    live_path=_V2_LIVE,
    ready_path=_V2_READY,
    metrics_path="/metrics",
    metrics_port=8080,
    queue_metric="inference_requests_waiting",
    args=_no_args,
    env={},
    probe_path=V2_INFER,
    probe_body=_infer,
    engine_start_seconds=120,
    image_gib=10.0,
    shutdown_seconds=30,
)
"""The contract of an image of one's own: the Open Inference Protocol v2 on port 8080."""


def own_flags(runtime: Runtime) -> frozenset[str]:
    """The flags that a runtime's command line already has, with hyphens."""
    launch = Launch(served_name="", gpus=1, port=runtime.port, shutdown_seconds=1)
    words = [word for word in runtime.args(launch) if word.startswith("--")]
    return frozenset(word.partition("=")[0].replace("_", "-") for word in words)
