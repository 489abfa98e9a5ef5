"""What moves the platform's own settings is refused in every spelling, and nothing else is."""

from __future__ import annotations

from typing import Any, Final

import pytest

from model_specs.errors import SpecErrors
from model_specs.runtimes import RUNTIMES, own_flags
from regions.sandbox.process_node.environment import expand
from tests.examples import a_model, of_kind, planned, rendered, template

VLLM, TRITON, MLSERVER, EMBEDDINGS = "vllm", "triton", "mlserver", "text-embeddings-inference"
REFUSED_ARGS: Final = {
    VLLM: (
        "--config", "--config=/models/current/serve.yaml", "--uds=/tmp/s", "--uds", "--api-key",
        "--api_key=x", "--api-k=x", "--ssl-keyfile", "--ssl_certfile=/x", "--ssl-ca-certs",
        "--root-path=/v", "--root", "--headless", "--head", "--nnodes", "-n2", "-r=1", "--grpc",
        "--disable-log-stats", "--disable_log_st", "--host=127.0.0.1", "--port", "--model=/x",
        "--otlp-traces-endpoint=http://x:4317", "--otlp_traces_endpoint", "--otlp", "--tool-server",
        "--collect-detailed-traces=all", "--kv-events-config={}", "--kv-transfer-config", "--kv-ev",
        "--ec-transfer-config", "--data-parallel-rpc-port=1", "--data-parallel-supervisor-port=1",
    ),
    TRITON: (
        "--allow-http=false", "--allow-ht=0", "--http-address=127.0.0.1", "--allow-metrics=false",
        "--metrics-address=127.0.0.1", "--model-control-mode=explicit", "--load-model=x",
        "--strict-readiness=false", "--http-restricted-api=health:k=v", "--allow-vertex-ai=true",
        "--metrics-port=1", "--model-store=/x", "--trace-config=mode=opentelemetry", "--trace-c=x",
        "--grpc-port=1", "--grpc-address=0.0.0.0", "--reuse-http-port=1", "--reuse-grpc-port=1",
        "--vertex-ai-port=1", "--sagemaker-port=1",
    ),
    MLSERVER: ("--port=1", "/elsewhere", "-v"),
    EMBEDDINGS: ("--api-key=x", "--prometheus-port=8080", "--port=1", "-p1", "--model-id=x",
                 "--otlp-endpoint=http://x:4317", "--otlp-e", "--otlp-service-name=x"),
}  # fmt: skip
REFUSED_ENV: Final = {
    VLLM: ("VLLM_PORT", "VLLM_HOST_IP", "VLLM_API_KEY", "VLLM_MODEL_REDIRECT_PATH", "VLLM_DP_RANK",
           "UVICORN_PORT", "UVICORN_HOST", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "RAY_ADDRESS",
           "VLLM_USAGE_STATS_SERVER", "VLLM_USE_MODELSCOPE", "S3_ENDPOINT_URL",
           "VLLM_NIXL_SIDE_CHANNEL_PORT", "VLLM_MOONCAKE_BOOTSTRAP_PORT", "VLLM_SERVER_DEV_MODE",
           "VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
    TRITON: ("AIP_MODE", "AIP_HTTP_PORT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    MLSERVER: ("MLSERVER_HTTP_PORT", "mlserver_http_port", "MLSERVER_HOST", "MLSERVER_METRICS_PORT",
               "MLSERVER_METRICS_ENDPOINT", "MLSERVER_ROOT_PATH", "MLSERVER_MODEL_REPOSITORY_ROOT",
               "MLSERVER_LOAD_MODELS_AT_STARTUP", "MLSERVER_MODEL_URI", "UVICORN_ROOT_PATH",
               "MLSERVER_TRACING_SERVER", "mlserver_tracing_server", "MLSERVER_KAFKA_ENABLED",
               "MLSERVER_KAFKA_SERVERS", "MLSERVER_GRPC_PORT", "OTEL_SDK_DISABLED"),
    EMBEDDINGS: ("PORT", "HOSTNAME", "API_KEY", "MODEL_ID", "SERVED_MODEL_NAME", "PROMETHEUS_PORT",
                 "OTLP_ENDPOINT", "OTLP_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT"),
}  # fmt: skip
TAKEN_ARGS: Final = {
    VLLM: (
        "--max-model-len", "16384", "--config-format=hf", "--enable-prefix-caching", "-q", "fp8",
        "--quantization=fp8", "--hf-config-path=/x", "--api-server-count=2", "--ssl=x".upper(),
        "--allowed-origins=[\"*\"]", "--disable-uvicorn-access-log", "--disable-log-requests",
        "--chat-template", "{% for m in messages %}{{ m.content }}; {% endfor %}", "-tp", "1",
        "--hf-overrides", '{\n "a": 1}', "--enable-auto-tool-choice", "--tool-call-parser=hermes",
        "--data-parallel-backend=mp", "--gpu-memory-utilization=0.9", "--max-num-seqs=64", "-O3",
        "--no-enable-log-requests", "--uvicorn-log-level=warning", "--revision=main", "--seed=1",
        "--lora-modules", "a=/models/current/a", "--enable-request-id-headers", "-cc.mode=3",
        "--kv-cache-dtype=fp8", "--model-impl=auto", "--generation-config=vllm", "--dtype=auto",
        "--kv-offloading-size=8", "--kv-cache-metrics", "--tool-parser-plugin=/models/current/x.py",
    ),
    TRITON: (
        "--log-verbose=1", "--http-thread-count=16", "--http-header-forward-pattern=.*",
        "--metrics-config=summary_latencies=true", "--metrics-interval-ms=1000",
        "--allow-grpc=true", "--allow-gpu-metrics=false",
        "--backend-config=python,shm-default-byte-size=1048576",
        "--cache-config=local,size=1048576", "--rate-limit=execution_count", "--id=here",
        "--model-load-thread-count=8", "--pinned-memory-pool-byte-size=0", "--exit-on-error=true",
        "--strict-model-config=true", "--grpc-keepalive-time=1000", "--model-namespacing=true",
    ),
    MLSERVER: (),
    EMBEDDINGS: (
        "--max-batch-tokens=8192", "--pooling=cls", "--auto-truncate", "--dtype=float16",
        "--payload-limit=8000000", "--json-output", "--max-client-batch-size=64", "--revision=main",
        "--default-prompt-name=query", "--tokenization-workers=4", "--dense-path=2_Dense",
    ),
}  # fmt: skip
TAKEN_ENV: Final = {
    VLLM: ("VLLM_LOGGING_LEVEL", "VLLM_ATTENTION_BACKEND", "VLLM_USE_V1", "VLLM_CACHE_ROOT", "PORT",
           "VLLM_WORKER_MULTIPROC_METHOD", "VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "CUDA_LAUNCH_BLOCKING",
           "VLLM_RPC_TIMEOUT", "NCCL_DEBUG", "OMP_NUM_THREADS", "http_proxy", "TORCH_LOGS",
           "VLLM_NO_USAGE_STATS", "VLLM_DO_NOT_TRACK"),
    TRITON: ("TRITON_CACHE_DIR", "TF_CPP_MIN_LOG_LEVEL", "OMP_NUM_THREADS", "no_proxy"),
    MLSERVER: ("MLSERVER_PARALLEL_WORKERS", "MLSERVER_MODEL_NAME", "MLSERVER_MODEL_IMPLEMENTATION",
               "MLSERVER_MODEL_MAX_BATCH_SIZE", "MLSERVER_GRPC_MAX_MESSAGE_LENGTH",
               "MLSERVER_DEBUG", "MLSERVER_GZIP_ENABLED", "MLSERVER_LOGGING_SETTINGS",
               "MLSERVER_MODEL_PARAMETERS"),
    EMBEDDINGS: ("MAX_BATCH_TOKENS", "POOLING", "RUST_LOG", "HUGGINGFACE_HUB_CACHE", "DTYPE",
                 "AUTO_TRUNCATE", "VLLM_PORT"),
}  # fmt: skip


def codes(**fields: Any) -> list[tuple[str, str]]:
    """What a spec with these fields is refused for: code and field."""
    try:
        a_model(**fields)
    except SpecErrors as refused:
        return [(error.code, error.path) for error in refused.errors]
    return []


def cases(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(image, word) for image, words in table.items() for word in words]


@pytest.mark.parametrize(("image", "word"), cases(REFUSED_ARGS))
def test_a_flag_that_moves_what_the_platform_owns_is_refused(image: str, word: str) -> None:
    assert codes(image=image, args=[word]) == [("E343", "args[0]")]


@pytest.mark.parametrize(("image", "name"), cases(REFUSED_ENV))
def test_a_variable_that_moves_what_the_platform_owns_is_refused(image: str, name: str) -> None:
    assert codes(image=image, env={name: "1"}) == [("E342", f"env.{name}")]


@pytest.mark.parametrize("image", TAKEN_ARGS)
def test_other_flags_and_variables_of_the_server_are_taken(image: str) -> None:
    env = dict.fromkeys(TAKEN_ENV[image], "1")
    assert codes(image=image, args=list(TAKEN_ARGS[image]), env=env) == []


@pytest.mark.parametrize("image", [VLLM, MLSERVER])
def test_the_candidates_server_is_held_to_its_own_list(image: str) -> None:
    name = REFUSED_ENV[image][0]
    candidate: dict[str, Any] = {"image": image}
    rollout = {"strategy": "blue_green", "candidate": candidate}
    inherited = codes(image=TRITON, rollout=rollout, env={name: "1"})
    assert inherited == [("E342", f"env.{name}")], "it keeps the model's variables"
    candidate["env"] = {name: "1"}
    own = codes(image=TRITON, rollout=rollout)
    assert own == [("E342", f"rollout.candidate.env.{name}")]
    candidate["env"] = {}
    assert codes(image=TRITON, rollout=rollout, env={name: "1"}) == [], "of Triton it is none"
    candidate["args"] = [REFUSED_ARGS[image][0]]
    assert codes(image=TRITON, rollout=rollout) == [("E343", "rollout.candidate.args[0]")]


def test_a_candidate_of_the_same_image_is_held_to_that_ones_list() -> None:
    rollout = {"strategy": "blue_green", "candidate": {"args": ["--config=x"]}}
    assert codes(image=VLLM, rollout=rollout) == [("E343", "rollout.candidate.args[0]")]


def test_a_candidate_of_ones_own_image_has_arguments_of_its_own() -> None:
    image = f"registry.example.com/mine@sha256:{'0' * 64}"
    candidate = {"image": image, "args": ["--config=x"], "env": {"VLLM_PORT": "1"}}
    assert codes(image=VLLM, rollout={"strategy": "blue_green", "candidate": candidate}) == []


def test_a_jobs_variables_are_its_own_commands() -> None:
    assert codes(image=EMBEDDINGS, batch={"command": ["score"]}, env={"PORT": "1"}) == []


def test_an_image_of_ones_own_has_variables_of_its_own() -> None:
    image = f"registry.example.com/mine@sha256:{'0' * 64}"
    assert (
        codes(image=image, env={"PORT": "1", "API_KEY_FILE": "/secrets/x"}, args=["--config=x"])
        == []
    )


def test_every_flag_of_text_embeddings_inference_that_we_set_has_its_twin_refused() -> None:
    row = RUNTIMES[EMBEDDINGS]
    for flag in own_flags(row):
        twin = flag.strip("-").upper().replace("-", "_")
        known = any(setting.has_variable(twin) for setting in row.owned)
        assert known or len(twin) == 1, f"clap reads {twin} as {flag}"


def test_a_table_is_of_settings_that_something_can_set() -> None:
    for row in RUNTIMES.values():
        for setting in row.owned:
            assert setting.flags or setting.variables, setting.why
            assert row.takes_args or not setting.flags, f"{row.name} has no flags at all"


def test_a_variable_arrives_as_it_is_written_or_is_refused() -> None:
    assert codes(env={"CUT": "a\0b"}) == [("E342", "env.CUT")], "execve ends a value there"
    assert codes(env={"HERE": "$(HOME)/x"}) == [("E342", "env.HERE")], "Kubernetes expands it"
    full = 131_072 - len("BIG=") - 1
    assert codes(env={"BIG": "x" * full}) == [], "MAX_ARG_STRLEN counts name, value and a NUL"
    assert codes(env={"BIG": "x" * (full + 1)}) == [("E342", "env.BIG")]
    assert codes(env={"BIG": "é" * (full // 2 + 1)}) == [("E342", "env.BIG")], "bytes, not letters"


def test_dollars_arrive_as_they_are_written() -> None:
    words, value = ("^a$", "a$$b", "{{ $x }}"), "pa$$word$"
    model = a_model(args=list(words), env={"A": value})
    (server, *_) = of_kind("Deployment", rendered(planned(model)))
    (main,) = template(server)["spec"]["containers"]
    for word, written in zip(main["args"][-3:], words, strict=True):
        assert expand(word, {"HOME": "/tmp"}) == written, "the kubelet reads `$$` as one dollar"
    (got,) = (row["value"] for row in main["env"] if row["name"] == "A")
    assert expand(got, {}) == value
