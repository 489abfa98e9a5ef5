"""What a model version consists of. The digest of these bytes is the model's address.

A manifest comes over the network and names files that will be written, so nothing in it is
believed: `parse` gives a manifest that is safe to act on, or raises ManifestError.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from components.model_registry.paths import (
    ManifestError,
    check_path,
    check_places,
    directories_of,
)

__all__ = ["Manifest", "ManifestError", "ManifestFile", "digest", "parse", "to_bytes"]

SCHEMA: Final = 1
MAX_BYTES: Final = 8 * 1024 * 1024
"""An agent of 512 MiB parses it beside its other work: 235 MB were measured for 32 MiB."""
MAX_FILES: Final = 20_000
MAX_FILE_BYTES: Final = 5 * 1024**4  # the most that S3 keeps in one object
_HEX: Final = re.compile("[0-9a-f]{64}")
_NUMBER: Final = 2**63
_KEYS: Final = {"facts", "files", "metadata", "schema"}

Facts = Mapping[str, int | Mapping[str, int]]
"""Numbers told by the files themselves, such as `parameters`, and `dtypes` by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """One file: where it stands below the model's directory, its size in bytes, its SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All files of a model version in order of their paths, and what is known of it."""

    files: tuple[ManifestFile, ...]
    metadata: Mapping[str, str]
    facts: Facts

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.size for file in self.files)

    @property
    def inodes(self) -> int:
        """Inodes that it takes on a disk at most: each file, each directory, and the version's."""
        return len(self.files) + len(directories_of(file.path for file in self.files)) + 1


def to_bytes(manifest: Manifest) -> bytes:
    """The one form in which a manifest is stored and digested."""
    rows = [{"path": f.path, "sha256": f.sha256, "size": f.size} for f in manifest.files]
    parts = {
        "facts": manifest.facts,
        "files": rows,
        "metadata": manifest.metadata,
        "schema": SCHEMA,
    }
    text = json.dumps(
        parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest(raw: bytes) -> str:
    """`sha256:<hex>` of a manifest's bytes."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def parse(raw: bytes) -> Manifest:
    """The manifest that `raw` is. Raises ManifestError when it is none, or not safe."""
    if len(raw) > MAX_BYTES:
        raise ManifestError(f"larger than {MAX_BYTES} bytes, got {len(raw)}")
    try:
        value = json.loads(raw.decode())
    except (ValueError, RecursionError):
        raise ManifestError("not JSON in UTF-8") from None
    if not isinstance(value, dict) or value.keys() != _KEYS:
        raise ManifestError(f"expected the keys {', '.join(sorted(_KEYS))} and no other")
    if type(value["schema"]) is not int or value["schema"] != SCHEMA:
        raise ManifestError(f"expected schema {SCHEMA}, got {value['schema']!r:.40}")
    rows = value["files"]
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_FILES:
        raise ManifestError(f"expected a list of 1 to {MAX_FILES} files")
    files = tuple(map(_file, rows))
    check_places(file.path for file in files)
    manifest = Manifest(files=files, metadata=_words(value["metadata"]), facts=_facts(value))
    try:
        same = to_bytes(manifest) == raw
    except UnicodeEncodeError:
        raise ManifestError("half a surrogate pair in a text") from None
    if not same:  # else one model would have many digests, and readers could see two manifests
        raise ManifestError("not in canonical form: sorted keys, no spaces, each key once")
    return manifest


def _file(row: Any) -> ManifestFile:
    if not isinstance(row, dict) or row.keys() != {"path", "sha256", "size"}:
        raise ManifestError("expected path, sha256 and size of each file and no more")
    path, size, sha256 = row["path"], row["size"], row["sha256"]
    check_path(path)
    if type(size) is not int or not 0 <= size <= MAX_FILE_BYTES:
        raise ManifestError(f"{path}: its size is no number of bytes, got {size!r:.40}")
    if not isinstance(sha256, str) or not _HEX.fullmatch(sha256):
        raise ManifestError(f"{path}: its sha256 is not 64 lower-case hex digits")
    return ManifestFile(path=path, size=size, sha256=sha256)


def _words(value: Any) -> dict[str, str]:
    if isinstance(value, dict) and all(isinstance(word, str) for word in value.values()):
        return value
    raise ManifestError("metadata is texts by name")


def _facts(value: dict[str, Any]) -> Facts:
    facts = value["facts"]
    if isinstance(facts, dict):
        inner = [row for row in facts.values() if isinstance(row, dict)]
        numbers = [n for row in (facts, *inner) for n in row.values() if not isinstance(n, dict)]
        nested = any(isinstance(n, dict) for row in inner for n in row.values())
        if not nested and all(type(n) is int and 0 <= n < _NUMBER for n in numbers):
            return facts
    raise ManifestError("facts are numbers by name, at most two levels deep")
