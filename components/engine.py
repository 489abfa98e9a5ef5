"""Hands parts to the Pulumi engine: one way of registering, for every noun."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pulumi

from components.kube import Object
from components.parts import Part

# Nodes are made by machines; we only ever apply fields of ours to them.
_PATCHED: Final = {"Node": "NodePatch"}


class Noun(pulumi.ComponentResource):
    """One part of the plan as a component: ModelServer, ModelRoute, ... by its type token."""

    def __init__(self, part: Part) -> None:
        super().__init__(f"isoserve:index:{part.noun}", part.name)


def token(made: Object) -> str:
    """The provider's type token of an object: `kubernetes:apps/v1:Deployment`."""
    group_version = made["apiVersion"]
    kind = _PATCHED.get(made["kind"], made["kind"])
    return f"kubernetes:{group_version if '/' in group_version else f'core/{group_version}'}:{kind}"


def logical_name(made: Object) -> str:
    """`namespace/name`, or the name: a killed `up` run again meets its own objects by it."""
    metadata = made["metadata"]
    namespace = metadata.get("namespace", "")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def register(parts: Iterable[Part], provider: pulumi.ProviderResource) -> list[pulumi.Resource]:
    """Register every object of every part under its component; returns the objects' resources.

    A raw CustomResource with the provider's token costs a quarter of the typed class (1.4 ms
    against 6 ms) and previews the same, since the provider reads the same plain dict.
    """
    namespaces: dict[str, pulumi.Resource] = {}
    made: list[pulumi.Resource] = []
    for part in parts:
        noun = Noun(part)
        for plain in part.objects:
            namespace = plain["metadata"].get("namespace", "")
            first = [namespaces[namespace]] if namespace in namespaces else []
            options = pulumi.ResourceOptions(parent=noun, provider=provider, depends_on=first)
            resource = pulumi.CustomResource(
                token(plain), logical_name(plain), dict(plain), options
            )
            if plain["kind"] == "Namespace":
                namespaces[plain["metadata"]["name"]] = resource
            made.append(resource)
        noun.register_outputs({})
    return made
