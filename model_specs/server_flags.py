"""The flags that a spec may give each server of the catalogue; whatever is not here is refused.

vLLM's were read in the wheel of the version that its row names as `upstream`, Triton's
(src/command_line_parser.cc) and text-embeddings-inference's (router/src/main.rs) in the newest
stored copy of their repositories, which may be a little older or younger than the image. A flag
that the server has and that is not here is in `owned_settings`, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from model_specs.flag_kinds import (
    ADAPTERS,
    MODEL_FILE,
    MODEL_FILES,
    MODEL_FOLDER,
    NUMBER,
    NUMBERS,
    OPTION,
    SWITCH,
    TEMPLATE,
    TEXT,
    TEXTS,
    WORD,
    Kind,
    json_keys,
    json_object,
    matching,
    one_of,
    one_or_path,
    table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The legal flags of a server, and how its parser reads a command line.

    With `abbreviated` the beginning of a flag stands for it where no other begins so (argparse,
    getopt_long). With `has_twins` a flag in capitals is its variable (clap's `env`).
    `is_vllms` is vLLM's own reading on top of argparse: `_` for `-`, `--flag.key value` for JSON,
    and `-O3` (vllm/utils/argparse_utils.py).
    """

    kinds: Mapping[str, Kind]
    abbreviated: bool = False
    has_twins: bool = False
    is_vllms: bool = False


_VLLM_SWITCHES: Final = """
allow-credentials allow-deprecated-quantization aggregate-engine-logging async-scheduling
calculate-kv-scales cudagraph-metrics disable-cascade-attn disable-chunked-mm-input
disable-custom-all-reduce disable-fastapi-docs disable-frontend-multiprocessing
disable-hybrid-kv-cache-manager disable-nccl-for-dp-synchronization disable-sliding-window
disable-uvicorn-access-log enable-auto-tool-choice enable-chunked-prefill enable-dbo
enable-ep-weight-filter enable-eplb enable-expert-parallel enable-flashinfer-autotune
enable-force-include-usage enable-layerwise-nvtx-tracing enable-log-deltas enable-log-outputs
enable-log-requests enable-logging-iteration-details enable-lora enable-mfu-metrics
enable-mm-embeds enable-offline-docs enable-prefix-caching enable-prompt-embeds
enable-prompt-tokens-details enable-request-id-headers enable-return-routed-experts
enable-server-load-tracking enable-sleep-mode enable-tokenizer-info-endpoint
enable-tower-connector-lora enforce-eager exclude-tools-when-tool-choice-none
fail-on-environ-validation fully-sharded-loras interleave-mm-strings kv-cache-metrics
kv-sharing-fast-prefill language-model-only log-error-stack mm-encoder-only
return-tokens-as-token-ids skip-mm-profiling skip-tokenizer-init specialize-active-lora
use-tqdm-on-load
"""
_VLLM_NUMBERS: Final = """
api-server-count -asc block-size cp-kv-cache-interleave-size cpu-offload-gb data-parallel-size -dp
data-parallel-size-local -dpl dbo-decode-token-threshold dbo-prefill-token-threshold
dcp-kv-cache-interleave-size decode-context-parallel-size -dcp distributed-timeout-seconds
gpu-memory-utilization h11-max-header-count h11-max-incomplete-event-size kv-cache-memory-bytes
kv-cache-metrics-sample kv-offloading-size long-prefill-token-threshold mamba-block-size
max-cpu-loras max-cudagraph-capture-size max-log-len max-logprobs max-long-partial-prefills
max-lora-rank max-loras max-model-len max-num-batched-tokens max-num-partial-prefills max-num-seqs
max-parallel-loading-workers mm-processor-cache-gb mm-shm-cache-max-object-size-mb
num-gpu-blocks-override offload-group-size offload-num-in-group offload-prefetch-step
optimization-level pipeline-parallel-size -pp prefill-context-parallel-size -pcp seed
stream-interval tensor-parallel-size -tp ubatch-size video-pruning-rate
"""
_VLLM_WORDS: Final = """
all2all-backend attention-backend chat-template-content-format config-format convert
dcp-comm-backend dtype expert-placement-strategy gdn-prefill-backend kv-cache-dtype
logprobs-mode lora-dtype mamba-cache-dtype mamba-cache-mode mamba-ssm-cache-dtype
mm-encoder-attn-backend mm-encoder-tp-mode mm-processor-cache-type model-impl moe-backend
offload-backend override-attention-dtype performance-mode prefix-caching-hash-algo quantization -q
reasoning-parser response-role runner safetensors-load-strategy scheduling-policy tokenizer-mode
tool-call-parser uvicorn-log-level
"""
_VLLM_KINDS: Final = table(
    (SWITCH, _VLLM_SWITCHES),
    (SWITCH, " ".join(f"no-{name}" for name in _VLLM_SWITCHES.split())),
    (NUMBER, _VLLM_NUMBERS),
    (WORD, _VLLM_WORDS),
    (NUMBERS, "cudagraph-capture-sizes"),
    (TEXT, "allowed-headers allowed-methods allowed-origins disable-access-log-for-endpoints"
           " pt-load-map-location show-hidden-metrics-for-version"),
    (TEXTS, "allowed-media-domains cpu-offload-params ignore-patterns offload-params"),
    (TEMPLATE, "chat-template"),
    (MODEL_FILE, "hf-config-path tokenizer"),
    (MODEL_FILES, "default-mm-loras"),
    (ADAPTERS, "lora-modules"),
    (one_or_path("auto", "vllm"), "generation-config"),
    # Of its formats `dummy` serves random weights, `tensorizer` and others read from elsewhere.
    (one_of("auto", "safetensors", "pt", "npcache", "bitsandbytes", "gguf", "mistral",
            "fastsafetensors", "sharded_state"), "load-format"),
    # Anything else is imported by its path, or is another process manager's.
    (one_of("mp", "uni"), "distributed-executor-backend"),
    (one_of("mp"), "data-parallel-backend"),
    (one_of("native"), "kv-offloading-backend"),
    (json_object(says_all=True), "default-chat-template-kwargs"),
    (json_object(), "hf-overrides limit-mm-per-prompt media-io-kwargs mm-processor-kwargs"
                    " override-generation-config"),
    (json_keys("backend disable_flashinfer_prefill disable_flashinfer_q_quantization"
               " flash_attn_max_num_splits_for_cuda_graph flash_attn_version use_cudnn_prefill"
               " use_prefill_decode_attention use_prefill_query_quantization use_trtllm_attention"
               " use_trtllm_ragged_deepseek_prefill"), "attention-config -ac"),
    # Not the passes that it imports, nor the folders of what it compiled before.
    (json_keys("backend compile_mm_encoder compile_ranges_endpoints compile_sizes"
               " cudagraph_capture_sizes cudagraph_copy_inputs cudagraph_mode"
               " cudagraph_num_of_warmups cudagraph_specialize_lora custom_ops"
               " dynamic_shapes_config fast_moe_cold_start inductor_compile_config"
               " max_cudagraph_capture_size mode pass_config splitting_ops"
               " use_inductor_graph_partition"), "compilation-config -cc"),
    (json_keys("log_balancedness log_balancedness_interval num_redundant_experts policy"
               " step_interval use_async window_size"), "eplb-config"),
    (json_keys("enable_flashinfer_autotune moe_backend"), "kernel-config"),
    (json_keys("dimensions enable_chunked_processing logit_bias max_embed_len"
               " pooling_type returned_token_ids seq_pooling_type step_tag_id"
               " tok_pooling_type use_activation"), "pooler-config"),
    (json_keys("disable_padded_drafter_batch draft_tensor_parallel_size enforce_eager"
               " max_model_len method num_speculative_tokens parallel_drafting prompt_lookup_max"
               " prompt_lookup_min quantization rejection_sample_method speculative_token_tree"
               " suffix_decoding_max_cached_requests suffix_decoding_max_spec_factor"
               " suffix_decoding_max_tree_depth suffix_decoding_min_token_prob"
               " tensor_parallel_size use_local_argmax_reduction", paths="model"),
     "speculative-config"),
    (json_keys("backend disable_additional_properties disable_any_whitespace enable_in_reasoning"
               " reasoning_parser"), "structured-outputs-config"),
    lead="--",
)  # fmt: skip
VLLM: Final = Flags(kinds=_VLLM_KINDS, abbreviated=True, is_vllms=True)

TRITON: Final = Flags(
    kinds=table(
        (SWITCH, "disable-auto-complete-config"),
        (WORD, "allow-cpu-metrics allow-gpu-metrics allow-grpc enable-peer-access exit-on-error"
               " grpc-infer-response-compression-level id log-error log-format log-info"
               " log-warning model-config-name model-namespacing rate-limit strict-model-config"),
        (NUMBER, "buffer-manager-thread-count grpc-http2-max-ping-strikes"
                 " grpc-http2-max-pings-without-data"
                 " grpc-http2-min-recv-ping-interval-without-data"
                 " grpc-infer-allocation-pool-size grpc-infer-thread-count grpc-keepalive-time"
                 " grpc-keepalive-timeout grpc-max-connection-age grpc-max-connection-age-grace"
                 " grpc-max-response-pool-size http-max-input-size http-thread-count log-verbose"
                 " metrics-interval-ms min-supported-compute-capability model-load-retry-count"
                 " model-load-thread-count pinned-memory-pool-byte-size response-cache-byte-size"),
        (WORD, "grpc-keepalive-permit-without-calls"),
        (TEXT, "grpc-header-forward-pattern http-header-forward-pattern"),
        (matching(r"[0-9]+:[0-9.]+", "DEVICE:NUMBER"),
         "cuda-memory-pool-byte-size cuda-virtual-address-size model-load-gpu-limit"),
        (matching(r"[\w.-]+:[0-9]+(:[0-9]+)?", "NAME:COUNT or NAME:COUNT:DEVICE"),
         "rate-limit-resource"),
        (matching(r"\w+,(numa-node|cpu-cores)=[0-9,-]+", "POLICY,numa-node=N or cpu-cores=N-N"),
         "host-policy"),
        (matching(r"\w+=[\w.:,-]+", "SETTING=VALUE"), "metrics-config"),
        # Another cache is a library, or a server elsewhere.
        (matching(r"local,size=[0-9]+", "local,size=BYTES"), "cache-config"),
        # Of all settings of backends those that name no file: others load libraries.
        (matching(r"(default-max-batch-size|python,(shm-default-byte-size|shm-growth-byte-size"
                  r"|stub-timeout-seconds|grpc-timeout-milliseconds)"
                  r"|tensorrt,(coalesce-request-input|execution-policy)"
                  r"|onnxruntime,(default-max-batch-size|enable-global-threadpool"
                  r"|intra_op_thread_count|inter_op_thread_count))=\w+",
                  "one of the settings that name no file, e.g. python,shm-default-byte-size=N"),
         "backend-config"),
        lead="--",
    ),
    abbreviated=True,
)  # fmt: skip

EMBEDDINGS: Final = Flags(
    kinds=table(
        (OPTION, "auto-truncate"),
        (SWITCH, "disable-spans json-output"),
        (WORD, "dtype pooling"),
        (NUMBER, "max-batch-requests max-batch-tokens max-client-batch-size"
                 " max-concurrent-requests payload-limit tokenization-workers"),
        (TEXT, "default-prompt default-prompt-name"),
        (MODEL_FOLDER, "dense-path"),
        lead="--",
    ),
    has_twins=True,
)  # fmt: skip
