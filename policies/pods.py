"""Finds the pod in whatever holds one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from policies.resources import Resource

Block = Mapping[str, Any]


def template(resource: Resource) -> Block:
    """Metadata and spec of the pods that a workload makes; of a Pod, itself."""
    if resource.kind == "Pod":
        return resource.values
    spec: Block = resource.spec
    if resource.kind == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    return spec.get("template") or {}


def pod(resource: Resource) -> Block:
    """The pod's spec; empty where a workload has none."""
    return template(resource).get("spec") or {}


def containers(resource: Resource) -> Sequence[Block]:
    """All containers of the pod, those that start and those that debug it too."""
    found = pod(resource)
    groups = ("initContainers", "containers", "ephemeralContainers")
    return [one for group in groups for one in found.get(group) or ()]


def option(words: Sequence[Any], name: str) -> str | None:
    """What a command line says last of `--name value` or `--name=value`; None if nothing."""
    found = None
    for word, after in zip(words, [*words[1:], ""], strict=False):
        if str(word) == name:
            found = str(after)
        elif str(word).startswith(f"{name}="):
            found = str(word).partition("=")[2]
    return found
