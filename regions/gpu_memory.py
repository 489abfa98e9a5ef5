"""Whether a model fits its machine's memory: weights, working memory, and one longest request.

An engine with a KV cache keeps keys and values of every token of a request. It loads the weights,
measures its working memory, and ends at start when the rest of its share of a GPU holds no request
of the longest context. All sizes are bytes of one GPU.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Final

from model_specs.arguments import flag_of, sets, shared_sizes, values_of
from model_specs.errors import SpecError
from model_specs.kv_cache import KvCache
from model_specs.load import Model, Specs
from model_specs.lock import ConfigFacts, ModelFacts
from model_specs.runtimes import Runtime
from regions.machines import MACHINES, MachineType
from regions.tracks import Version, versions

_GIB: Final = 1024**3
_FILES_SHARE: Final = 0.9  # of GPU memory, for servers of which no more is known
_STORED_BYTES: Final = {
    "F64": 8.0, "I64": 8.0, "U64": 8.0, "F32": 4.0, "I32": 4.0, "U32": 4.0, "F16": 2.0, "BF16": 2.0,
    "I16": 2.0, "U16": 2.0, "F4": 0.5,
}  # fmt: skip
"""Bytes of an element by safetensors type; the others (FP8, INT8, BOOL) have one."""
_FLOATS: Final = ("F64", "F32", "F16", "BF16")
_DTYPE_BYTES: Final = {"float": 4.0, "float32": 4.0}
"""vLLM's `--dtype`: all others have two bytes, `auto` too, which loads float32 as 16 bits."""
_NUMBER: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kmgtKMGT]?)")
_POWERS: Final = {letter: power for power, letter in enumerate("kmgt", start=1)}
UNPROVED: Final = "W407"


def number_of(text: str) -> float | None:
    """A number as vLLM reads it: `32k` is 32,000 and `32K` is 32,768. None for anything else."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    base = 1024 if match[2].isupper() else 1000
    return float(match[1]) * float(base ** _POWERS.get(match[2].lower(), 0))


@dataclass(frozen=True)
class Flags:
    """What a server's arguments say of memory."""

    args: tuple[str, ...]
    runtime: Runtime
    """One with a KV cache."""

    @property
    def engine(self) -> KvCache:
        """How it divides a GPU's memory."""
        assert self.runtime.kv_cache
        return self.runtime.kv_cache

    @cached_property
    def _words(self) -> dict[str, str]:
        return values_of(self.args, self.engine.flags)

    def word(self, what: str) -> str:
        """The value of a flag; empty where it is not given."""
        return self._words.get(what, "")

    def number(self, what: str, unsaid: float) -> float:
        """The value of a flag that is a number, or `unsaid`."""
        found = number_of(self.word(what))
        return unsaid if found is None else found

    def remade(self) -> bool:
        """Whether the engine is told another geometry than that of config.json."""
        return self._has(self.engine.remade)

    def windowless(self) -> bool:
        """Whether layers with a window keep the whole context where others do."""
        return self._has(self.engine.windowless)

    def sizes(self, gpus: int) -> dict[str, int]:
        """By what the model is shared, `tensor` over `gpus` unless a flag says it."""
        return shared_sizes(self.args, self.runtime.sharing, gpus)

    def shares_experts(self) -> bool:
        """Whether experts are not copied for each of the sizes' `data`."""
        parallel = self.runtime.parallel
        return parallel is not None and any(flag_of(w) in parallel.experts for w in self.args)

    def _has(self, names: Collection[str]) -> bool:
        given = [flag_of(word) for word in self.args if word.startswith("--")]
        return any(sets(flag, name) for flag in given for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMemory:
    """What a model takes of one GPU, and what is left of the engine's share for its cache.

    `context` is the longest request, `auto` that the engine lowers it until it fits.
    """

    share: float
    weights: float
    working: float
    left: float
    context: int
    auto: bool


def weights_bytes(facts: ModelFacts, flags: Flags) -> float:
    """The whole model's weights in GPU memory after load, by type and quantisation."""
    method = flags.word("quantization").lower()
    online = flags.engine.online_bytes
    config = facts.config
    if config is None or not facts.weights:
        # Files of 16 bits are the most that a method makes smaller while it loads.
        return facts.bytes * min(online.get(method, 2.0) / 2, 1.0)
    stored = {kind: n * _STORED_BYTES.get(kind, 1.0) for kind, n in facts.weights.items()}
    if config.quantization:
        return sum(stored.values())
    each = _DTYPE_BYTES.get(flags.word("dtype"), 2.0)
    floats = sum(facts.weights.get(kind, 0) for kind in _FLOATS)
    rest = sum(size for kind, size in stored.items() if kind not in _FLOATS)
    tables = min(config.embedding_parameters, floats)
    smaller = online.get(method, min(online.values())) if method not in ("", "none") else each
    return rest + tables * each + (floats - tables) * smaller


def _layer_bytes(config: ConfigFacts, flags: Flags, tensor: int) -> float:
    """What one layer keeps of one token on one GPU.

    Tensor parallelism divides key and value heads, at most to one; MLA's latent is on every GPU.
    """
    elements = config.latent_size or (
        2 * max(math.ceil(config.kv_heads / tensor), 1) * config.head_size
    )
    kind = flags.word("cache dtype") or "auto"
    auto = config.kv_cache_bits / 8 or _DTYPE_BYTES.get(flags.word("dtype"), 2.0)
    unknown = min(flags.engine.cache_bytes.values()) / 2  # e.g. nvfp4
    return elements * (auto if kind == "auto" else flags.engine.cache_bytes.get(kind, unknown))


def kv_cache_bytes(config: ConfigFacts, flags: Flags, machine: MachineType, tokens: int) -> float:
    """What one request of `tokens` takes of the KV cache on one GPU."""
    sizes = flags.sizes(max(machine.gpus, 1))
    stages = max(sizes.get("pipeline", 1), 1)
    layer = _layer_bytes(config, flags, max(sizes["tensor"], 1))
    whole = tokens / max(flags.number("context parallel", 1), 1)
    engine = flags.engine
    large = machine.gpu_usable_gib >= engine.large_gib
    step = engine.batched_tokens_large if large else engine.batched_tokens
    # A step's tokens are in the cache before the window's oldest leave it.
    seen = min(whole, config.window - 1 + flags.number("batched", step))
    if config.cached_layers and flags.windowless():
        seen = whole
    full = math.ceil(config.cached_layers / stages) * whole
    return layer * (full + math.ceil(config.window_layers / stages) * seen)


def kv_bytes_per_token(config: ConfigFacts, flags: Flags, machine: MachineType) -> float:
    """What one more token takes of the KV cache on one GPU, within a window if there is one."""
    return kv_cache_bytes(config, flags, machine, 1)


def gpu_memory(machine: MachineType, facts: ModelFacts, flags: Flags) -> GpuMemory:
    """How a model divides the memory of a GPU of `machine`."""
    engine = flags.engine
    sizes = flags.sizes(max(machine.gpus, 1))
    parts = max(sizes["tensor"], 1) * max(sizes.get("pipeline", 1), 1)
    if flags.shares_experts():
        parts *= max(sizes.get("data", 1), 1)  # experts are not copied; how many there are is open
    told = number_of(flags.word("share"))
    share = machine.gpu_usable_gib * _GIB * (engine.gpu_share if told is None else min(told, 1.0))
    weights = weights_bytes(facts, flags) / parts - flags.number("offloaded", 0) * _GIB
    working = engine.working_gib * _GIB
    left = share - max(weights, 0.0) - working
    if cache := flags.number("cache bytes", 0):
        # The engine takes these whatever its share is; the GPU's memory is the bound.
        share = machine.gpu_usable_gib * _GIB
        left = min(cache, share - max(weights, 0.0) - working)
    asked = flags.word("context")
    default = facts.config.context if facts.config else 0
    return GpuMemory(
        share=share,
        weights=max(weights, 0.0),
        working=working,
        left=left,
        context=int(flags.number("context", default)),
        auto=asked in ("auto", "-1"),
    )


def largest_context(
    config: ConfigFacts, flags: Flags, machine: MachineType, left: float, most: int
) -> int:
    """The longest request, in whole blocks, whose KV cache fits into `left`; 0 if none does."""
    block = flags.engine.block_tokens
    low, high = 0, most // block
    while low < high:
        middle = (low + high + 1) // 2
        if kv_cache_bytes(config, flags, machine, middle * block) <= left:
            low = middle
        else:
            high = middle - 1
    return low * block


def _files_misfit(machine: MachineType, model_bytes: int, shared_gib: int) -> str:
    """Why the files are more than the memory of a machine, for servers without a KV cache."""
    gib = machine.gpus * machine.gpu_memory_gib * _FILES_SHARE or float(
        machine.memory_gib - shared_gib
    )
    if model_bytes <= gib * _GIB:
        return ""
    beside = f" beside the {shared_gib} of /dev/shm" if shared_gib else ""
    kind = "GPU memory" if machine.gpus else f"memory{beside}"
    return (
        f"the model has {model_bytes / _GIB:.1f} GiB and {machine.name} holds {gib:.1f} GiB of "
        f"{kind}; take a larger machine_type"
    )


def engine_of(machine: MachineType, what: Version) -> KvCache | None:
    """The KV cache's engine, where there is one: a server of a runtime that has it, on a GPU of
    which is known what a program finds."""
    return what.runtime.kv_cache if what.serves and machine.gpu_usable_gib else None


def _config_of(what: Version, flags: Flags) -> ConfigFacts | None:
    """The geometry that the engine goes by, where it is known."""
    return what.facts.config if what.facts and not flags.remade() else None


def fits_memory(machine: MachineType, what: Version) -> str:
    """Why a version does not fit the machine's memory; empty if it does, or if nobody knows."""
    engine = engine_of(machine, what)
    if what.facts is None:
        return ""
    if engine is None:
        return _files_misfit(machine, what.bytes, what.shared_gib)
    flags = Flags(what.args, what.runtime)
    found, config = gpu_memory(machine, what.facts, flags), _config_of(what, flags)
    of = f"the {machine.gpu_usable_gib:.1f} GiB of a GPU of {machine.name}"
    if found.left <= 0:
        room = max(found.share - found.working, 0.0) / _GIB
        return (
            f"the weights take {found.weights / _GIB:.1f} GiB of every GPU and {what.runtime.name} "
            f"has {room:.1f} for them and its cache, of {of}; take a larger machine_type "
            f"(`isoserve machines --fits`), or a quantised model"
        )
    least = engine.block_tokens if found.auto else found.context
    if config is None or (need := kv_cache_bytes(config, flags, machine, least)) <= found.left:
        return ""
    largest = largest_context(config, flags, machine, found.left, least)
    context = _written(flags.engine.flags, "context")
    lower = f'write `args: [{context}, "{largest}"]`, or ' if largest and context else ""
    return (
        f"one request of {least} tokens takes {need / _GIB:.1f} GiB of KV cache on every GPU and "
        f"{found.left / _GIB:.1f} are left beside {found.weights / _GIB:.1f} of weights, of {of} "
        f"(the largest context that fits is {largest}); {lower}take a larger machine_type"
    )


def heads_divided(machine: MachineType, what: Version) -> str:
    """Why the version cannot be shared as it is; empty if it can, or if nobody knows."""
    engine = engine_of(machine, what)
    config = _config_of(what, Flags(what.args, what.runtime)) if engine else None
    if config is None:
        return ""
    sharing = what.runtime.sharing
    tensor = shared_sizes(what.args, sharing, machine.gpus)["tensor"]
    if tensor < 1 or _divides(tensor, config):
        return ""
    sizes = [n for n in range(1, machine.gpus + 1) if machine.gpus % n == 0]
    fit = max(n for n in sizes if _divides(n, config))
    rest = machine.gpus // fit
    by_heads, by_layers = _written(sharing, "tensor"), _written(sharing, "pipeline")
    written = f'write `args: [{by_heads}, "{fit}", {by_layers}, "{rest}"]`, or '
    return (
        f"tensor parallelism gives every GPU as many of the model's {config.attention_heads} heads "
        f"and {config.kv_heads} key and value heads, got {tensor} GPUs; "
        f"{written if by_heads and by_layers else ''}take another machine_type"
    )


def _written(flags: Mapping[str, str], what: str) -> str:
    """The whole name of the flag that says something, for a person to write; empty without one."""
    return max((flag for flag, said in flags.items() if said == what), key=len, default="")


def _divides(tensor: int, config: ConfigFacts) -> bool:
    """Whether every one of `tensor` GPUs gets as many heads; key and value heads may be copied.

    Source: vllm/config/model.py (verify_with_parallel_config) and
    vllm/model_executor/layers/linear.py (QKVParallelLinear).
    """
    few, many = sorted((tensor, config.kv_heads))
    return config.attention_heads % tensor == 0 and (bool(config.latent_size) or many % few == 0)


def unproved(specs: Specs) -> Iterator[SpecError]:
    """Servers whose engine has a KV cache, and models of which nobody recorded what it takes."""
    everywhere = ((model, *map(model.here, model.spec.differs)) for model in specs.models)
    yield from dict.fromkeys(_unproved(specs, chain.from_iterable(everywhere)))


def _unproved(specs: Specs, models: Iterable[Model]) -> Iterator[SpecError]:
    for model in models:
        machine = MACHINES.get(model.spec.machine_type)
        for role, what in (versions(specs, model.spec) if machine else {}).items():
            engine = engine_of(machine, what) if machine else None
            if engine is None or _config_of(what, Flags(what.args, what.runtime)) is not None:
                continue
            where = ("model",) if role == "stable" else ("rollout", "candidate", "model")
            known = "by the size of its files alone" if what.facts else "not at all"
            message = (
                f"its memory is checked {known}, without the KV cache that one request takes; "
                f"`isoserve model pin` records what config.json says"
            )
            yield model.source.error(where, UNPROVED, message)
