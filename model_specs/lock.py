"""What the registry knows of pinned models: the shape of models.lock.yaml.

`isoserve model pin` writes it, so that a plan needs no network. A file written before `config` and
`weights` were recorded stays valid; its models are judged by the size of their files.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from model_specs.addresses import ModelAddress
from model_specs.errors import refuse_all
from model_specs.part import Part

Count = Annotated[int, Field(ge=0, le=2**62)]
Some = Annotated[int, Field(ge=1, le=2**62)]
ByType = dict[str, Count]


class ConfigFacts(Part):
    """What a model's config.json says of the memory that it takes while it serves."""

    attention_heads: Some
    """Query heads of a layer; tensor parallelism divides them."""
    cached_layers: Count
    """Layers that keep keys and values of the whole context; 0 for an encoder, which has none."""
    context: Some
    """Tokens of the longest request, unless the engine is told another."""
    dtype: Literal["bfloat16", "float16", "float32"]
    """The type of parameters that are not quantised."""
    embedding_parameters: Count
    """Parameters of embeddings and output head, which engines do not quantise while loading."""
    head_size: Some
    """Elements of one head's key, and of its value."""
    hidden_size: Some
    """Elements of a token between layers."""
    kv_cache_bits: Count
    """Bits of an element in the KV cache where the checkpoint has scales for it; else 0."""
    kv_heads: Some
    """Key and value heads of a layer: as many as `attention_heads` (MHA), fewer (GQA), 1 (MQA)."""
    latent_size: Count
    """Elements that a layer keeps of a token with multi-head latent attention (MLA): kv_lora_rank
    and qk_rope_head_dim; 0 for other attention."""
    layers: Some
    """All layers; pipeline parallelism divides them."""
    quantization: Annotated[str, Field(max_length=63)]
    """The method by which the checkpoint is quantised, e.g. `fp8`, `awq`; empty for none."""
    window: Count
    """Tokens that a layer of `window_layers` looks back on."""
    window_layers: Count
    """Layers that keep keys and values of a sliding window or chunk only."""


class ModelFacts(Part):
    """What the registry knows of one model version, recorded when it was pinned."""

    bytes: Annotated[int, Field(ge=1)]
    """The size of all its files."""
    files: Annotated[int, Field(ge=1)]
    """How many files."""
    config: ConfigFacts | None = None
    """Facts of its config.json; none for a model without one, or of an unknown shape."""
    weights: ByType = Field(default={})
    """Parameters by safetensors type, e.g. `BF16`; none for other formats."""


class ModelLock(Part):
    """models.lock.yaml of a project: facts by model address, so that a plan needs no registry."""

    models: dict[ModelAddress, ModelFacts]
    """Facts by pinned address."""

    @model_validator(mode="after")
    def _one_content_a_digest(self) -> Self:
        seen: dict[str, tuple[int, int]] = {}
        for address, facts in self.models.items():
            digest, size = address.partition("@")[2], (facts.bytes, facts.files)
            if seen.setdefault(digest, size) != size:
                why = f"a digest is of one content, got another size of {digest[:19]}... above"
                cure = "take both out and run `isoserve model pin`"
                refuse_all([(("models", address), "E353", f"{why}; {cure}")])
        return self
