"""Sends a directory to the registry as one version: blobs, manifest, version, tag, in this order.

So a half push is invisible: until its version is there nothing points to what it has sent.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from components.model_registry import keys, prefixes
from components.model_registry.blobs import Blobs
from components.model_registry.catalogue import check_free, pointed_to, publish
from components.model_registry.errors import RegistryError
from components.model_registry.keys import Address
from components.model_registry.local_files import LocalFile, describe
from components.model_registry.manifest import (
    Facts,
    Manifest,
    ManifestError,
    ManifestFile,
    digest,
    parse,
    to_bytes,
)
from components.model_registry.safetensors import SUFFIX, parameters_by_type
from components.model_registry.store import Store
from components.model_registry.threads import Told, threads
from components.model_registry.uploads import Uploads

FILES_AT_ONCE: Final = 5
PARTS_AT_ONCE: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push came to; `new` when the version was not there before."""

    digest: str
    manifest: Manifest
    sent_bytes: int
    new: bool


class Push:
    """Files on their way to one version."""

    def __init__(self, store: Store, uploads: Uploads, address: Address, told: Told) -> None:
        """To the version `address` of `store`; `told` hears of the work `digest` and `send`."""
        self._store = store
        self._blobs = Blobs(store, uploads, address.project)
        self._address = address
        self._told = told
        self._lock = threading.Lock()
        self._claimed: set[str] = set()
        self._sent_bytes = 0

    def run(self, files: Sequence[tuple[str, Path]], metadata: Mapping[str, str]) -> Pushed:
        """Send all `files` (path in the model, and on disk), then publish the version.

        Raises RegistryError. What was sent till then is used by the next push.
        """
        facts = facts_of(source for _, source in files)
        check_is_no_tag(self._store, self._address)
        with threads(FILES_AT_ONCE) as workers:
            if pointed_to(self._store, self._version):  # refuse before sending, not after
                known = list(workers.map(self._describe, files))
                check_free(self._store, self._address, digest(_manifest(known, metadata, facts)[1]))
                list(workers.map(self._send, known))
            else:
                known = list(workers.map(self._describe_and_send, files))
        manifest, raw = _manifest(known, metadata, facts)
        self._store.put(keys.manifest(self._address.project, digest(raw)), raw)
        new = publish(self._store, self._address, digest(raw))
        return Pushed(digest=digest(raw), manifest=manifest, sent_bytes=self._sent_bytes, new=new)

    @property
    def _version(self) -> str:
        return keys.version(self._address.project, self._address.model, self._address.label)

    def _describe(self, file: tuple[str, Path]) -> LocalFile:
        return replace(describe(*file, self._digested), kept=b"")

    def _describe_and_send(self, file: tuple[str, Path]) -> LocalFile:
        known = describe(*file, self._digested)
        self._send(known)
        return replace(known, kept=b"")  # there may be as many as a model has files

    def _digested(self, count: int) -> None:
        self._told("digest", count)

    def _send(self, file: LocalFile) -> None:
        with self._lock:
            is_first = file.sha256 not in self._claimed
            self._claimed.add(file.sha256)
        if not is_first:
            self._told("send", file.size)
            return
        sent = self._blobs.add(file, lambda count: self._told("send", count))
        prefixes.save(self._store, self._address.project, file.sha256, file.prefixes)
        with self._lock:
            self._sent_bytes += sent


def check_is_no_tag(store: Store, address: Address) -> None:
    """Raise RegistryError when a tag of the model is called as the version is to be."""
    if pointed_to(store, keys.tag(address.project, address.model, address.label)):
        name = f"{address.project}/{address.model}"
        raise RegistryError(f"{address.label} is a tag of {name}; choose another version")


def facts_of(sources: Iterable[Path]) -> Facts:
    """Parameters of all safetensors files together; nothing when any does not tell."""
    found: Counter[str] = Counter()
    for source in sources:
        if source.name.endswith(SUFFIX):
            one = parameters_by_type(source)
            if one is None:
                return {}
            found.update(one)
    return {"dtypes": dict(found), "parameters": found.total()} if found else {}


def _manifest(
    files: Sequence[LocalFile], metadata: Mapping[str, str], facts: Facts
) -> tuple[Manifest, bytes]:
    rows = (ManifestFile(path=f.path, size=f.size, sha256=f.sha256) for f in files)
    ordered = tuple(sorted(rows, key=lambda row: row.path))
    made = Manifest(files=ordered, metadata=metadata, facts=facts)
    try:
        raw = to_bytes(made)
        parse(raw)  # what a reader would refuse must not be published
    except (ManifestError, UnicodeEncodeError) as error:
        raise RegistryError(f"these files make no model: {error}") from None
    return made, raw
