"""How an engine divides a GPU's memory between weights, its own work and the KV cache."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from model_specs.catalogue_files import Row
from model_specs.row_kinds import Flag

Gib = Annotated[float, Field(gt=0, le=10_000)]
Tokens = Annotated[int, Field(ge=1, le=2**31 - 1)]
Bytes = Annotated[float, Field(gt=0, le=16)]
Method = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
"""A word as the engine's flags have it."""


class KvCache(Row):
    """The facts of one engine; the fact `kv_cache` of its row says where they were read."""

    gpu_share: Annotated[float, Field(gt=0, le=1)]
    """The part of a GPU's memory that the engine takes unless told otherwise."""
    working_gib: Gib
    """What its activations and CUDA libraries take of that on every GPU; estimated."""
    batched_tokens: Tokens
    """What one step computes."""
    batched_tokens_large: Tokens
    """What one step computes on GPUs of `large_gib` and more."""
    large_gib: Gib
    block_tokens: Tokens
    """The cache is divided in blocks of so many."""
    flags: dict[
        Flag,
        Literal[
            "batched",
            "cache bytes",
            "cache dtype",
            "context",
            "context parallel",
            "dtype",
            "offloaded",
            "quantization",
            "share",
        ],
    ]
    """What a flag decides."""
    remade: tuple[Flag, ...] = ()
    """With one of these the engine does not go by config.json alone."""
    windowless: tuple[Flag, ...] = ()
    """With one of these all layers of a model that has both kinds keep the whole context."""
    online_bytes: Annotated[dict[Method, Bytes], Field(min_length=1)]
    """What a parameter takes that is quantised while loading, by method; a method that is not here
    is of the checkpoint, or counts as the smallest."""
    cache_bytes: Annotated[dict[Method, Bytes], Field(min_length=1)]
    """What an element takes in the KV cache, by type; half of the smallest for a type that is not
    here."""
