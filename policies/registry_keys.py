"""The rule about the keys of an S3-compatible registry: files for what downloads, nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from model_specs.names import CACHE_NAMESPACE
from policies.facts import Facts
from policies.pods import Block, pod
from policies.resources import Resource
from policies.rule import WORKLOADS, Fault, Rule, each


def _secrets(volume: Block) -> Iterator[str]:
    """The Secrets whose files a volume has."""
    yield str((volume.get("secret") or {}).get("secretName"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield str((source.get("secret") or {}).get("name"))


@each("P22", "registry-keys", *WORKLOADS)
def _registry_keys(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """The Secret with the registry's keys is seen by the cache agent and by the first containers
    of pods that download: a model's own code, which a request may subvert, reads no other model."""
    secret = facts.profile.registry.credentials_secret
    if not secret or resource.namespace == CACHE_NAMESPACE:
        return
    spec = pod(resource)
    volumes = {one.get("name") for one in spec.get("volumes") or () if secret in _secrets(one)}
    for group in ("containers", "ephemeralContainers"):
        for container in spec.get(group) or ():
            if volumes & {mount.get("name") for mount in container.get("volumeMounts") or ()}:
                what = f"shows the registry's keys, Secret {secret}, to {container.get('name')}"
                yield Fault(resource, what, "leave it to the pod's first container", "secrets")


RULES: Final[tuple[Rule, ...]] = (_registry_keys,)
