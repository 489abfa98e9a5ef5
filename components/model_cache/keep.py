"""One version's way onto a shelf: its manifest, its content, then the version itself."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from shutil import rmtree

from components.model_cache.config import Wanted
from components.model_cache.fetch import Fetch, free_bytes, missing_bytes
from components.model_cache.publish import publish, write
from components.model_cache.shelf import Shelf
from components.model_cache.source import Counted, Origin, Source
from components.model_registry import manifest as manifests
from components.model_registry.checked import Bad, by_content, each
from components.model_registry.errors import Corrupt, RegistryError
from components.model_registry.manifest import Manifest, ManifestFile
from components.model_registry.ranges import reading

_MOST_TOLD = 3


def content(manifest: Manifest) -> dict[str, ManifestFile]:
    """A file for each content, however many have it."""
    return {file.sha256: file for file in manifest.files}


class Library:
    """The manifests of one shelf, which are read once: a digest has one content for ever."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._read: dict[str, Manifest] = {}

    def known(self, digest: str) -> Manifest | None:
        """The version's manifest, if the disk has it; what a crash has spoilt it has not."""
        if digest not in self._read:
            with suppress(OSError, manifests.ManifestError):
                raw = self._shelf.manifest(digest).read_bytes()
                if manifests.digest(raw) == f"sha256:{digest}":
                    self._read[digest] = manifests.parse(raw)
        return self._read.get(digest)

    def fetched(self, origin: Origin, one: Wanted) -> Manifest:
        """The version's manifest, from `origin` if need be. Raises RegistryError, OSError."""
        found = self.known(one.digest)
        if found is None:
            found = origin.manifest(one)
            write(self._shelf, self._shelf.name(one.digest), one.model.encode())
            write(self._shelf, self._shelf.manifest(one.digest), manifests.to_bytes(found))
            self._read[one.digest] = found
        return found

    def forget(self, digest: str) -> None:
        """Read and write it anew when the version comes back."""
        self._read.pop(digest, None)

    def content_of(self, digest: str) -> Mapping[str, ManifestFile]:
        """The content of a version, nothing when it is not known."""
        found = self.known(digest)
        return content(found) if found else {}

    def model_of(self, digest: str) -> str:
        """The model that a version is of; empty when it is not known."""
        with suppress(OSError):
            return self._shelf.name(digest).read_text(encoding="utf-8")
        return ""


def bring(origin: Origin, shelf: Shelf, one: Wanted, manifest: Manifest, counted: Counted) -> None:
    """Bring a version's content and publish it.

    Raises Corrupt with the files that the registry cannot give; the others are kept on the shelf.
    """
    with reading(origin.store) as ranges:
        fetch = Fetch(Source(origin, ranges, one.project, counted), shelf)
        bad = each(by_content(manifest), lambda group: fetch.bring(group[0]))
    if bad:
        raise Corrupt(_told(one, bad))
    publish(shelf, one.digest, manifest)


def _told(one: Wanted, bad: list[Bad]) -> str:
    first = "; ".join(f"{row.path}: {row.why}" for row in bad[:_MOST_TOLD])
    more = f" and {len(bad) - _MOST_TOLD} more files" if len(bad) > _MOST_TOLD else ""
    return f"{one.address}: {first}{more}; push the model anew"


def pull(origin: Origin, shelf: Shelf, one: Wanted) -> None:
    """Bring a version onto a pod's own shelf. Raises RegistryError, OSError."""
    if shelf.version(one.digest).is_dir():
        return
    shelf.prepare()
    manifest = Library(shelf).fetched(origin, one)
    needed, free = missing_bytes(shelf, content(manifest)), free_bytes(shelf)
    if needed > free:
        raise RegistryError(
            f"{one.address} needs {needed / 1e9:.2f} GB more and {shelf.visible} has "
            f"{free / 1e9:.2f} GB left; give the pod a larger disk"
        )
    bring(origin, shelf, one, manifest, lambda *_: None)
    rmtree(shelf.hidden)  # the version's files have names of their own
