"""What of each server the platform owns beside its own command line: flags and their variables.

A row names every spelling of one setting, so that a flag and its environment twin are refused
alike. The sources of a table are those of the runtime's row, under `owned` (model_specs.runtimes).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that a spec does not set. A variable that ends in `*` stands for all that begin so.

    Variables are compared in capitals: MLServer (pydantic-settings) takes either case.
    """

    flags: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    why: str

    def has_variable(self, name: str) -> bool:
        """Whether `name` is one of the variables."""
        word = name.upper()
        return any(
            word.startswith(known[:-1]) if known.endswith("*") else word == known
            for known in self.variables
        )


_ADDRESS: Final = "probes, Service and network policies keep to the platform's address and port"
_CALLS: Final = "network policies let a server call nobody; metrics and logs are read from outside"
_CALLERS: Final = "who may call is `access`, and neither prober nor kubelet has a key"
_CONTROL: Final = "it opens paths by which any caller changes what the server does"
_FILE: Final = "a file would set flags that no check sees; write them in `args`"
_METRICS: Final = "the autoscaler and the alerts read the server's metrics where the platform asks"
_MODEL: Final = "which model is served, and from where, is `model`"
_NAME: Final = "the served name is the file's name"
_NODES: Final = "a replica is one pod on one node"
_PEERS: Final = "network policies let no server reach another"
_PATH: Final = "routes and probes keep to the server's own paths"
_READY: Final = "a pod is ready when its model is"
_TLS: Final = "the gateway ends TLS, and inside everybody speaks plain HTTP"
_TELEMETRY: Final = Setting(variables=("OTEL_*",), why=_CALLS)
"""Every SDK of OpenTelemetry reads them (its specification, environment variables)."""
_UVICORN: Final = Setting(
    variables=("UVICORN_*",), why=f"the server reads no such one, and {_ADDRESS}"
)

VLLM: Final = (
    Setting(flags=("--uds", "--grpc"), why=_ADDRESS),
    # Not the API's port: the first of those by which the engine's own processes talk.
    Setting(variables=("VLLM_PORT", "VLLM_HOST_IP"), why=_ADDRESS),
    Setting(flags=("--api-key",), variables=("VLLM_API_KEY",), why=_CALLERS),
    Setting(
        flags=(
            "--ssl-keyfile",
            "--ssl-certfile",
            "--ssl-ca-certs",
            "--ssl-cert-reqs",
            "--ssl-ciphers",
            "--enable-ssl-refresh",
        ),
        why=_TLS,
    ),
    Setting(flags=("--root-path",), why=_PATH),
    Setting(flags=("--config",), why=_FILE),
    Setting(flags=("--disable-log-stats",), why=_METRICS),
    Setting(variables=("VLLM_MODEL_REDIRECT_PATH",), why=_MODEL),
    Setting(
        flags=(
            "--headless",
            "--nnodes",
            "-n",
            "--node-rank",
            "-r",
            "--master-addr",
            "--master-port",
            "--data-parallel-address",
            "--data-parallel-rank",
            "--data-parallel-start-rank",
        ),
        variables=("VLLM_DP_*", "RAY_ADDRESS"),
        why=_NODES,
    ),
    Setting(
        flags=("--data-parallel-rpc-port", "--data-parallel-supervisor-port"),
        variables=("VLLM_NIXL_SIDE_CHANNEL_*", "VLLM_MOONCAKE_*"),
        why=_ADDRESS,
    ),
    Setting(flags=("--kv-events-config", "--ec-transfer-config"), why=_PEERS),
    # What a connector to the node's own memory does, a flag of its own does too.
    Setting(flags=("--kv-transfer-config",), why=f"{_PEERS}; --kv-offloading-size is for memory"),
    Setting(
        flags=("--otlp-traces-endpoint", "--collect-detailed-traces", "--tool-server"),
        variables=("VLLM_USAGE_STATS_SERVER", "VLLM_USE_MODELSCOPE", "S3_ENDPOINT_URL"),
        why=_CALLS,
    ),
    Setting(variables=("VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"), why=_CONTROL),
    _TELEMETRY,
    _UVICORN,
)
TRITON: Final = (
    # AIP_MODE=PREDICTION turns the HTTP port off, as a host of Vertex AI expects.
    Setting(
        flags=(
            "--allow-http",
            "--http-address",
            "--reuse-http-port",
            "--grpc-port",
            "--grpc-address",
            "--reuse-grpc-port",
            "--allow-vertex-ai",
            "--vertex-ai-port",
            "--allow-sagemaker",
            "--sagemaker-port",
        ),
        variables=("AIP_*",),
        why=_ADDRESS,
    ),
    Setting(flags=("--allow-metrics", "--metrics-address"), why=_METRICS),
    Setting(flags=("--http-restricted-api",), why=_CALLERS),
    Setting(flags=("--model-control-mode", "--load-model", "--repository-poll-secs"), why=_MODEL),
    Setting(flags=("--strict-readiness",), why=_READY),
    Setting(flags=("--trace-config",), why=f"{_CALLS}, and nobody reads a file in a pod"),
    _TELEMETRY,
)
MLSERVER: Final = (
    Setting(variables=("MLSERVER_HOST", "MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT"), why=_ADDRESS),
    Setting(variables=("MLSERVER_TRACING_SERVER", "MLSERVER_KAFKA_*"), why=_CALLS),
    _TELEMETRY,
    Setting(
        variables=(
            "MLSERVER_METRICS_ENDPOINT",
            "MLSERVER_METRICS_PORT",
            "MLSERVER_METRICS_REST_SERVER_PREFIX",
        ),
        why=_METRICS,
    ),
    Setting(variables=("MLSERVER_ROOT_PATH",), why=_PATH),
    Setting(
        variables=(
            "MLSERVER_LOAD_MODELS_AT_STARTUP",
            "MLSERVER_MODEL_REPOSITORY_*",
            "MLSERVER_MODEL_URI",
        ),
        why=_MODEL,
    ),
    _UVICORN,
)
EMBEDDINGS: Final = (
    # Each flag has a variable of its name, which the flags that the platform writes would win over.
    Setting(variables=("HOSTNAME", "PORT"), why=_ADDRESS),
    Setting(variables=("MODEL_ID",), why=_MODEL),
    Setting(variables=("SERVED_MODEL_NAME",), why=_NAME),
    Setting(flags=("--api-key",), variables=("API_KEY",), why=_CALLERS),
    Setting(flags=("--prometheus-port",), variables=("PROMETHEUS_PORT",), why=_METRICS),
    Setting(
        flags=("--otlp-endpoint", "--otlp-service-name"),
        variables=("OTLP_ENDPOINT", "OTLP_SERVICE_NAME"),
        why=_CALLS,
    ),
    _TELEMETRY,
)


def refusal_of_variable(owned: Iterable[Setting], name: str) -> str:
    """Why a spec does not set the variable `name`; empty where it may."""
    return next((setting.why for setting in owned if setting.has_variable(name)), "")
