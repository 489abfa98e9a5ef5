"""Reads blobs to their end and believes none before its SHA-256 is right."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from components.model_registry import keys
from components.model_registry.errors import Corrupt, NotFound
from components.model_registry.manifest import Manifest, ManifestFile
from components.model_registry.ranges import reading
from components.model_registry.store import Store
from components.model_registry.threads import Told, threads

FILES_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A file of a model that the registry cannot give as the manifest has it."""

    path: str
    why: str


def by_content(manifest: Manifest) -> list[list[ManifestFile]]:
    """Files of one content together, the largest first: one large file must not come last."""
    found: dict[str, list[ManifestFile]] = {}
    for file in manifest.files:
        found.setdefault(file.sha256, []).append(file)
    return sorted(found.values(), key=lambda files: -files[0].size)


def check_size(store: Store, project: str, file: ManifestFile) -> None:
    """Raise NotFound or Corrupt unless the blob is as long as the manifest says."""
    size = store.size(keys.blob(project, file.sha256))
    if size != file.size:
        raise Corrupt(f"its blob has {size} bytes, the manifest says {file.size}")


def check_content(sha256: str, file: ManifestFile) -> None:
    """Raise Corrupt unless `sha256` is the file's."""
    if sha256 != file.sha256:
        raise Corrupt(f"its blob is corrupt: SHA-256 {sha256}, the manifest says {file.sha256}")


def each(
    groups: Iterable[Sequence[ManifestFile]], do: Callable[[Sequence[ManifestFile]], None]
) -> list[Bad]:
    """`do` for all groups of equal files, several at once; the files that were refused."""
    with threads(FILES_AT_ONCE) as workers:
        rows = list(workers.map(lambda group: _outcome(group, do), groups))
    return sorted((bad for row in rows for bad in row), key=lambda bad: bad.path)


def _outcome(
    group: Sequence[ManifestFile], do: Callable[[Sequence[ManifestFile]], None]
) -> list[Bad]:
    try:
        do(group)
    except (Corrupt, NotFound) as error:
        return [Bad(path=file.path, why=str(error)) for file in group]
    return []


def verify(store: Store, project: str, manifest: Manifest, told: Told) -> list[Bad]:
    """Stream every blob of a model once; the files that are not what the manifest says."""
    with reading(store) as ranges:

        def check(group: Sequence[ManifestFile]) -> None:
            file = group[0]
            if not file.size:  # else the first answer says so
                check_size(store, project, file)
            whole = hashlib.sha256()
            for piece in ranges.read(keys.blob(project, file.sha256), 0, file.size):
                whole.update(piece)
                told("fetch", len(piece))
            check_content(whole.hexdigest(), file)

        return each(by_content(manifest), check)
