"""Other nodes' agents as a source before the registry: a new model crosses its line once.

Nothing of what they say is believed. What comes is digested as all content is, and compared at each
PREFIX_BYTES where the registry has the digests of a content's beginnings; when one is wrong,
whoever gave any of it since the last right one is left alone, and the rest comes from the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from components.model_cache.asking import PeerError, ask, ask_whole
from components.model_cache.neighbours import LIED, Neighbour, Neighbours
from components.model_cache.tokens import Tokens
from components.model_registry import manifest as manifests
from components.model_registry.manifest import Manifest, ManifestError, ManifestFile

ASKED: Final = 3
"""For one content: what nobody near has, the registry has."""


class Peers:
    """The agents of other nodes. For any number of threads."""

    def __init__(
        self, neighbours: Neighbours, tokens: Tokens, failed: Callable[[str], None]
    ) -> None:
        """`failed` hears of one of neighbours.REASONS for each peer that failed."""
        self._neighbours = neighbours
        self._tokens = tokens
        self._failed = failed

    def learn(self, project: str) -> None:
        """Have the project's token, if anybody can be asked by it and the registry has it."""
        if self._neighbours.some(1):
            self._tokens.learn_unknown(project)

    def manifest(self, project: str, digest: str) -> Manifest | None:
        """The manifest with this digest (hex digits), if a peer has it."""
        for one, token in self._askable(project):
            try:
                raw = ask_whole(one, token, f"/{project}/manifests/{digest}", manifests.MAX_BYTES)
                if raw and manifests.digest(raw) == f"sha256:{digest}":
                    return manifests.parse(raw)
                if raw:
                    self.blame([one])
            except PeerError as error:
                self._fail(one, str(error))
            except ManifestError:  # these are the digest's bytes; the registry has no better ones
                return None
        return None

    def read(
        self, project: str, file: ManifestFile, start: int
    ) -> Iterator[tuple[Neighbour, memoryview]]:
        """A content's bytes from `start` on, as far as peers give them, in order, and who does."""
        path = f"/{project}/blobs/{file.sha256}"
        for one, token in self._askable(project):
            if start >= file.size:
                return
            try:
                for piece in ask(one, token, path, start, file.size):
                    start += len(piece)
                    yield one, piece
            except PeerError as error:
                self._fail(one, str(error))

    def blame(self, givers: Iterable[Neighbour]) -> None:
        """Leave those alone who gave wrong bytes, or may have."""
        for one in givers:
            self._fail(one, LIED)

    def has_lied(self, one: Neighbour) -> bool:
        """Whether it was blamed a while ago."""
        return self._neighbours.has_lied(one)

    def _askable(self, project: str) -> Iterator[tuple[Neighbour, str]]:
        token = self._tokens.of(project)
        for one in self._neighbours.some(ASKED) if token else []:
            yield one, token

    def _fail(self, one: Neighbour, reason: str) -> None:
        self._neighbours.leave_alone(one, reason)
        self._failed(reason)
