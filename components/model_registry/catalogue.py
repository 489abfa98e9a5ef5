"""Which models, versions and tags a registry has, and what an address stands for.

A version is written once and never moves; a tag may. Both point to a manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from components.model_registry import keys, peer_token
from components.model_registry.errors import Corrupt, NotFound, RegistryError
from components.model_registry.keys import Address
from components.model_registry.manifest import Manifest, ManifestError, digest, parse
from components.model_registry.store import Store

_MOST_TOLD: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A manifest that was read, and its digest, which its bytes have."""

    digest: str
    manifest: Manifest


def pointed_to(store: Store, key: str) -> str:
    """The digest at a version's or tag's key; empty when there is none."""
    try:
        return keys.pointed(store.read(key), key)
    except NotFound:
        return ""


def resolve(store: Store, address: Address) -> str:
    """The digest that an address stands for: its own, its version's, or its tag's.

    Raises NotFound with what there is.
    """
    if address.digest:
        return address.digest
    project, model, label = address.project, address.model, address.label
    if not label:
        raise RegistryError(f"{address} names no version; write {address}:<version>")
    found = pointed_to(store, keys.version(project, model, label))
    found = found or pointed_to(store, keys.tag(project, model, label))
    if not found:
        known = [*labels(store, keys.versions(project, model)), *tags_of(store, project, model)]
        more = ", ..." if len(known) > _MOST_TOLD else ""
        there = f"it has {', '.join(known[:_MOST_TOLD])}{more}" if known else "it has no version"
        raise NotFound(f"{project}/{model} has no version or tag {label}; {there}")
    return found


def read_manifest(store: Store, project: str, wanted: str) -> Manifest:
    """The manifest with this digest. Raises NotFound, Corrupt."""
    key = keys.manifest(project, wanted)
    raw = store.read(key)
    if digest(raw) != wanted:
        raise Corrupt(f"{key} is not what its digest says, got {digest(raw)}; push the model anew")
    try:
        return parse(raw)
    except ManifestError as error:
        raise Corrupt(f"{key} is no manifest: {error}") from None


def resolved(store: Store, address: Address) -> Resolved:
    """The manifest that an address stands for."""
    found = resolve(store, address)
    return Resolved(digest=found, manifest=read_manifest(store, address.project, found))


def labels(store: Store, prefix: str) -> list[str]:
    """The versions or tags below a prefix of keys.py."""
    return sorted(key.removeprefix(prefix) for key in store.keys(prefix))


def tags_of(store: Store, project: str, model: str) -> list[str]:
    """The tags of a model."""
    return labels(store, keys.tags(project, model))


def version_named(store: Store, address: Address, wanted: str) -> str:
    """The version that has the digest: the address's own label, else the first; or nothing.

    A tag says where it points today, so that what is written down names the version instead.
    """
    project, model = address.project, address.model
    known = labels(store, keys.versions(project, model))
    for label in sorted(known, key=lambda label: label != address.label):
        if pointed_to(store, keys.version(project, model, label)) == wanted:
            return label
    return ""


def publish(store: Store, address: Address, wanted: str) -> bool:
    """Make the version `address` stand for a digest, for good; False when it does already.

    Raises RegistryError when it stands for another: of two pushes one wins.
    """
    key = keys.version(address.project, address.model, address.label)
    peer_token.ensure(store, address.project)
    if store.create(key, keys.pointer(wanted)):
        return True
    check_free(store, address, wanted)
    return False


def check_free(store: Store, address: Address, wanted: str) -> None:
    """Raise RegistryError when the version stands for another digest than the `wanted`."""
    there = pointed_to(store, keys.version(address.project, address.model, address.label))
    if there and there != wanted:
        name = f"{address.project}/{address.model}:{address.label}"
        why = f"{name} exists with other content, {there}, and a version never moves"
        raise RegistryError(f"{why}; push under a new version")


def move_tag(store: Store, address: Address, tag: str, wanted: str) -> str:
    """Make a tag stand for a digest; gives the one it stood for, or nothing.

    Raises RegistryError when a version is called so.
    """
    check_tag(store, address, tag)
    key = keys.tag(address.project, address.model, tag)
    before = pointed_to(store, key)
    store.put(key, keys.pointer(wanted))
    return before


def check_tag(store: Store, address: Address, tag: str) -> None:
    """Raise RegistryError unless the model may have a tag of this name."""
    keys.check_label(tag)
    if pointed_to(store, keys.version(address.project, address.model, tag)):
        raise RegistryError(f"{tag} is a version of {address.project}/{address.model}, no tag")
