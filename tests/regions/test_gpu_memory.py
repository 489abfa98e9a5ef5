"""Whether a model fits its GPUs: weights after load, the KV cache of one request, and shares."""

from __future__ import annotations

from typing import Any

import pytest

from model_specs.load import Model
from model_specs.lock import ModelFacts
from model_specs.model_config import config_facts
from regions.gpu_memory import (
    UNPROVED,
    Flags,
    fits_memory,
    gpu_memory,
    kv_bytes_per_token,
    number_of,
    unproved,
    weights_bytes,
)
from regions.machines import MACHINES
from regions.tracks import versions
from tests.examples import GIB, a_model, a_profile, a_tree, an_offer, planned
from tests.model_specs.test_model_config import VLLM, case
from tests.regions.test_resolve import refusal

BF16_8B = 8_030_261_248
"""Parameters of Llama 3.1 8B: 15.0 GiB, as day-one.md's D7 has them."""


def known(name: str, weights: dict[str, int], size: int = 0) -> ModelFacts:
    """The facts of a public model with `weights` by type, and `size` bytes of files."""
    config = config_facts(case(name)["config"])
    return ModelFacts(
        bytes=size or 2 * sum(weights.values()), files=3, config=config, weights=weights
    )


LLAMA = known("llama-3.1-8b", {"BF16": BF16_8B}, 16_070_475_776)


def why(model: Model, facts: ModelFacts | int) -> str:
    """Why `model` with `facts` does not fit its machine."""
    tree = a_tree(model, facts={model.spec.model: facts})
    return fits_memory(MACHINES[model.spec.machine_type], versions(tree, model.spec)["stable"])


def gib(size: float) -> float:
    return round(size / GIB, 2)


# -- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "weights"),
    [
        ((), 14.96),  # "model weights take 14.96GiB": vllm-project/vllm#10511, of Llama 3 8B
        (("--dtype", "float16"), 14.96),
        (("--dtype=float32",), 29.92),
        (("--quantization", "fp8"), 8.46),
        (("--quantization=fp8",), 8.46),
        (("-q", "fp8"), 8.46),
        (("-qfp8",), 8.46),
        (("--quant", "fp8"), 8.46),
        (("--quantization", "bitsandbytes"), 5.61),
        (("--quantization", "none"), 14.96),
        (("--quantization", "fp8", "--quantization", "none"), 14.96),
    ],
)
def test_weights_after_load_follow_type_and_quantisation(
    args: tuple[str, ...], weights: float
) -> None:
    assert gib(weights_bytes(LLAMA, Flags(args, VLLM))) == weights


def test_a_quantised_checkpoint_is_loaded_as_it_is_stored() -> None:
    awq = known("qwen2.5-7b-awq", {"I32": 820_000_000, "F16": 1_150_000_000})
    stored = gib(4 * 820_000_000 + 2 * 1_150_000_000)
    assert gib(weights_bytes(awq, Flags((), VLLM))) == stored
    assert gib(weights_bytes(awq, Flags(("-q", "awq_marlin"), VLLM))) == stored, "not once more"
    fp8 = known("deepseek-v3", {"F8_E4M3": 680_000_000_000, "BF16": 3_000_000_000})
    assert gib(weights_bytes(fp8, Flags((), VLLM))) == gib(686_000_000_000)


def test_float32_files_are_loaded_with_16_bits() -> None:
    wide = known("llama-3.1-8b", {"F32": BF16_8B})
    assert gib(weights_bytes(wide, Flags((), VLLM))) == 14.96


@pytest.mark.parametrize(("args", "left"), [((), 15.09), (("-pp", "4", "-tp", "1"), 15.09)])
def test_gpus_share_the_weights(args: tuple[str, ...], left: float) -> None:
    found = gpu_memory(MACHINES["gpu.l4.4"], LLAMA, Flags(args, VLLM))
    assert (gib(found.weights), gib(found.left)) == (3.74, left)


@pytest.mark.parametrize("flag", ["-ep", "--enable-expert-parallel", "--enable_expert_parallel"])
def test_experts_are_spread_over_replicas_however_it_is_written(flag: str) -> None:
    found = gpu_memory(MACHINES["gpu.l4.4"], LLAMA, Flags(("-dp", "4", "-tp", "1", flag), VLLM))
    assert gib(found.weights) == 3.74, "a fourth of the 14.96"


def test_a_part_of_the_overrides_is_as_good_as_all_of_them() -> None:
    for args in (("--hf-overrides", '{"a": 1}'), ("--hf_overrides.a", "1"), ("--hf-o.a=1",)):
        assert Flags(args, VLLM).remade(), f"vLLM goes by another geometry with {args}"


def test_replicas_within_a_machine_hold_all_of_the_weights() -> None:
    args = ("-dp", "4", "-tp", "1")
    assert gib(gpu_memory(MACHINES["gpu.l4.4"], LLAMA, Flags(args, VLLM)).weights) == 14.96


# -- one request -----------------------------------------------------------------------------


@pytest.mark.parametrize("args", [(), ("--max-model-len", "131072"), ("--max_model_len=128K",)])
def test_a_context_whose_cache_is_too_large_is_refused_with_the_largest(
    args: tuple[str, ...],
) -> None:
    reason = why(a_model(args=list(args)), LLAMA)
    assert "131072 tokens takes 16.0 GiB" in reason, "a person compares the sizes"
    assert "3.9 are left beside 15.0" in reason
    assert '`args: [--max-model-len, "31696"]`' in reason, "and copies what fits"
    assert why(a_model(args=["--max-model-len", "31696"]), LLAMA) == "", "what is named fits"
    assert why(a_model(args=["--max-model-len", "31712"]), LLAMA), "one block more does not"


@pytest.mark.parametrize(
    "args",
    [
        ["--max-model-len", "30k"],
        ["--max-model-len", "auto"],
        ["--max-model-len=-1"],
        ["--max-model", "16384"],
        ["--max_model_len", "16384"],
        ["--max-model-len", "64k", "--quantization", "fp8"],
        ["--max-model-len", "60000", "--kv-cache-dtype", "fp8"],
        ["--max-model-len", "60000", "--kv-cache-dtype=fp8_e5m2"],
        ["--max-model-len", "40000", "--gpu-memory-utilization", "0.97"],
        ["--max-model-len", "40000", "--gpu-mem=0.97"],
        ["--max-model-len", "60000", "--cpu-offload-gb", "4"],
        ["--max-model-len", "60000", "--kv-cache-dtype", "nvfp4"],
    ],
)
def test_flags_that_make_room_count_in_every_spelling(args: list[str]) -> None:
    assert why(a_model(args=args), LLAMA) == "", f"vLLM starts with {args}"


@pytest.mark.parametrize(
    "args",
    [
        ["--max-model-len", "32k"],
        ["--max-model-len", "16384", "--gpu-memory-utilization", "0.7"],
        ["--max-model-len", "16384", "--max-model-len", "65536"],
        ["--max-model-len", "16384", "--kv-cache-memory-bytes", "1G"],
        ["--max-model-len", "16384", "--dtype", "float32"],
    ],
)
def test_flags_that_take_room_count_too(args: list[str]) -> None:
    assert why(a_model(args=args), LLAMA), f"vLLM ends at start with {args}"


@pytest.mark.parametrize(
    ("text", "number"),
    [("32k", 32_000), ("32K", 32_768), ("1M", 1_048_576), ("1.5k", 1500), ("7", 7)],
)
def test_numbers_are_read_as_vllm_reads_them(text: str, number: float) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize("text", ["", "auto", "-1", "lots", "1kk", "0x10", "\u0661"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert number_of(text) is None


def test_a_model_that_fills_the_gpu_leaves_no_cache() -> None:
    full = ModelFacts(bytes=int(21.5 * GIB), files=9)
    for facts in (full, full.model_copy(update={"config": LLAMA.config})):
        reason = why(a_model(), facts)
        assert "21.5 GiB of every GPU" in reason, "bug 9: vLLM takes 0.9 of the 22.0 GiB"
        assert "larger machine_type" in reason
    assert why(a_model(machine_type="gpu.l4.4"), full) == ""


def test_a_quantisation_flag_counts_where_only_the_files_are_known() -> None:
    files = ModelFacts(bytes=29 * 10**9, files=9)
    assert why(a_model(), files), "29 GB of 16 bits are more than an L4 has"
    assert why(a_model(args=["--quantization", "fp8"]), files) == "", "with 8 bits they fit"


def test_more_gpus_divide_the_cache_until_every_one_has_one_head() -> None:
    def each(name: str, machine: str) -> float:
        facts = known(name, {"BF16": 1})
        assert facts.config is not None
        engine = Flags((), VLLM)
        return kv_bytes_per_token(facts.config, engine, MACHINES[machine])

    assert each("llama-3.1-8b", "gpu.h100.8") == 131072 / 8
    assert each("qwen2.5-72b", "gpu.l4.4") == 327680 / 4
    assert each("qwen3-235b-a22b-fp8", "gpu.h100.8") == 192512 / 4, "4 heads on 8 GPUs: copies"
    assert each("deepseek-v3", "gpu.h100.8") == 70272, "the latent of MLA is on every GPU"


@pytest.mark.parametrize("machine", sorted(name for name in MACHINES if name.startswith("gpu")))
def test_an_encoder_needs_no_cache(machine: str) -> None:
    bge = known("bge-m3", {"F32": 567_754_752})
    assert why(a_model(machine_type=machine), bge) == ""


def test_a_window_makes_long_requests_cheap() -> None:
    gemma = known("gemma-3-27b", {"BF16": 27_432_406_640})
    assert why(a_model(machine_type="gpu.l40s.4"), gemma) == "", "10 of 62 layers grow"
    assert gemma.config is not None
    grown = gemma.config.model_copy(update={"cached_layers": 62, "window_layers": 0})
    everywhere = gemma.model_copy(update={"config": grown})
    one = ["-tp", "1", "-dp", "4", "-q", "fp8"]
    assert why(a_model(machine_type="gpu.l40s.4", args=one), everywhere), "as 62 layers it is not"


def test_an_engine_told_another_geometry_is_judged_by_its_weights_alone() -> None:
    told = ["--hf-overrides", '{"max_position_embeddings": 4096}']
    assert why(a_model(args=told), LLAMA) == ""


def test_a_job_and_an_image_of_ones_own_are_judged_by_their_files() -> None:
    job = a_model(batch={"command": ["python", "score.py"]})
    assert why(job, LLAMA) == "", "the job's own program decides what it keeps"
    assert why(a_model(image="triton"), 22 * GIB).startswith("the model has 22.0 GiB")


# -- heads -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "fit"),
    [
        ("falcon-7b", [], ("1", "4")),
        ("qwen2.5-7b-awq", [], None),
        ("llama-3.1-8b", [], None),
        ("falcon-7b", ["-tp", "1", "-pp", "4"], None),
        ("falcon-7b", ["--tensor-parallel-size=2", "-pp=2"], ("1", "4")),
        ("deepseek-v3", [], None),
    ],
)
def test_heads_that_gpus_cannot_share_are_refused_with_sizes_that_can(
    name: str, args: list[str], fit: tuple[str, str] | None
) -> None:
    model = a_model(machine_type="gpu.l40s.4", args=args)
    facts = known(name, {"BF16": 10})
    if fit is None:
        plan = planned(model, facts={model.spec.model: facts}, profile=LARGE)
        assert plan.gaps == ()
        return
    error = refusal(a_tree(model, facts={model.spec.model: facts}), LARGE)
    assert error.code == "E332"
    assert error.path == ("args[0]" if args else "machine_type")
    written = f'[--tensor-parallel-size, "{fit[0]}", --pipeline-parallel-size, "{fit[1]}"]'
    assert written in error.message


def test_flags_of_a_server_that_nobody_knows_share_nothing() -> None:
    image = f"registry.example.com/own/server@sha256:{'a' * 64}"
    own = a_model(machine_type="gpu.l40s.4", image=image, args=["-pp", "3"])
    assert planned(own, profile=LARGE).gaps == (), "there `-pp` may be anything"
    error = refusal(a_tree(a_model(machine_type="gpu.l40s.4", args=["-pp", "3"])), LARGE)
    assert (error.code, error.path) == ("E332", "args[0]"), "vLLM's is known"


def test_key_and_value_heads_are_shared_evenly_too() -> None:
    config = case("llama-3.1-8b")["config"] | {
        "num_attention_heads": 40, "num_key_value_heads": 10, "hidden_size": 5120,
    }  # fmt: skip
    facts = ModelFacts(bytes=10, files=3, config=config_facts(config), weights={"BF16": 10})
    model = a_model(machine_type="gpu.l40s.4")
    error = refusal(a_tree(model, facts={model.spec.model: facts}), LARGE)
    assert error.code == "E332", "vLLM asserts that 4 GPUs divide 10 key and value heads"
    assert '--tensor-parallel-size, "2"' in error.message


LARGE = a_profile(machines={"gpu.l40s.4": an_offer(10, 10)})


# -- what is said ----------------------------------------------------------------------------


def test_the_gap_of_a_candidate_is_at_the_candidate() -> None:
    other = "search/sentiment:v2@sha256:" + "1" * 64
    model = a_model(
        args=["--max-model-len", "8192"],
        rollout={"strategy": "blue_green", "candidate": {"model": other}},
    )
    facts = {model.spec.model: LLAMA, other: ModelFacts(bytes=22 * GIB, files=3)}
    gaps = planned(model, facts=facts).gaps
    assert [(gap.path, gap.code) for gap in gaps] == [("rollout.candidate", "E334")]


def test_a_candidates_own_arguments_decide_of_its_memory() -> None:
    candidate = {"model": "search/sentiment:v2@sha256:" + "1" * 64}
    short = ["--max-model-len", "8192"]
    for its, gaps in ((["--max-model-len", "65536"], 1), (short, 0), (None, 0)):
        model = a_model(
            args=short,
            rollout={
                "strategy": "blue_green",
                "candidate": candidate if its is None else candidate | {"args": its},
            },
        )
        facts = {model.spec.model: LLAMA, candidate["model"]: LLAMA}
        assert len(planned(model, facts=facts).gaps) == gaps, f"the candidate has {its}"


def test_a_candidates_heads_are_judged_at_the_candidate() -> None:
    other = "search/sentiment:v2@sha256:" + "1" * 64
    model = a_model(
        machine_type="gpu.l40s.4",
        args=["-tp", "2", "-pp", "2"],
        rollout={"strategy": "blue_green", "candidate": {"model": other}},
    )
    facts = {model.spec.model: LLAMA, other: known("falcon-7b", {"BF16": 10})}
    error = refusal(a_tree(model, facts=facts), LARGE)
    assert (error.code, error.path) == ("E332", "rollout.candidate")


def test_a_model_without_facts_is_named_and_one_with_them_is_not() -> None:
    bare, pinned = a_model(name="bare"), a_model(name="pinned")
    tree = a_tree(bare, pinned, facts={bare.spec.model: 3 * GIB, pinned.spec.model: LLAMA})
    (warning,) = unproved(tree)
    assert (warning.code, warning.path) == (UNPROVED, "model")
    assert warning.file.endswith("bare.yaml")
    assert "isoserve model pin" in warning.message


@pytest.mark.parametrize(
    "fields",
    [
        {"image": "text-embeddings-inference"},
        {"image": "mlserver", "machine_type": "cpu.4"},
        {"batch": {"command": ["run"]}},
    ],
)
def test_only_servers_with_a_cache_on_gpus_are_named(fields: dict[str, Any]) -> None:
    assert list(unproved(a_tree(a_model(**fields)))) == []


def test_every_gpu_of_the_catalogue_has_less_than_its_name_says() -> None:
    known = [machine for machine in MACHINES.values() if machine.gpu_usable_gib]
    assert {m.name for m in MACHINES.values() if m.gpus} - {m.name for m in known} == {
        "neuron.inferentia2.1"
    }, "of whose memory nobody has looked what the driver leaves"
    for machine in known:
        assert 0.9 < machine.gpu_usable_gib / machine.gpu_memory_gib < 1, machine.name
