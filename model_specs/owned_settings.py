"""What of each server a spec does not set, and why: flags and variables, beside its command line.

A row names every spelling of one setting, so that a flag and its environment twin are refused
alike. The last rows of a table close families: of the variables that begin so, only those that
`but` has are a spec's. The sources of a table are those of the runtime's row, under `owned`
(model_specs.runtimes).
"""

from __future__ import annotations

from typing import Final

from model_specs.flag_kinds import (
    MLSERVER_CLASS,
    MODEL_FILE,
    SCRATCH_FILE,
    TEXT,
    WORD,
    json_object,
    one_of,
    table,
)
from model_specs.reserved_variables import LIBRARIES
from model_specs.setting import Setting

_ADDRESS: Final = "probes, Service and network policies keep to the platform's address and port"
_CALLS: Final = "network policies let a server call nobody; metrics and logs are read from outside"
_CODE: Final = "it has the server run code or read libraries that nobody has pinned"
_CALLERS: Final = "who may call is `access`, and neither prober nor kubelet has a key"
_CONTROL: Final = "it opens paths by which any caller changes what the server does"
_FILE: Final = "a file would set flags that no check sees; write them in `args`"
_HUB: Final = "a server loads from its own model's folder and from no hub"
_METRICS: Final = "the autoscaler and the alerts read the server's metrics where the platform asks"
_MODEL: Final = "which model is served, and from where, is `model`"
_NAME: Final = "the served name is the file's name, or `served_names`"
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
_VLLM_FREE: Final = """
VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE VLLM_ALLOW_LONG_MAX_MODEL_LEN
VLLM_ALLREDUCE_USE_FLASHINFER VLLM_ALLREDUCE_USE_SYMM_MEM VLLM_ASSETS_CACHE_MODEL_CLEAN
VLLM_ATTENTION_BACKEND VLLM_AUDIO_FETCH_TIMEOUT VLLM_BLOCKSCALE_FP8_GEMM_FLASHINFER
VLLM_COMPILE_CACHE_SAVE_FORMAT VLLM_COMPUTE_NANS_IN_LOGITS VLLM_CONFIGURE_LOGGING
VLLM_CPU_KVCACHE_SPACE VLLM_CPU_NUM_OF_RESERVED_CPU VLLM_CPU_OMP_THREADS_BIND VLLM_CPU_SGL_KERNEL
VLLM_CUSTOM_SCOPES_FOR_PROFILING VLLM_DBO_COMM_SMS VLLM_DEBUG_LOG_API_SERVER_RESPONSE
VLLM_DEBUG_MFU_METRICS VLLM_DEBUG_WORKSPACE VLLM_DEEPEPLL_NVFP4_DISPATCH
VLLM_DEEPEP_BUFFER_SIZE_MB VLLM_DEEPEP_HIGH_THROUGHPUT_FORCE_INTRA_NODE
VLLM_DEEPEP_LOW_LATENCY_USE_MNNVL VLLM_DEEP_GEMM_WARMUP VLLM_DISABLED_KERNELS
VLLM_DISABLE_COMPILE_CACHE VLLM_DISABLE_LOG_LOGO VLLM_DISABLE_PYNCCL
VLLM_DISABLE_REQUEST_ID_RANDOMIZATION VLLM_DISABLE_SHARED_EXPERTS_STREAM VLLM_DO_NOT_TRACK
VLLM_ENABLE_CUDAGRAPH_GC VLLM_ENABLE_FLA_PACKED_RECURRENT_DECODE
VLLM_ENABLE_INDUCTOR_COORDINATE_DESCENT_TUNING VLLM_ENABLE_INDUCTOR_MAX_AUTOTUNE
VLLM_ENABLE_MOE_DP_CHUNK VLLM_ENABLE_PREGRAD_PASSES VLLM_ENABLE_RESPONSES_API_STORE
VLLM_ENABLE_V1_MULTIPROCESSING VLLM_ENGINE_ITERATION_TIMEOUT_S VLLM_ENGINE_READY_TIMEOUT_S
VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS VLLM_FLASHINFER_ALLREDUCE_BACKEND
VLLM_FLASHINFER_ALLREDUCE_FUSION_THRESHOLDS_MB VLLM_FLASHINFER_MOE_BACKEND
VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE VLLM_FLOAT32_MATMUL_PRECISION VLLM_GC_DEBUG
VLLM_GPT_OSS_HARMONY_SYSTEM_INSTRUCTIONS VLLM_HAS_FLASHINFER_CUBIN VLLM_HTTP_TIMEOUT_KEEP_ALIVE
VLLM_IMAGE_FETCH_TIMEOUT VLLM_KV_CACHE_LAYOUT VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES
VLLM_ENABLE_CUDA_COMPATIBILITY VLLM_LOGGING_COLOR VLLM_LOGGING_PREFIX VLLM_LOG_BATCHSIZE_INTERVAL
VLLM_LOG_MODEL_INSPECTION VLLM_LOG_STATS_INTERVAL VLLM_LORA_DISABLE_PDL VLLM_MARLIN_INPUT_DTYPE
VLLM_MARLIN_USE_ATOMIC_ADD VLLM_MAX_AUDIO_CLIP_FILESIZE_MB VLLM_MAX_TOKENS_PER_EXPERT_FP4_MOE
VLLM_MEDIA_LOADING_THREAD_COUNT VLLM_MEDIA_URL_ALLOW_REDIRECTS
VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS VLLM_MM_HASHER_ALGORITHM VLLM_MOE_DP_CHUNK_SIZE
VLLM_MOE_USE_DEEP_GEMM VLLM_MQ_MAX_CHUNK_BYTES_MB VLLM_MSGPACK_ZERO_COPY_THRESHOLD
VLLM_MXFP4_USE_MARLIN VLLM_NO_USAGE_STATS VLLM_NVFP4_GEMM_BACKEND VLLM_NVTX_SCOPES_FOR_PROFILING
VLLM_PATTERN_MATCH_DEBUG VLLM_PP_LAYER_PARTITION VLLM_PROCESS_NAME_PREFIX
VLLM_RINGBUFFER_WARNING_INTERVAL VLLM_RPC_TIMEOUT VLLM_SHARED_EXPERTS_STREAM_TOKEN_THRESHOLD
VLLM_SKIP_P2P_CHECK VLLM_SYSTEM_START_DATE VLLM_TEST_FORCE_FP8_MARLIN
VLLM_TOOL_JSON_ERROR_AUTOMATIC_RETRY VLLM_TOOL_PARSE_REGEX_TIMEOUT_SECONDS VLLM_TRACE_FUNCTION
VLLM_USAGE_SOURCE VLLM_USE_AOT_COMPILE VLLM_USE_BYTECODE_HOOK VLLM_USE_DEEP_GEMM
VLLM_USE_DEEP_GEMM_E8M0 VLLM_USE_DEEP_GEMM_TMA_ALIGNED_SCALES
VLLM_USE_EXPERIMENTAL_PARSER_CONTEXT VLLM_USE_FBGEMM VLLM_USE_FLASHINFER_MOE_FP16
VLLM_USE_FLASHINFER_MOE_FP4 VLLM_USE_FLASHINFER_MOE_FP8 VLLM_USE_FLASHINFER_MOE_INT4
VLLM_USE_FLASHINFER_MOE_MXFP4_BF16 VLLM_USE_FLASHINFER_MOE_MXFP4_MXFP8
VLLM_USE_FLASHINFER_MOE_MXFP4_MXFP8_CUTLASS VLLM_USE_FLASHINFER_SAMPLER
VLLM_USE_FUSED_MOE_GROUPED_TOPK VLLM_USE_NCCL_SYMM_MEM VLLM_USE_NVFP4_CT_EMULATIONS
VLLM_USE_OINK_OPS VLLM_USE_STANDALONE_COMPILE VLLM_USE_TRITON_AWQ VLLM_USE_V1
VLLM_USE_V2_MODEL_RUNNER VLLM_V1_OUTPUT_PROC_CHUNK_SIZE VLLM_V1_USE_OUTLINES_CACHE
VLLM_VIDEO_FETCH_TIMEOUT VLLM_WEIGHT_OFFLOADING_DISABLE_PIN_MEMORY
VLLM_WEIGHT_OFFLOADING_DISABLE_UVA VLLM_WORKER_MULTIPROC_METHOD VLLM_XGRAMMAR_CACHE_MB
"""
_MLSERVER_FREE: Final = """
MLSERVER_CACHE_ENABLED MLSERVER_CACHE_SIZE MLSERVER_DEBUG MLSERVER_GRPC_MAX_MESSAGE_LENGTH
MLSERVER_GZIP_ENABLED MLSERVER_MODEL_AUTOGENERATE_INFERENCE_POOL_GID MLSERVER_MODEL_CACHE_ENABLED
MLSERVER_MODEL_CONTENT_TYPE MLSERVER_MODEL_FORMAT MLSERVER_MODEL_HUGGINGFACE_DEVICE
MLSERVER_MODEL_HUGGINGFACE_FRAMEWORK MLSERVER_MODEL_HUGGINGFACE_INTER_OP_THREADS
MLSERVER_MODEL_HUGGINGFACE_INTRA_OP_THREADS MLSERVER_MODEL_HUGGINGFACE_OPTIMUM_MODEL
MLSERVER_MODEL_HUGGINGFACE_TASK MLSERVER_MODEL_HUGGINGFACE_TASK_SUFFIX
MLSERVER_MODEL_INFERENCE_POOL_GID MLSERVER_MODEL_INPUTS MLSERVER_MODEL_MAX_BATCH_SIZE
MLSERVER_MODEL_MAX_BATCH_TIME MLSERVER_MODEL_NAME MLSERVER_MODEL_OUTPUTS
MLSERVER_MODEL_PARALLEL_WORKERS MLSERVER_MODEL_PLATFORM MLSERVER_MODEL_VERSION
MLSERVER_MODEL_VERSIONS MLSERVER_MODEL_WARM_WORKERS MLSERVER_PARALLEL_WORKERS
MLSERVER_PARALLEL_WORKERS_TIMEOUT MLSERVER_SERVER_NAME MLSERVER_SERVER_VERSION
MLSERVER_USE_STRUCTURED_LOGGING
"""
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
    Setting(flags=("--root-path", "--tokens-only"), why=_PATH),
    Setting(flags=("--config",), why=_FILE),
    Setting(
        flags=(
            "--io-processor-plugin",
            "--logits-processor-pattern",
            "--logits-processors",
            "--middleware",
            "--reasoning-parser-plugin",
            "--scheduler-cls",
            "--tool-parser-plugin",
            "--trust-remote-code",
            "--worker-cls",
            "--worker-extension-cls",
        ),
        variables=(
            "VLLM_ALLOW_INSECURE_SERIALIZATION",
            "VLLM_CUDART_SO_PATH",
            "VLLM_CUDA_COMPATIBILITY_PATH",
            "VLLM_NCCL_INCLUDE_PATH",
            "VLLM_NCCL_SO_PATH",
            "VLLM_PLUGINS",
        ),
        why=_CODE,
    ),
    Setting(
        flags=("--log-config-file",),
        variables=("VLLM_LOGGING_CONFIG_PATH",),
        why="a logging configuration names classes to load; --uvicorn-log-level sets the level",
    ),
    Setting(
        flags=("--disable-log-stats",), variables=("PROMETHEUS_MULTIPROC_DIR",), why=_METRICS
    ),
    Setting(
        flags=(
            "--code-revision",
            "--download-dir",
            "--model-loader-extra-config",
            "--revision",
            "--tokenizer-revision",
            "--weight-transfer-config",
        ),
        variables=(
            "VLLM_CI_USE_S3",
            "VLLM_LORA_RESOLVER_*",
            "VLLM_MODEL_REDIRECT_PATH",
            "VLLM_MOE_ROUTING_SIMULATION_STRATEGY",
            "VLLM_TEST_FORCE_LOAD_FORMAT",
        ),
        why=_MODEL,
    ),
    Setting(flags=("--hf-token",), why=_HUB),
    Setting(flags=("--allowed-local-media-path",), why="any caller would read files of the pod"),
    Setting(flags=("--additional-config",), why="plugins alone read it, and there are none"),
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
            "-dpa",
            "--data-parallel-external-lb",
            "-dpe",
            "--data-parallel-hybrid-lb",
            "-dph",
            "--data-parallel-rank",
            "-dpn",
            "--data-parallel-start-rank",
            "-dpr",
            "-dpb",
            "--enable-elastic-ep",
            "--ray-workers-use-nsight",
        ),
        variables=(
            "LOCAL_RANK",
            "MASTER_ADDR",
            "MASTER_PORT",
            "RANK",
            "RAY_*",
            "VLLM_DP_*",
            "VLLM_ELASTIC_EP_*",
            "VLLM_RAY_*",
            "WORLD_SIZE",
        ),
        why=_NODES,
    ),
    Setting(
        flags=("--data-parallel-rpc-port", "-dpp", "--data-parallel-supervisor-port"),
        variables=("VLLM_NIXL_*", "VLLM_MOONCAKE_*", "VLLM_MORIIO_*", "VLLM_LOOPBACK_IP"),
        why=_ADDRESS,
    ),
    Setting(flags=("--kv-events-config", "--ec-transfer-config"), why=_PEERS),
    # What a connector to the node's own memory does, a flag of its own does too.
    Setting(flags=("--kv-transfer-config",), why=f"{_PEERS}; --kv-offloading-size is for memory"),
    Setting(
        flags=("--otlp-traces-endpoint", "--collect-detailed-traces", "--tool-server"),
        variables=(
            "S3_ACCESS_KEY_ID",
            "S3_ENDPOINT_URL",
            "S3_SECRET_ACCESS_KEY",
            "VLLM_GPT_OSS_SYSTEM_TOOL_MCP_LABELS",
            "VLLM_USAGE_STATS_SERVER",
            "VLLM_USE_MODELSCOPE",
        ),
        why=_CALLS,
    ),
    Setting(
        flags=("--profiler-config", "--trust-request-chat-template"),
        variables=("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_SERVER_DEV_MODE"),
        why=_CONTROL,
    ),
    Setting(
        variables=("VLLM_KEEP_ALIVE_ON_ENGINE_DEATH",), why="a server without its engine is dead"
    ),
    Setting(variables=("VLLM_MLA_DISABLE",), why="the model's memory is reckoned with MLA"),
    _TELEMETRY,
    _UVICORN,
    Setting(
        variables=("VLLM_*",),
        why="no variable of vLLM's that a spec sets",
        but=table(
            (TEXT, _VLLM_FREE),
            (SCRATCH_FILE, "VLLM_ASSETS_CACHE VLLM_CACHE_ROOT VLLM_CONFIG_ROOT"
                           " VLLM_DEBUG_DUMP_PATH VLLM_XLA_CACHE_PATH"),
            (MODEL_FILE, "VLLM_TUNED_CONFIG_FOLDER"),
            # Another name behind ext:// is imported by Python's logging.
            (one_of("ext://sys.stdout", "ext://sys.stderr"), "VLLM_LOGGING_STREAM"),
            (WORD, "VLLM_MEDIA_CONNECTOR VLLM_LOGGING_LEVEL VLLM_VIDEO_LOADER_BACKEND"),
        ),
    ),
    *LIBRARIES,
)  # fmt: skip
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
            "--sagemaker-safe-port-range",
            "--sagemaker-thread-count",
            "--vertex-ai-default-model",
            "--vertex-ai-thread-count",
        ),
        variables=("AIP_*",),
        why=_ADDRESS,
    ),
    Setting(flags=("--allow-metrics", "--metrics-address"), why=_METRICS),
    Setting(flags=("--http-restricted-api", "--grpc-restricted-protocol"), why=_CALLERS),
    Setting(flags=("--allow-client-shm",), why=_CONTROL),
    Setting(flags=("--backend-directory", "--cache-directory", "--repoagent-directory"), why=_CODE),
    Setting(
        flags=(
            "--grpc-root-cert",
            "--grpc-server-cert",
            "--grpc-server-key",
            "--grpc-use-ssl",
            "--grpc-use-ssl-mutual",
        ),
        why=_TLS,
    ),
    Setting(flags=("--log-file",), why="logs go where the node reads them, to standard output"),
    Setting(flags=("--model-control-mode", "--load-model", "--repository-poll-secs"), why=_MODEL),
    Setting(flags=("--strict-readiness",), why=_READY),
    Setting(
        flags=(
            "--trace-config",
            "--trace-count",
            "--trace-file",
            "--trace-level",
            "--trace-log-frequency",
            "--trace-rate",
        ),
        why=f"{_CALLS}, and nobody reads a file in a pod",
    ),
    _TELEMETRY,
    Setting(
        variables=("TRITONSERVER_*", "TRITONBACKEND_*"),
        why="the platform starts the server as its command line says",
    ),
    *LIBRARIES,
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
            "PROMETHEUS_MULTIPROC_DIR",
        ),
        why=_METRICS,
    ),
    Setting(variables=("MLSERVER_ROOT_PATH",), why=_PATH),
    Setting(
        variables=(
            "MLSERVER_LOAD_MODELS_AT_STARTUP",
            "MLSERVER_MODEL_HUGGINGFACE_PRETRAINED_*",
            "MLSERVER_MODEL_REPOSITORY_*",
            "MLSERVER_MODEL_URI",
            "PREDICTIVE_UNIT_*",
        ),
        why=_MODEL,
    ),
    Setting(
        variables=(
            "MLSERVER_ENVIRONMENTS_DIR",
            "MLSERVER_EXTENSIONS",
            "MLSERVER_LOGGING_SETTINGS",
            "MLSERVER_MODEL_ENVIRONMENT_*",
        ),
        why=_CODE,
    ),
    _UVICORN,
    Setting(
        variables=("MLSERVER_*",),
        why="no variable of MLServer's that a spec sets",
        but=table(
            (TEXT, _MLSERVER_FREE),
            (SCRATCH_FILE, "MLSERVER_METRICS_DIR"),
            (MLSERVER_CLASS, "MLSERVER_MODEL_IMPLEMENTATION"),
            (json_object(), "MLSERVER_MODEL_EXTRA MLSERVER_MODEL_HUGGINGFACE_MODEL_KWARGS"
                            " MLSERVER_MODEL_PARAMETERS"),
        ),
    ),
    *LIBRARIES,
)  # fmt: skip
EMBEDDINGS: Final = (
    # Each flag has a variable of its name, which the flags that the platform writes would win over.
    Setting(variables=("HOSTNAME", "PORT"), why=_ADDRESS),
    Setting(flags=("--revision",), variables=("MODEL_ID", "REVISION"), why=_MODEL),
    Setting(flags=("--hf-token", "--hf-api-token"), why=_HUB),
    Setting(
        flags=("--cors-allow-origin",),
        variables=("CORS_ALLOW_ORIGIN",),
        why="who may call is `access`",
    ),
    Setting(flags=("--uds-path",), variables=("UDS_PATH",), why=_ADDRESS),
    Setting(flags=("--huggingface-hub-cache",), why=_MODEL),
    Setting(variables=("AIP_*",), why=_ADDRESS),
    Setting(variables=("SERVED_MODEL_NAME",), why=_NAME),
    Setting(flags=("--api-key",), variables=("API_KEY",), why=_CALLERS),
    Setting(flags=("--prometheus-port",), variables=("PROMETHEUS_PORT",), why=_METRICS),
    Setting(
        flags=("--otlp-endpoint", "--otlp-service-name"),
        variables=("OTLP_ENDPOINT", "OTLP_SERVICE_NAME"),
        why=_CALLS,
    ),
    _TELEMETRY,
    *LIBRARIES,
)
