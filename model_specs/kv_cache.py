"""How an engine divides a GPU's memory between weights, its own work and the KV cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class KvCache:
    """The facts of one engine; Runtime.sources says under `kv_cache` where they were read.

    `gpu_share` is the part of a GPU's memory that the engine takes unless told otherwise.
    `working_gib` is what its activations and CUDA libraries take of that on every GPU: an estimate,
    logs say from 0.6 (vllm-project/vllm#14447) up. A step computes `batched_tokens`, or
    `batched_tokens_large` on GPUs of `large_gib` and more. `flags` says what a flag decides. With
    one of `remade` the engine does not go by config.json alone; with one of `windowless` all layers
    of a model that has both kinds keep the whole context. `online_bytes` is what a parameter takes
    that is quantised while loading, by method; a method that is not in there is of the checkpoint,
    or counts as the smallest. `cache_bytes` is an element's in the KV cache.
    """

    gpu_share: float
    working_gib: float
    batched_tokens: int
    batched_tokens_large: int
    large_gib: float
    block_tokens: int
    flags: Mapping[str, str]
    remade: tuple[str, ...]
    windowless: tuple[str, ...]
    online_bytes: Mapping[str, float]
    cache_bytes: Mapping[str, float]


VLLM: Final = KvCache(
    # vllm/config/cache.py of v0.18.0 and v0.19.1; 0.92 in v0.21.0 and v0.22.1.
    gpu_share=0.9,
    working_gib=1.0,
    batched_tokens=2048,
    batched_tokens_large=8192,
    large_gib=70.0,
    block_tokens=16,
    flags={
        "--cpu-offload-gb": "offloaded",
        "--decode-context-parallel-size": "context parallel",
        "--dtype": "dtype",
        "--gpu-memory-utilization": "share",
        "--kv-cache-dtype": "cache dtype",
        "--kv-cache-memory-bytes": "cache bytes",
        "--max-model-len": "context",
        "--max-num-batched-tokens": "batched",
        "--quantization": "quantization",
        "-dcp": "context parallel",
        "-q": "quantization",
    },
    remade=("--config-format", "--hf-config-path", "--hf-overrides"),
    windowless=(
        "--disable-hybrid-kv-cache-manager",
        "--kv-events-config",
        "--kv-transfer-config",
    ),
    # bitsandbytes keeps 4 bits and a 32 bit scale of every 64 parameters.
    online_bytes={"bitsandbytes": 0.5625, "fp8": 1.0, "ptpc_fp8": 1.0},
    cache_bytes={
        "bfloat16": 2.0,
        "float16": 2.0,
        "fp8": 1.0,
        "fp8_e4m3": 1.0,
        "fp8_e5m2": 1.0,
        "fp8_inc": 1.0,
    },
)
"""vLLM's; `--kv-cache-dtype auto` is the type of the model."""
