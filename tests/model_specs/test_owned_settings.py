"""What moves the platform's own settings is refused in every spelling, and nothing else is."""

from __future__ import annotations

from typing import Any, Final

import pytest

from model_specs.errors import SpecErrors
from model_specs.runtimes import RUNTIMES, Runtime, own_flags
from model_specs.source import MAX_ERRORS
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
        "--trust-remote-code", "--middleware=x.Y", "--middle=x.Y", "--worker-cls=x.Y",
        "--worker_extension_cls=x.Y", "--scheduler-cls=x.Y", "--logits-processors=x:Y",
        "--logits-processor-pattern=.*", "--tool-parser-plugin=/models/current/x.py",
        "--reasoning-parser-plugin=/tmp/x.py", "--io-processor-plugin=x", "--log-config-file=/x",
        "--distributed-executor-backend=x.Y", "--distributed-executor-backend=ray",
        "--data-parallel-backend=ray", "-dpb=ray", "-dpa=10.0.0.1", "--enable-elastic-ep",
        "--load-format=dummy", "--load_format=dummy", "--load-f=dummy", "--load-format=tensorizer",
        "--load-format=runai_streamer", "--model-loader-extra-config={}", "--download-dir=/x",
        "--revision=main", "--code-revision=main", "--tokenizer-revision=main", "--hf-token=x",
        "--hf-token", "--tokenizer=evil/x", "--tokenizer=/models/current/../other",
        "--tokenizer=/models/currently", "--token=evil/x", "--hf-config-path=/x",
        "--generation-config=evil/x", "--chat-template=/etc/passwd", "--chat-template=../x",
        "--chat-template=~/x", "--chat-template=./x{}", "--chat-template=/proc/self/environ{",
        "--chat-template=name", "--chat-template=/models/current/../../etc/passwd",
        "--lora-modules=a=evil/x", "--lora-modules=a=/tmp/x", '--lora-modules={"name": "a"}',
        '--lora-modules={"name": "a", "path": "evil/x"}', '--default-mm-loras={"a": "evil/x"}',
        '--speculative-config={"model": "evil/x", "num_speculative_tokens": 1}',
        "--speculative-config.model=evil/x", "--spec.model=evil/x", "--speculative-config=evil",
        '--speculative-config={"draft_load_config": {"load_format": "dummy"}}',
        '--speculative-config={"model": "evil", "model": "/models/current"}',
        '--speculative-config={"method": "ngram", "revision": "main"}',
        '--hf-overrides={"auto_map": {"AutoModel": "evil/x--m.C"}}', "--hf-overrides=x",
        '--hf-overrides={"text_config": [{"auto_map": {}}]}', "--hf-overrides.auto_map.AutoModel=x",
        '--hf-overrides={"_name_or_path": "evil/x"}', '--hf-overrides={"a": "https://x.dev/y"}',
        '--hf-overrides={"a": ["/etc/passwd"]}',
        '--hf-overrides={"vision_tower": "evil/x"}', "--hf_overrides.quantization_config.x_path=/x",
        '--mm-processor-kwargs={"trust_remote_code": true}', "--hf-o.auto_map=x",
        '--compilation-config={"backend": "x.Y"}', "-cc.backend=x.Y", "--compil.backend=x.Y",
        '-cc={"inductor_passes": {"p": "x.Y"}}', "-cc.cache_dir=/models/current",
        '-cc={"inductor_compile_config": {"post_grad_custom_post_pass": "x.Y"}}', "-cc=3",
        '--structured-outputs-config={"reasoning_parser_plugin": "/x.py"}', "--profiler-config={}",
        "--structured-outputs-config.reasoning_parser_plugin=/x.py", "--weight-transfer-config={}",
        "--additional-config={}", "--allowed-local-media-path=/", "--trust-request-chat-template",
        "--tokens-only", "--ray-workers-use-nsight", "--kv-offloading-backend=lmcache",
        "--reasoning-parser=x.Y", "--tool-call-parser=/x.py", "--attention-backend=x.Y",
        "--disable-log-requests", "--port-range", "--SSL=x", "--enable-prefix-caching=true",
        "--max-model-len", "--max-model-len=many", "--seed.x=1", "--", "-", "evil/x", "-5",
    ),
    TRITON: (
        "--allow-http=false", "--allow-ht=0", "--http-address=127.0.0.1", "--allow-metrics=false",
        "--metrics-address=127.0.0.1", "--model-control-mode=explicit", "--load-model=x",
        "--strict-readiness=false", "--http-restricted-api=health:k=v", "--allow-vertex-ai=true",
        "--metrics-port=1", "--model-store=/x", "--trace-config=mode=opentelemetry", "--trace-c=x",
        "--grpc-port=1", "--grpc-address=0.0.0.0", "--reuse-http-port=1", "--reuse-grpc-port=1",
        "--vertex-ai-port=1", "--sagemaker-port=1", "--backend-directory=/x", "--backend-d=/x",
        "--repoagent-directory=/x", "--cache-directory=/x", "--cache-dir=/x",
        "--model-repository=/x",
        "--backend-config=python,python-runtime=/x", "--backend-config=tensorrt,plugins=/x.so",
        "--backend-config=tensorflow,op-library=/x", "--backend-config=x",
        "--backend-config=,default-max-batch-size=4", "--backend-config",
        "--cache-config=redis,host=x", "--repository-poll-secs=1", "--trace-file=/x",
        "--log-file=/models/current/x", "--grpc-use-ssl=true", "--grpc-server-key=/x",
        "--grpc-restricted-protocol=health:k=v", "--allow-client-shm=true",
        "--allow-sagemaker=true", "--log_verbose=1", "--http-thread-count=many", "--host-policy=/x",
        "-p9", "--", "x", "--help", "--metrics-config=x",
    ),
    MLSERVER: ("--port=1", "/elsewhere", "-v"),
    EMBEDDINGS: ("--api-key=x", "--prometheus-port=8080", "--port=1", "-p1", "--model-id=x",
                 "--otlp-endpoint=http://x:4317", "--otlp-e", "--otlp-service-name=x",
                 "--hf-token=x", "--hf-api-token=x", "--huggingface-hub-cache=/x", "--uds-path=/x",
                 "--cors-allow-origin=*", "--revision=main", "--dense-path=/etc", "--pooling=../x",
                 "--dense-path=../x", "--json_output", "--max-batch=1", "9", "-", "--", "--dtype"),
}  # fmt: skip
REFUSED_ENV: Final = {
    VLLM: ("VLLM_PORT", "VLLM_HOST_IP", "VLLM_API_KEY", "VLLM_MODEL_REDIRECT_PATH", "VLLM_DP_RANK",
           "UVICORN_PORT", "UVICORN_HOST", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "RAY_ADDRESS",
           "VLLM_USAGE_STATS_SERVER", "VLLM_USE_MODELSCOPE", "S3_ENDPOINT_URL",
           "VLLM_NIXL_SIDE_CHANNEL_PORT", "VLLM_MOONCAKE_BOOTSTRAP_PORT", "VLLM_SERVER_DEV_MODE",
           "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_PLUGINS", "VLLM_CONFIG_ROOT",
           "VLLM_CACHE_ROOT", "VLLM_LOGGING_CONFIG_PATH", "VLLM_ALLOW_INSECURE_SERIALIZATION",
           "VLLM_TEST_FORCE_LOAD_FORMAT", "VLLM_NCCL_SO_PATH", "VLLM_CUDART_SO_PATH",
           "VLLM_TUNED_CONFIG_FOLDER", "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH", "VLLM_MLA_DISABLE",
           "VLLM_LORA_RESOLVER_CACHE_DIR", "VLLM_NO_SUCH", "vllm_plugins",
           "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TRITON_PTXAS_PATH", "NCCL_NET_PLUGIN",
           "NCCL_CONF_FILE", "OMP_TOOL_LIBRARIES", "CUDA_VISIBLE_DEVICES", "CUDA_INJECTION64_PATH",
           "LMCACHE_CONFIG", "TORCH_EXTENSIONS_DIR", "PYTORCH_KERNEL_CACHE_PATH",
           "S3_ACCESS_KEY_ID", "CC", "NVCC_PREPEND_FLAGS", "OUTLINES_CACHE_DIR", "MASTER_ADDR",
           "DG_JIT_NVCC_COMPILER", "FLASHINFER_WORKSPACE_BASE", "PROMETHEUS_MULTIPROC_DIR"),
    TRITON: ("AIP_MODE", "AIP_HTTP_PORT", "OTEL_EXPORTER_OTLP_ENDPOINT",
             "TRITON_CLOUD_CREDENTIAL_PATH", "TRITONSERVER_X", "TRITON_CACHE_DIR"),
    MLSERVER: ("MLSERVER_HTTP_PORT", "mlserver_http_port", "MLSERVER_HOST", "MLSERVER_METRICS_PORT",
               "MLSERVER_METRICS_ENDPOINT", "MLSERVER_ROOT_PATH", "MLSERVER_MODEL_REPOSITORY_ROOT",
               "MLSERVER_LOAD_MODELS_AT_STARTUP", "MLSERVER_MODEL_URI", "UVICORN_ROOT_PATH",
               "MLSERVER_TRACING_SERVER", "mlserver_tracing_server", "MLSERVER_KAFKA_ENABLED",
               "MLSERVER_KAFKA_SERVERS", "MLSERVER_GRPC_PORT", "OTEL_SDK_DISABLED",
               "MLSERVER_LOGGING_SETTINGS", "MLSERVER_EXTENSIONS", "MLSERVER_ENVIRONMENTS_DIR",
               "mlserver_model_environment_tarball", "MLSERVER_MODEL_ENVIRONMENT_PATH",
               "MLSERVER_MODEL_REPOSITORY_IMPLEMENTATION", "MLSERVER_MODEL_IMPLEMENTATION",
               "MLSERVER_MODEL_HUGGINGFACE_PRETRAINED_MODEL", "PREDICTIVE_UNIT_PARAMETERS",
               "MLSERVER_MODEL_HUGGINGFACE_PRETRAINED_TOKENIZER", "MLSERVER_CORS_SETTINGS",
               "MLSERVER_MODEL_PARAMETERS", "MLSERVER_MODEL_EXTRA", "NUMBA_CACHE_DIR",
               "MLSERVER_METRICS_DIR", "MLSERVER_ALLOW_ORIGINS", "MLSERVER_NO_SUCH"),
    EMBEDDINGS: ("PORT", "HOSTNAME", "API_KEY", "MODEL_ID", "SERVED_MODEL_NAME", "PROMETHEUS_PORT",
                 "OTLP_ENDPOINT", "OTLP_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT",
                 "REVISION", "UDS_PATH", "CORS_ALLOW_ORIGIN", "AIP_HTTP_PORT",
                 "NCCL_NET_PLUGIN"),
}  # fmt: skip
TAKEN_ARGS: Final = {
    VLLM: (
        "--max-model-len", "16384", "--config-format=hf", "--enable-prefix-caching", "-q", "fp8",
        "--quantization=fp8", "-qfp8", "--hf-config-path=/models/current/x", "-O", "3", "-O=3",
        "--allowed-origins=[\"*\"]", "--disable-uvicorn-access-log", "--api-server-count=2",
        "--chat-template", "{% for m in messages %}{{ m.content }}; {% endfor %}", "-tp", "1",
        "--chat-template=/models/current/chat.jinja", "--chat-template", "line\nline; two",
        "--hf-overrides", '{\n "a": 1}', "--enable-auto-tool-choice", "--tool-call-parser=hermes",
        "--data-parallel-backend=mp", "--gpu-memory-utilization=0.9", "--max-num-seqs=64", "-O3",
        "--no-enable-log-requests", "--uvicorn-log-level=warning", "--seed=-1", "--seed", "-1",
        "--lora-modules", "a=/models/current/a", "--enable-request-id-headers", "-cc.mode=3",
        "--kv-cache-dtype=fp8", "--model-impl=auto", "--generation-config=vllm", "--dtype=auto",
        "--kv-offloading-size=8", "--kv-cache-metrics", "--load-format=safetensors",
        "--max_model=9", "--load-format", "auto", "--no-enable-prefix-caching", "--max_num_seqs",
        "64", "-dcp=1", "--tokenizer=/models/current/tokenizer", "--generation-config",
        "/models/current", "--distributed-executor-backend=mp", "--tokenizer-mode=mistral",
        "--max-model-len=auto",
        "--max-num-batched-tokens=8k", "--cudagraph-capture-sizes", "1", "2", "4",
        "--lora-modules", '{"name": "a", "path": "/models/current/a", "base_model_name": "b"}',
        "b=/models/current/b", "--enable-lora", "--max-loras=2", "--max-lora-rank=64",
        "--hf-overrides", '{"architectures": ["Qwen3ForSequenceClassification"], '
        '"classifier_from_token": ["no", "yes"], "is_original_qwen3_reranker": true}',
        "--hf-overrides.rope_scaling.factor", "4.0", "--hf_overrides.rope_scaling.type=yarn",
        "--speculative-config", '{"method": "ngram", "num_speculative_tokens": 5, '
        '"prompt_lookup_max": 4}', "--speculative-config.model=/models/current/draft",
        "--speculative-config", '{"method": "mtp", "num_speculative_tokens": 1}',
        "--compilation-config", '{"mode": 3, "cudagraph_mode": "FULL_AND_PIECEWISE", '
        '"custom_ops": ["+rms_norm"], "splitting_ops": ["vllm::unified_attention"]}',
        "-cc.cudagraph_capture_sizes+", "1,2,4", "--limit-mm-per-prompt", '{"image": 2}',
        "--mm-processor-kwargs", '{"num_crops": 4}', "--media-io-kwargs.video.num_frames", "40",
        "--pooler-config", '{"pooling_type": "LAST"}', "--runner=pooling", "--convert=embed",
        "--override-generation-config", '{"temperature": 0.6}', "--reasoning-parser=deepseek_r1",
        "--default-chat-template-kwargs", '{"enable_thinking": false, "url": "https://x.dev/"}',
        "--structured-outputs-config.backend", "xgrammar", "--attention-backend=FLASH_ATTN",
        "--default-mm-loras", '{"audio": "/models/current/speech"}', "--no-async-scheduling",
    ),
    TRITON: (
        "--log-verbose=1", "--http-thread-count=16", "--http-header-forward-pattern=.*",
        "--metrics-config=summary_latencies=true", "--metrics-interval-ms=1000",
        "--allow-grpc=true", "--allow-gpu-metrics=false",
        "--backend-config=python,shm-default-byte-size=1048576",
        "--cache-config=local,size=1048576", "--rate-limit=execution_count", "--id=here",
        "--model-load-thread-count=8", "--pinned-memory-pool-byte-size=0", "--exit-on-error=true",
        "--strict-model-config=true", "--grpc-keepalive-time=1000", "--model-namespacing=true",
        "--log-verbose", "1", "--log-v=1", "--backend-config", "default-max-batch-size=4",
        "--cuda-memory-pool-byte-size=0:67108864", "--rate-limit-resource=R1:4:0",
        "--host-policy=gpu_0,numa-node=0", "--disable-auto-complete-config", "--log-format=ISO8601",
    ),
    MLSERVER: (),
    EMBEDDINGS: (
        "--max-batch-tokens=8192", "--pooling=cls", "--auto-truncate", "--dtype=float16",
        "--payload-limit=8000000", "--json-output", "--max-client-batch-size=64",
        "--default-prompt-name=query", "--tokenization-workers=4", "--dense-path=2_Dense",
        "--auto-truncate=false", "--auto-truncate", "false", "--default-prompt", "query: ",
    ),
}  # fmt: skip
TAKEN_ENV: Final = {
    VLLM: ("VLLM_LOGGING_LEVEL", "VLLM_ATTENTION_BACKEND", "VLLM_USE_V1", "PORT",
           "VLLM_WORKER_MULTIPROC_METHOD", "VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "CUDA_LAUNCH_BLOCKING",
           "VLLM_RPC_TIMEOUT", "NCCL_DEBUG", "OMP_NUM_THREADS", "http_proxy", "TORCH_LOGS",
           "VLLM_NO_USAGE_STATS", "VLLM_DO_NOT_TRACK"),
    TRITON: ("LOG_LEVEL", "TF_CPP_MIN_LOG_LEVEL", "OMP_NUM_THREADS", "no_proxy"),
    MLSERVER: ("MLSERVER_PARALLEL_WORKERS", "MLSERVER_MODEL_NAME",
               "MLSERVER_MODEL_MAX_BATCH_SIZE", "MLSERVER_GRPC_MAX_MESSAGE_LENGTH",
               "MLSERVER_DEBUG", "MLSERVER_GZIP_ENABLED", "mlserver_model_max_batch_time"),
    EMBEDDINGS: ("MAX_BATCH_TOKENS", "POOLING", "RUST_LOG", "DENSE_PATH", "DTYPE",
                 "AUTO_TRUNCATE", "VLLM_PORT"),
}  # fmt: skip
TAKEN_VALUES: Final = {
    VLLM: {"VLLM_CACHE_ROOT": "/tmp/vllm", "VLLM_TUNED_CONFIG_FOLDER": "/models/current/tuned",
           "TRITON_CACHE_DIR": "/tmp/t", "HF_HOME": "/tmp/hub", "VLLM_LOGGING_LEVEL": "DEBUG",
           "VLLM_LOGGING_STREAM": "ext://sys.stderr",
           "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True", "MPLBACKEND": "Agg",
           "TMPDIR": "/dev/shm", "NCCL_SOCKET_IFNAME": "eth0"},
    TRITON: {"TRITON_CACHE_DIR": "/tmp/t", "HTTPS_PROXY": "http://proxy.corp:3128"},
    MLSERVER: {"MLSERVER_MODEL_IMPLEMENTATION": "mlserver_sklearn.SKLearnModel",
               "MLSERVER_MODEL_PARAMETERS": '{"version": "v1", "content_type": "text/csv"}',
               "MLSERVER_METRICS_DIR": "/tmp/metrics", "NUMBA_CACHE_DIR": "/tmp/numba"},
    EMBEDDINGS: {"HUGGINGFACE_HUB_CACHE": "/tmp/hub", "POOLING": "last-token", "DTYPE": "float16"},
}  # fmt: skip
REFUSED_VALUES: Final = {
    VLLM: {"VLLM_CACHE_ROOT": "/models/current", "VLLM_MEDIA_CONNECTOR": "x.Y",
           "VLLM_LOGGING_STREAM": "ext://x.Y",
           "VLLM_TUNED_CONFIG_FOLDER": "/tmp/x", "VLLM_CONFIG_ROOT": "/tmp/../etc"},
    TRITON: {"TRITON_CACHE_DIR": "/models/current"},
    MLSERVER: {"MLSERVER_MODEL_IMPLEMENTATION": "evil.Model",
               "MLSERVER_MODEL_PARAMETERS": '{"uri": "s3://evil"}',
               "mlserver_model_parameters": '{"extra": {"pretrained_model": "evil/x"}}',
               "MLSERVER_MODEL_EXTRA": '{"environment_tarball": "x"}'},
    EMBEDDINGS: {"DENSE_PATH": "../x", "dense_path": "/x", "POOLING": "../x"},
}  # fmt: skip
"""By runtime, variables whose value decides whether a spec may set them."""
RESERVED_ENV: Final = (
    "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PYTHONINSPECT", "PYTHONBREAKPOINT",
    "PYTHONUSERBASE", "PYTHONPLATLIBDIR", "PYTHONWARNINGS", "PYTHONEXECUTABLE", "pythonpath",
    "BASH_ENV", "ENV", "BASH_FUNC_x", "SHELLOPTS", "PS4", "LD_PRELOAD", "LD_LIBRARY_PATH",
    "LD_AUDIT", "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "MALLOC_TRACE", "HOSTALIASES",
    "NODE_OPTIONS", "NODE_PATH", "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED",
    "PERL5OPT", "PERL5LIB", "PERLLIB", "RUBYOPT", "RUBYLIB", "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "DOTNET_STARTUP_HOOKS", "HF_ENDPOINT", "HF_TOKEN",
    "HF_HUB_OFFLINE", "HF_HOME", "HF_MODULES_CACHE", "TRANSFORMERS_CACHE",
    "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_CACHE", "KUBECONFIG", "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "OPENSSL_CONF",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_PROFILE", "AWS_ENDPOINT_URL",
    "AWS_WEB_IDENTITY_TOKEN_FILE", "GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "GIT_SSL_NO_VERIFY",
    "PIP_INDEX_URL", "NVIDIA_VISIBLE_DEVICES", "AMD_VISIBLE_DEVICES",
    "AWS_NEURON_VISIBLE_DEVICES", "HOME", "PATH", "USER", "LOGNAME",
    "ISOSERVE_INPUT", "TMPDIR", "NETRC", "MPLBACKEND", "XDG_CONFIG_HOME",
)  # fmt: skip
"""What of any image is not a spec's, with the value /models/current."""
FREE_ENV: Final = (
    "PYTHONUNBUFFERED", "PYTHONHASHSEED", "PYTHON_VERSION", "NODE_ENV", "NODE_NAME", "JAVA_OPTS",
    "GIT_COMMIT", "GIT_SHA", "HF_HUB_DISABLE_TELEMETRY", "TRANSFORMERS_VERBOSITY",
    "TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS", "https_proxy", "no_proxy", "LOG_LEVEL",
    "ENVIRONMENT", "ENV_NAME", "SSLMODE", "LDAP_URL", "PYTHIA_URL", "TZ", "LANG", "LC_ALL",
    "DATABASE_PASSWORD_FILE", "S3_BUCKET", "GRPC_VERBOSITY", "UVICORN_WORKERS",
    "GUNICORN_CMD_ARGS",
)  # fmt: skip
"""What of any image is."""


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


def valued(table: dict[str, dict[str, str]]) -> list[tuple[str, str, str]]:
    return [(image, *row) for image, rows in table.items() for row in rows.items()]


MINE: Final = f"registry.example.com/mine@sha256:{'0' * 64}"


@pytest.mark.parametrize("name", RESERVED_ENV)
def test_what_a_loader_an_interpreter_or_an_sdk_reads_is_nobodys(name: str) -> None:
    for image in (VLLM, MLSERVER, MINE):
        assert codes(image=image, env={name: "/models/current"}) == [("E342", f"env.{name}")], image
    job = codes(image=MINE, batch={"command": ["score"]}, env={name: "/models/current"})
    assert job == [("E342", f"env.{name}")], "of a job neither"


@pytest.mark.parametrize("name", FREE_ENV)
def test_a_name_of_an_application_is_its_own(name: str) -> None:
    assert codes(image=MINE, env={name: "1"}) == []


@pytest.mark.parametrize("name", ["HF_HOME", "TRANSFORMERS_CACHE", "XDG_CACHE_HOME", "TMPDIR"])
def test_an_image_of_ones_own_keeps_its_caches_where_it_may_write(name: str) -> None:
    assert codes(image=MINE, env={name: "/tmp/cache"}) == []


@pytest.mark.parametrize(("image", "name", "value"), valued(TAKEN_VALUES))
def test_a_value_of_the_right_kind_is_taken(image: str, name: str, value: str) -> None:
    assert codes(image=image, env={name: value}) == []


@pytest.mark.parametrize(("image", "name", "value"), valued(REFUSED_VALUES))
def test_a_value_that_reaches_elsewhere_is_refused(image: str, name: str, value: str) -> None:
    assert codes(image=image, env={name: value}) == [("E342", f"env.{name}")]


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
    candidate = {"image": MINE, "args": ["--config=x"], "env": {"VLLM_PORT": "1"}}
    assert codes(image=VLLM, rollout={"strategy": "blue_green", "candidate": candidate}) == []


def test_a_jobs_variables_are_its_own_commands() -> None:
    assert codes(image=EMBEDDINGS, batch={"command": ["score"]}, env={"PORT": "1"}) == []


def test_an_image_of_ones_own_has_variables_of_its_own() -> None:
    assert (
        codes(image=MINE, env={"PORT": "1", "API_KEY_FILE": "/secrets/x"}, args=["--config=x"])
        == []
    )


def test_no_flag_of_text_embeddings_inference_that_is_refused_has_a_free_twin() -> None:
    row = RUNTIMES[EMBEDDINGS]
    refused = {flag for setting in row.owned for flag in setting.flags} | own_flags(row)
    for flag in refused:
        twin = flag.strip("-").upper().replace("-", "_")
        assert len(twin) == 1 or codes(image=EMBEDDINGS, env={twin: "/x"}), (
            f"clap reads it as {flag}"
        )


@pytest.mark.parametrize("row", RUNTIMES.values(), ids=lambda row: row.name)
def test_a_flag_is_either_a_specs_or_somebody_elses(row: Runtime) -> None:
    legal = row.flags.kinds if row.flags else {}
    refused = {flag for setting in row.owned for flag in setting.flags} | own_flags(row)
    assert set(legal) & refused <= set(row.sharing), "how a model is shared a spec may say itself"


def test_a_table_is_of_settings_that_something_can_set() -> None:
    for row in RUNTIMES.values():
        for setting in row.owned:
            assert setting.flags or setting.variables, setting.why
            assert row.takes_args or not setting.flags, f"{row.name} has no flags at all"
            assert all(map(setting.covers, setting.but)), "an exception of what it closes"


def test_a_message_says_what_is_wrong_what_was_got_and_what_to_do() -> None:
    said = {
        "--max-modellen=9": "no flag that a spec gives vllm (v0.18.0), got '--max-modellen'; "
        "did you mean --max-model-len?",
        "--tokenizer=evil/x": "its value is a path in /models/current, got '--tokenizer evil/x'; "
        "write another, or remove --tokenizer",
        "--enforce-eager=true": "it takes no value, got '--enforce-eager true'; "
        "write it alone, or remove --enforce-eager",
        "--pooler-config.pooling_typ=LAST": "'pooling_typ' in it is none that a spec writes "
        "(did you mean pooling_type?), got '--pooler-config.pooling_typ LAST'; "
        "write another, or remove --pooler-config.pooling_typ",
        "--worker-cls=x": "it has the server run code or read libraries that nobody has pinned, "
        "got '--worker-cls'; remove it",
    }
    with pytest.raises(SpecErrors) as refused:
        a_model(args=list(said))
    assert [error.message for error in refused.value.errors] == list(said.values())


def test_a_flags_values_are_read_as_its_server_reads_them() -> None:
    assert codes(args=["--enable-lora", "evil/x"]) == [("E343", "args[1]")], "it takes none"
    assert codes(args=["--seed", "1", "evil/x"]) == [("E343", "args[2]")], "it takes one"
    assert codes(args=["--lora-modules", "a=/models/current/a", "b=evil/b"]), "it takes more"
    assert codes(args=["--chat-template", "--config=x"]) == [
        ("E343", "args[0]"),
        ("E343", "args[1]"),
    ], "what begins like a flag is one"
    assert codes(args=["--no-such", "1", "2", "--seed", "1"]) == [("E343", "args[0]")], "told once"


def test_json_of_any_depth_is_refused_without_a_traceback() -> None:
    for deep in ("[" * 2_000 + "]" * 2_000, '{"a":' * 600 + "1" + "}" * 600):
        for word in (f"--hf-overrides={deep}", f"--hf-overrides.a={deep}", f"-cc={deep}"):
            codes(args=[word])
    assert codes(args=["--speculative-config" + ".a" * 2_000 + "=1"]) == [("E343", "args[0]")]


def test_thousands_of_unknown_settings_are_told_only_at_their_beginning() -> None:
    many = [f"--no-such-{n}" for n in range(3_000)]
    assert len(codes(args=many)) == MAX_ERRORS + 1
    assert len(codes(env={f"VLLM_X{n}": "1" for n in range(1_000)})) == MAX_ERRORS + 1


def test_a_variable_arrives_as_it_is_written_or_is_refused() -> None:
    assert codes(env={"CUT": "a\0b"}) == [("E342", "env.CUT")], "execve ends a value there"
    assert codes(env={"HERE": "$(HOME)/x"}) == [("E342", "env.HERE")], "Kubernetes expands it"
    full = 131_072 - len("BIG=") - 1
    assert codes(env={"BIG": "x" * full}) == [], "MAX_ARG_STRLEN counts name, value and a NUL"
    assert codes(env={"BIG": "x" * (full + 1)}) == [("E342", "env.BIG")]
    assert codes(env={"BIG": "é" * (full // 2 + 1)}) == [("E342", "env.BIG")], "bytes, not letters"


def expanded(text: str) -> str:
    """What the kubelet makes of a text in which no variable is named."""
    assert "$(" not in text.replace("$$", ""), "it would be one"
    return text.replace("$$", "$")


def test_dollars_arrive_as_they_are_written() -> None:
    words, value = ("^a$", "a$$b", "{{ $x }}"), "pa$$word$"
    model = a_model(image=MINE, args=list(words), env={"A": value})
    (server, *_) = of_kind("Deployment", rendered(planned(model)))
    (main,) = template(server)["spec"]["containers"]
    for word, written in zip(main["args"][-3:], words, strict=True):
        assert expanded(word) == written, "the kubelet reads `$$` as one dollar"
    (got,) = (row["value"] for row in main["env"] if row["name"] == "A")
    assert expanded(got) == value
