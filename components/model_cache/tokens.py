"""The projects' tokens on a node: read from the registry, and kept for when it is away."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from components.model_cache.shelf import of_project, on_node
from components.model_registry import peer_token
from components.model_registry.errors import RegistryError
from components.model_registry.store import Store

ROUND_SECONDS: Final = 3600.0
"""How often tokens are read anew, roughly: who changes one in the bucket waits so long."""
_OWN: Final = 0o600


class Tokens:
    """For any number of threads."""

    def __init__(self, root: Path, store: Store) -> None:
        """Of the projects below the node's `root`."""
        self._root = root
        self._store = store

    def of(self, project: str) -> str:
        """What the disk has; empty when it has none."""
        with suppress(OSError, UnicodeDecodeError):
            found = of_project(self._root, project).token.read_text(encoding="ascii")
            return found if peer_token.is_token(found) else ""
        return ""

    def learn(self, project: str) -> None:
        """Read it anew. Raises RegistryError, OSError; what the disk has stays then."""
        found = peer_token.read(self._store, project)
        if found == self.of(project):
            return
        shelf = of_project(self._root, project)
        new = shelf.hidden / "new" / shelf.token.name
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(new, flags, _OWN), "w", encoding="ascii") as out:
            out.write(found)
        os.rename(new, shelf.token)

    def learn_unknown(self, project: str) -> None:
        """Read it when the disk has none; without one there are no peers, and nothing is lost."""
        if not self.of(project):
            with suppress(RegistryError, OSError):
                self.learn(project)

    def learn_all(self) -> None:
        """Read those of all projects anew, as far as that can be done now."""
        for project in on_node(self._root):
            with suppress(RegistryError, OSError):
                self.learn(project)
