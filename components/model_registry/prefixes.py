"""SHA-256 of a large content's beginnings, by which a reader soon finds that it was lied to.

A push has them for nothing: they are what the digest of the whole has come to at every
PREFIX_BYTES. They stand beside the content, are no part of the manifest, and prove nothing: the
whole is digested all the same. Where they are missing (content of an older push) or make no sense,
a lie is found at the content's end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from components.model_registry import keys
from components.model_registry.errors import Denied, NotFound
from components.model_registry.manifest import ManifestFile
from components.model_registry.store import Store

PREFIX_BYTES: Final = 64 * 1024 * 1024
"""A quarter of a second at the rate that plans count with (MachineType.fetch_mib_per_second)."""
_LINES: Final = re.compile(r"(?:[0-9a-f]{64}\n)*")


def number(size: int) -> int:
    """How many beginnings a content of `size` bytes has; its end is the digest of the whole."""
    return max(size - 1, 0) // PREFIX_BYTES


def save(store: Store, project: str, sha256: str, found: Sequence[str]) -> None:
    """Put them beside the content, unless they are there. Raises RegistryError."""
    if found:
        text = "".join(f"{one}\n" for one in found)
        store.create(keys.prefixes(project, sha256), text.encode())


def load(store: Store, project: str, file: ManifestFile) -> Sequence[str]:
    """Those of a content, in hex digits; empty where it has none, or they make no sense.

    Raises RegistryError.
    """
    if not number(file.size):
        return ()
    try:
        text = store.read(keys.prefixes(project, file.sha256)).decode("ascii", "replace")
    except (Denied, NotFound):
        return ()
    found = text.split()
    return found if _LINES.fullmatch(text) and len(found) == number(file.size) else ()
