"""Finds the pod in whatever holds one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from policies.resources import Resource

Block = Mapping[str, Any]


def template(resource: Resource) -> Block:
    """Metadata and spec of the pods that a workload makes; of a Pod, itself."""
    return resource.template


def pod(resource: Resource) -> Block:
    """The pod's spec; empty where a workload has none."""
    return resource.pod


def containers(resource: Resource) -> Sequence[Block]:
    """All containers of the pod, those that start and those that debug it too."""
    return resource.containers


def option(words: Sequence[Any], name: str) -> str | None:
    """What a command line says last of `--name value` or `--name=value`; None if nothing."""
    found, prefix = None, f"{name}="
    for word, after in zip(words, [*words[1:], ""], strict=False):
        text = str(word)
        if text == name:
            found = str(after)
        elif text.startswith(prefix):
            found = text.removeprefix(prefix)
    return found
