"""The content of one project in the registry, to which a push adds what is not there."""

from __future__ import annotations

from typing import Final

from components.model_registry import keys
from components.model_registry.errors import NotFound
from components.model_registry.local_files import PART_BYTES, Counted, LocalFile
from components.model_registry.part_stream import whole
from components.model_registry.store import Store
from components.model_registry.uploads import Uploads

_TRIED_BYTES: Final = 256 * 1024
"""To ask for so little costs as much as to send it, which fails where it is."""
_WHOLE_BYTES: Final = PART_BYTES * 3 // 2
"""In parts it would take five requests. As much is in memory for each file that is on its way."""


class Blobs:
    """Written once per content. For any number of threads, each its own content."""

    def __init__(self, store: Store, uploads: Uploads, project: str) -> None:
        """Those of `project` in `store`; `uploads` are of the same bucket."""
        self._store = store
        self._uploads = uploads
        self._project = project

    def add(self, file: LocalFile, counted: Counted) -> int:
        """Have a file's content there; the number of bytes that were sent. Raises RegistryError."""
        key = keys.blob(self._project, file.sha256)
        if file.size <= _TRIED_BYTES and self._create(file, key):
            sent = file.size
        elif self._has(file, key):
            sent = 0
        elif file.size > _WHOLE_BYTES:
            return self._uploads.send(file, key, counted)
        else:
            # Its signature holds the body's SHA-256, which the store checks.
            self._store.put(key, whole(file))
            file.check_unchanged()
            sent = file.size
        counted(file.size)
        return sent

    def _create(self, file: LocalFile, key: str) -> bool:
        made = self._store.create(key, whole(file))
        file.check_unchanged()
        return made

    def _has(self, file: LocalFile, key: str) -> bool:
        try:
            return self._store.size(key) == file.size
        except NotFound:
            return False
