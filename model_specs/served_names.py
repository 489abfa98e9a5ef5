"""By which names callers ask a server for its model, where its runtime is told them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from model_specs.contradictions import Fault
from model_specs.errors import repeated, shown
from model_specs.runtimes import MOST_NAMES

ServedName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=128)]
"""Of the letters that names of models have at a hub; no command line, regular expression or JSON
takes one of them for anything else, but for the dot."""
ServedNames = Annotated[tuple[ServedName, ...], Field(max_length=MOST_NAMES)]


def unserved_names(spec: Any) -> Iterator[Fault]:
    """Names that a runtime is not told, and requests for another one."""
    names = spec.served_names
    for index in repeated(names):
        yield ("served_names", index), "E353", f"named twice, got {shown(names[index])}; keep one"
    for image in dict.fromkeys(spec.images.values()) if names else ():
        runtime = spec.contract_of(image)
        if not runtime.most_names:
            why = f"{runtime.name} is told no name"
            cure = "its callers ask by its path, or by what its files say; remove this"
            yield ("served_names",), "E353", f"{why}, got {shown(list(names))}: {cure}"
        elif len(names) > runtime.most_names:
            why = f"{runtime.name} takes one name, got {len(names)}; keep the first"
            yield ("served_names", 1), "E353", why
    request = spec.probe.request
    asked = request.body.get("model") if request and names else None
    if isinstance(asked, str) and asked not in {*names, *_adapters(spec)}:
        why = f"the server knows {', '.join(names)}, got {shown(asked)}; ask for one of these"
        yield ("probe", "request", "body", "model"), "E353", why


def _adapters(spec: Any) -> Iterator[str]:
    """The names of adapters, NAME=PATH, which vLLM and SGLang serve as models of their own
    (their options lora-modules and lora-paths; docs.vllm.ai, "LoRA Adapters")."""
    for args in spec.arguments.values():
        is_adapter = False
        for word in args:
            flag, is_joined, value = word.partition("=")
            if word.startswith("--"):
                is_adapter = flag in ("--lora-modules", "--lora-paths")
                if is_adapter and is_joined:
                    yield value.partition("=")[0]
            elif is_adapter:
                yield flag


def pattern(name: str) -> str:
    """The regular expression that a served name alone matches, as JSON has it."""
    letters = name.replace(".", r"\.")
    return f'"{letters}"'
