"""Reads from a model's config.json how many bytes a token takes in an engine's KV cache.

A config.json is written by the model's makers, by the names of Hugging Face transformers and with
many spellings; what is of an unknown shape gives no facts rather than wrong ones. Sources, all read
or known on 2026-11-28: transformers `configuration_*.py` of the model types named here; vLLM
`vllm/transformers_utils/model_arch_config_convertor.py` (heads, layers, derived context),
`vllm/config/model.py` (sliding windows, attention kinds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from model_specs.lock import ConfigFacts

Config = Mapping[str, Any]
_MOST: Final = 2**30
"""No model has more of anything that is counted here; more is a mistake, or means "no limit"."""
_TEXT: Final = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where a multimodal model keeps what describes its language model."""
_LAYERS: Final = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HEADS: Final = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_HIDDEN: Final = ("hidden_size", "n_embd", "d_model")
_HEAD_SIZE: Final = ("head_dim", "kv_channels", "attention_head_dim")
_KV_HEADS: Final = ("num_key_value_heads", "n_head_kv", "num_kv_heads", "multi_query_group_num")
_CONTEXT: Final = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length",
    "max_sequence_length", "max_seq_length",
)  # fmt: skip
_VOCABULARY: Final = ("vocab_size", "padded_vocab_size")
_CONTEXT_UNSAID: Final = 2048
"""What vLLM takes for a config.json that says no length."""
_ENCODERS: Final = frozenset(
    {
        "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "eurobert",
        "modernbert", "mpnet", "new", "nomic_bert", "roberta", "xlm-roberta",
    }
)  # fmt: skip
"""Model types that look at a whole text at once and keep nothing of it."""
_UNSCALED: Final = frozenset({"default", "llama3", "longrope", "mrope", "su"})
"""Ways to stretch RoPE whose max_position_embeddings is the stretched length already."""
_FLOATS: Final = ("bfloat16", "float16", "float32")
_EVERY_NTH_IS_FULL: Final = {"gemma2": 2, "gemma3_text": 6, "gemma3": 6, "cohere2": 4}
"""Model types whose other layers have a sliding window, where config.json does not list them."""
_KINDS: Final = {
    "full_attention": "full",
    "attention": "full",
    "hybrid": "full",
    "sliding_attention": "window",
    "chunked_attention": "window",
}
"""Entries of `layer_types` and `layers_block_type`; others (linear, mamba) keep no tokens."""


class _Layers(NamedTuple):
    """Layers by what they keep: the whole context, or a window of it."""

    full: int
    windowed: int
    window: int


def config_facts(config: Config) -> ConfigFacts | None:
    """The facts of a config.json; none where it describes no such language model."""
    text = _text(config)
    layers, heads, hidden = _first(text, _LAYERS), _first(text, _HEADS), _first(text, _HIDDEN)
    kv_heads = _kv_heads(text)
    split = "global_head_dim" in text  # its layers differ in the size of their heads
    if not (layers and heads and hidden and kv_heads) or split or config.get("is_encoder_decoder"):
        return None
    kept = _kept(text, layers)
    rank, rope = _number(text.get("kv_lora_rank")), _number(text.get("qk_rope_head_dim"))
    quantization, kv_cache_bits = _quantized(config, text)
    tables = 1 if text.get("tie_word_embeddings", config.get("tie_word_embeddings", True)) else 2
    return ConfigFacts(
        attention_heads=heads,
        cached_layers=kept.full,
        context=_context(text),
        dtype=_dtype(config, text),
        embedding_parameters=tables * hidden * _first(text, _VOCABULARY),
        head_size=_first(text, _HEAD_SIZE) or max(hidden // heads, 1),
        hidden_size=hidden,
        kv_cache_bits=kv_cache_bits,
        kv_heads=kv_heads,
        latent_size=rank + rope if rank and rope else 0,
        layers=layers,
        quantization=quantization,
        window=kept.window,
        window_layers=kept.windowed,
    )


def _text(config: Config) -> Config:
    """The part of a config.json that describes the language model."""
    for name in _TEXT:
        inner = config.get(name)
        if isinstance(inner, Mapping) and inner:
            return _text(inner)
    return config


def _number(value: Any) -> int:
    """A count as it may stand in a config.json; 0 for anything else."""
    return value if type(value) is int and 0 < value < _MOST else 0


def _first(config: Config, names: Sequence[str]) -> int:
    return next((found for name in names if (found := _number(config.get(name)))), 0)


def _kv_heads(text: Config) -> int:
    """Key and value heads; 0 where they differ from layer to layer."""
    inner = text.get("attn_config")
    if isinstance(inner, Mapping) and (found := _number(inner.get("kv_n_heads"))):
        return found
    told = [text[name] for name in _KV_HEADS if text.get(name) is not None]
    if told:
        return _number(told[0])
    return 1 if text.get("multi_query") is True else _first(text, _HEADS)


def _kept(text: Config, layers: int) -> _Layers:
    """Which layers keep what of the context."""
    kind = str(text.get("model_type"))
    two_ways = text.get("is_causal") is False or text.get("use_bidirectional_attention") is True
    if kind in _ENCODERS or two_ways:
        return _Layers(0, 0, 0)
    shared = _number(text.get("num_kv_shared_layers"))  # the last ones read the others' cache
    own = max(layers - shared, 0)
    listed = text.get("layer_types", text.get("layers_block_type"))
    window = _window(text)
    if isinstance(listed, Sequence) and not isinstance(listed, str) and listed:
        kinds = [_KINDS.get(str(one), "") for one in listed[:own]]
        full, windowed = kinds.count("full"), kinds.count("window")
        return _Layers(full, windowed, window) if window else _Layers(full + windowed, 0, 0)
    if (some := _full_of_mixed(text, layers)) is not None:
        return _Layers(some, 0, 0)
    if not window:
        return _Layers(own, 0, 0)
    every = _number(text.get("sliding_window_pattern")) or _EVERY_NTH_IS_FULL.get(kind, 0)
    full = own // every if every else 0
    return _Layers(full, own - full, window)


def _window(text: Config) -> int:
    if text.get("use_sliding_window") is False:
        return 0
    return _number(text.get("sliding_window")) or _number(text.get("attention_chunk_size"))


def _full_of_mixed(text: Config, layers: int) -> int | None:
    """Attention layers of models whose other layers are linear or of state spaces."""
    pattern = text.get("hybrid_override_pattern")
    if isinstance(pattern, str) and pattern:
        return pattern.count("*")
    linear = text.get("linear_attn_config")
    if isinstance(linear, Mapping) and isinstance(linear.get("full_attn_layers"), Sequence):
        return len(linear["full_attn_layers"])
    every = _number(text.get("full_attention_interval")) or _number(text.get("attn_layer_period"))
    return layers // every if every else None


def _context(text: Config) -> int:
    """Tokens of the longest request as vLLM derives them, RoPE's stretching counted."""
    told = [found for name in _CONTEXT if (found := _number(text.get(name)))]
    longest = min(told) if told else _CONTEXT_UNSAID
    rope = text.get("rope_scaling") or text.get("rope_parameters")
    if not isinstance(rope, Mapping) or str(text.get("model_type")).startswith("gemma3"):
        return longest
    way = str(rope.get("rope_type", rope.get("type", "default")))
    factor = rope.get("factor", 1)
    if way in _UNSCALED or type(factor) not in (int, float) or not 1 <= factor < _MOST:
        return longest
    if way == "yarn":
        longest = _number(rope.get("original_max_position_embeddings")) or longest
    return int(longest * factor)


def _dtype(config: Config, text: Config) -> Any:
    """The type that the makers saved; one that no engine computes with counts as bfloat16."""
    named = (one.get(key) for one in (text, config) for key in ("dtype", "torch_dtype"))
    told = [word.removeprefix("torch.") for word in named if isinstance(word, str)]
    return next((word for word in told if word in _FLOATS), "bfloat16")


def _quantized(config: Config, text: Config) -> tuple[str, int]:
    """How the checkpoint is quantised, and the bits of the KV cache that it has scales for."""
    names = ("quantization_config", "compression_config")
    found = (one.get(name) for one in (config, text) for name in names)
    told: Config = next((one for one in found if isinstance(one, Mapping) and one), {})
    scheme = told.get("kv_cache_scheme")
    bits = _number(scheme.get("num_bits")) if isinstance(scheme, Mapping) else 0
    if str(told.get("kv_cache_quant_algo")).upper() == "FP8":
        bits = 8
    method = told.get("quant_method", told.get("quant_algo", ""))
    return (str(method).lower()[:63], bits) if told else ("", 0)
