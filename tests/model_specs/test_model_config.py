"""config.json of public models, and what a token takes of an engine's KV cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_specs.lock import ConfigFacts, ModelFacts
from model_specs.model_config import config_facts
from model_specs.runtimes import RUNTIMES
from regions.gpu_memory import Flags, kv_bytes_per_token, kv_cache_bytes
from regions.machines import MACHINES

FOLDER = Path(__file__).parent / "configs"
CASES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))
L4 = MACHINES["gpu.l4.1"]
VLLM: Final = RUNTIMES["vllm"]


def case(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def facts(name: str) -> ConfigFacts:
    found = config_facts(case(name)["config"])
    assert found is not None, f"{name} is a language model of a known shape"
    return found


def flags(*args: str) -> Flags:
    return Flags(args, VLLM)


def test_every_kind_of_attention_and_quantisation_is_among_the_models() -> None:
    kinds = " ".join(case(name)["kind"] for name in CASES)
    assert len(CASES) >= 12
    for kind in ("MHA", "MQA", "GQA", "MLA", "MoE", "FP8", "INT4", "embedding", "multimodal"):
        assert kind in kinds, f"no public model with {kind}"


@pytest.mark.parametrize("name", CASES)
def test_a_token_takes_what_the_models_makers_or_logs_state(name: str) -> None:
    told = case(name)
    assert kv_bytes_per_token(facts(name), flags(), L4) == told["kv_bytes_per_token"], told[
        "kv_source"
    ]


@pytest.mark.parametrize("name", CASES)
def test_the_longest_request_is_what_vllm_derives_of_it(name: str) -> None:
    assert facts(name).context == case(name)["context"]


@pytest.mark.parametrize("name", [name for name in CASES if "logged" in case(name)])
def test_logs_of_vllm_are_met_within_two_percent(name: str) -> None:
    logged = case(name)["logged"]
    args = ("--tensor-parallel-size", str(logged["tensor"]))
    one = kv_bytes_per_token(facts(name), flags(*args), MACHINES["gpu.h100.8"])
    stated = logged["gib"] * 1024**3 / logged["tokens"]
    assert one == pytest.approx(stated, rel=0.02), case(name)["kv_source"]


def test_a_window_bounds_the_cache_as_its_paper_says() -> None:
    found = facts("mistral-7b-v0.1")
    whole = found.model_copy(update={"window": 0, "window_layers": 0, "cached_layers": 32})
    at = 32768
    one_by_one = flags("--max-num-batched-tokens", "1")
    ratio = kv_cache_bytes(whole, flags(), L4, at) / kv_cache_bytes(found, one_by_one, L4, at)
    assert ratio == 8, "arXiv 2310.06825: 8 times at 32k tokens"
    step = kv_cache_bytes(found, flags(), L4, at) / 131072
    assert step == 4096 - 1 + 2048, "a step's tokens come before the oldest ones go"


@pytest.mark.parametrize(
    "args",
    [("--disable-hybrid-kv-cache-manager",), ("--kv-transfer-config", "{}"), ("--kv-tr={}",)],
)
def test_a_window_saves_nothing_where_the_engine_treats_all_layers_alike(
    args: tuple[str, ...],
) -> None:
    found, at = facts("gemma-3-27b"), 131072
    assert kv_cache_bytes(found, flags(*args), L4, at) == at * 507904, "all 62 layers keep all"
    assert kv_cache_bytes(found, flags(), L4, at) < at * 507904 / 5, "10 of 62 do"


def test_layers_with_a_window_and_without_are_told_apart() -> None:
    gemma, oss, linear = (facts(n) for n in ("gemma-3-27b", "gpt-oss-20b", "qwen3-next-80b"))
    assert (gemma.cached_layers, gemma.window_layers, gemma.window) == (10, 52, 1024)
    assert (oss.cached_layers, oss.window_layers, oss.window) == (12, 12, 128)
    assert (linear.cached_layers, linear.window_layers) == (12, 0), "linear layers keep no tokens"


def test_a_window_that_is_switched_off_is_none() -> None:
    assert facts("qwen2.5-72b").window_layers == 0


def test_the_quantisation_of_a_checkpoint_is_known_by_its_method() -> None:
    found = {name: facts(name).quantization for name in CASES if facts(name).quantization}
    assert found["deepseek-v3"] == "fp8"
    assert found["qwen2.5-7b-awq"] == "awq"
    assert found["gpt-oss-20b"] == "mxfp4"


def test_a_checkpoint_with_scales_for_its_cache_says_so() -> None:
    told = case("llama-3.1-8b")["config"] | {
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "kv_cache_scheme": {"num_bits": 8, "type": "float"},
        }
    }
    found = config_facts(told)
    assert found is not None
    assert kv_bytes_per_token(found, flags(), L4) == 65536, "half of 16 bits"


@pytest.mark.parametrize(
    ("rope", "context"),
    [
        ({"type": "linear", "factor": 4.0}, 131072),
        ({"rope_type": "dynamic", "factor": 2}, 65536),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        ({"rope_type": "llama3", "factor": 8.0}, 32768),
        ({"rope_type": "longrope", "factor": 32.0}, 32768),
        ({"mrope_section": [16, 24, 24], "type": "mrope"}, 32768),
        ({"rope_type": "default"}, 32768),
        (None, 32768),
        ({"rope_type": "linear", "factor": float("inf")}, 32768),
        ({"rope_type": "linear", "factor": "4"}, 32768),
    ],
)
def test_stretched_positions_count(rope: object, context: int) -> None:
    told = case("qwen2.5-72b")["config"] | {"rope_scaling": rope}
    found = config_facts(told)
    assert found is not None
    assert found.context == context


@pytest.mark.parametrize(
    "change",
    [
        {"num_attention_heads": None},
        {"num_hidden_layers": "32"},
        {"hidden_size": -1},
        {"num_key_value_heads": [8, 4, 8]},
        {"num_hidden_layers": True},
        {"is_encoder_decoder": True},
        {"global_head_dim": 512},
    ],
)
def test_an_unknown_shape_gives_no_facts_rather_than_wrong_ones(change: dict[str, Any]) -> None:
    assert config_facts(case("llama-3.1-8b")["config"] | change) is None


def test_what_is_no_language_model_gives_no_facts() -> None:
    assert config_facts({}) is None
    assert config_facts({"text_config": {"text_config": {}}, "model_type": "resnet"}) is None


STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
KEYS = sorted(
    {key for name in CASES for key in case(name)["config"]}
    | {"attn_config", "attn_layer_period", "hybrid_override_pattern", "is_causal"}
    | {"layers_block_type", "linear_attn_config", "num_kv_shared_layers", "rope_parameters"}
)


@given(st.sampled_from(CASES), st.dictionaries(st.sampled_from(KEYS), STRANGE, max_size=5))
def test_whatever_a_config_says_pinning_goes_on(name: str, change: dict[str, Any]) -> None:
    found = config_facts(case(name)["config"] | change)
    assert found is None or found.context > 0, "facts or none, and never an exception"


def test_a_lock_file_of_before_still_loads() -> None:
    old = ModelFacts.model_validate({"bytes": 9, "files": 2})
    assert (old.config, old.weights) == (None, {})
