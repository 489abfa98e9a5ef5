"""Where a project's content comes from: other nodes first, if there are any, then the registry."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from components.model_cache.config import Wanted
from components.model_cache.neighbours import Neighbour
from components.model_cache.peers import Peers
from components.model_registry import keys, prefixes
from components.model_registry.catalogue import read_manifest
from components.model_registry.errors import RegistryError
from components.model_registry.manifest import Manifest, ManifestFile
from components.model_registry.ranges import Ranges
from components.model_registry.store import Store

PEERS: Final = "peers"
REGISTRY: Final = "registry"
Counted = Callable[[str, int], None]
"""Is told from where, PEERS or REGISTRY, and how many bytes have come since; by any thread."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The registry, and the peers that are asked before it: None in a pod of its own."""

    store: Store
    peers: Peers | None

    def manifest(self, one: Wanted) -> Manifest:
        """The manifest of a version. Raises RegistryError."""
        found = None
        if self.peers:
            self.peers.learn(one.project)
            found = self.peers.manifest(one.project, one.digest)
        return found or read_manifest(self.store, one.project, f"sha256:{one.digest}")


class Source:
    """Content of one project, for any number of threads."""

    def __init__(self, origin: Origin, ranges: Ranges, project: str, counted: Counted) -> None:
        """By `ranges` of the registry's store, or from its peers."""
        self._origin = origin
        self._ranges = ranges
        self._project = project
        self._counted = counted
        self._answers = True

    def near(
        self, file: ManifestFile, start: int
    ) -> Generator[tuple[Neighbour, memoryview], None, None]:
        """A content's bytes from `start` on, in order, as far as peers give them, and who does."""
        if self._origin.peers:
            for giver, piece in self._origin.peers.read(self._project, file, start):
                self._counted(PEERS, len(piece))
                yield giver, piece

    def far(self, file: ManifestFile, start: int) -> Iterator[memoryview]:
        """The same from the registry, to the end. Raises RegistryError."""
        for piece in self._ranges.read(keys.blob(self._project, file.sha256), start, file.size):
            self._counted(REGISTRY, len(piece))
            yield piece

    def prefixes(self, file: ManifestFile) -> Sequence[str]:
        """The digests of a content's beginnings, where the registry has them, and answers."""
        try:
            return prefixes.load(self._origin.store, self._project, file) if self._answers else ()
        except RegistryError:  # peers may have all of it; each question would take a minute
            self._answers = False
            return ()

    def has_lied(self, giver: Neighbour) -> bool:
        """Whether a peer was blamed a while ago, for whatever it gave."""
        return bool(self._origin.peers and self._origin.peers.has_lied(giver))

    def blame(self, givers: set[Neighbour]) -> None:
        """Ask those no more who gave some of what turned out wrong."""
        if self._origin.peers:
            self._origin.peers.blame(givers)
