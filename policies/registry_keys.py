"""The rule about the keys of an S3-compatible registry: files for what downloads, nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from model_specs.names import CACHE_NAMESPACE
from policies.facts import Facts
from policies.pods import Block, pod
from policies.resources import Resource
from policies.rule import WORKLOADS, Fault, Rule, each

_OWN: Final = ("containers", "ephemeralContainers")
_FIRST: Final = "initContainers"


def _secrets(volume: Block) -> Iterator[str]:
    """The Secrets whose files a volume has."""
    yield str((volume.get("secret") or {}).get("secretName"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield str((source.get("secret") or {}).get("name"))


@each("P22", "registry-keys", *WORKLOADS)
def _registry_keys(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """The Secret with the registry's keys is seen by the cache agent and by the first containers
    of pods that download: a model's own code, which a request may subvert, reads no other model.
    The Secret by which nodes pull images is seen by no container."""
    keys, pulls = facts.profile.registry.credentials_secret, facts.profile.pull_secret
    if keys and resource.namespace != CACHE_NAMESPACE:
        cure = "leave it to the pod's first container"
        yield from _shown(resource, f"the registry's keys, Secret {keys},", keys, _OWN, cure)
    if pulls:
        cure = "leave it to the node, which pulls by it"
        yield from _shown(resource, f"the pull secret {pulls}", pulls, (*_OWN, _FIRST), cure)


def _shown(
    resource: Resource, named: str, secret: str, groups: tuple[str, ...], cure: str
) -> Iterator[Fault]:
    """The containers of some groups that have the files of a Secret."""
    spec = pod(resource)
    volumes = {one.get("name") for one in spec.get("volumes") or () if secret in _secrets(one)}
    for group in groups:
        for container in spec.get(group) or ():
            if volumes & {mount.get("name") for mount in container.get("volumeMounts") or ()}:
                yield Fault(resource, f"shows {named} to {container.get('name')}", cure, "secrets")


RULES: Final[tuple[Rule, ...]] = (_registry_keys,)
