"""A model's files on the pusher's disk: found, digested, and watched for changes in between.

A blob's key is the digest of its content, so a file is read twice: to digest it, then to send it;
a small one may be kept in between. The first read also takes a CRC32 of every part, which costs a
tenth of a SHA-256; the second is held against these, by us and by the store, so that a file that
changed in between is noticed and an upload of another process is continued only where it holds the
same bytes.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.model_registry.errors import RegistryError
from components.model_registry.manifest import ManifestError
from components.model_registry.paths import PARTIAL, check_path
from components.model_registry.prefixes import PREFIX_BYTES

Counted = Callable[[int], None]
"""Is told the number of bytes that were dealt with since it was last told."""
_MIB: Final = 1024 * 1024
PART_BYTES: Final = 8 * _MIB
MAX_PARTS: Final = 10_000  # of an S3 multipart upload
_READ_BYTES: Final = _MIB
KEPT_BYTES: Final = 256 * 1024
"""Up to here a file is kept till it is sent: to read it again takes half as long as its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """One file as it was when it was digested; `crcs` of its parts of `part_bytes` each.

    `prefixes` are the digests of its beginnings, as prefixes.py has them.
    `kept` is all of its content, or empty when it is to be read anew.
    """

    path: str
    source: Path
    size: int
    sha256: str
    part_bytes: int
    crcs: tuple[int, ...]
    prefixes: tuple[str, ...]
    seen: tuple[int, ...]
    kept: bytes

    def part_length(self, index: int) -> int:
        """The bytes of a part, which are fewer in the last one."""
        return min(self.part_bytes, self.size - index * self.part_bytes)

    def check_unchanged(self) -> None:
        """Raise RegistryError when the file is not what was digested."""
        if self.seen != _seen(os.stat(self.source)):
            raise changed(self.source)


def changed(source: Path) -> RegistryError:
    """The error for a file that was written to meanwhile."""
    return RegistryError(f"{source} changed while it was pushed; run the same push again")


def part_bytes_of(size: int) -> int:
    """8 MiB, or whole MiB so that `size` has no more parts than an upload may; never random."""
    return max(PART_BYTES, -(-size // MAX_PARTS // _MIB) * _MIB)


def find(directory: Path) -> Iterator[tuple[str, Path]]:
    """Path in the model and on disk of every file below `directory`.

    A link is followed to a file below the directory, and from a snapshot of Hugging Face's cache,
    which is made of links, to that model's own blobs. Raises RegistryError for what a model cannot
    hold, and for links that lead elsewhere, rather than leaving it out.
    """
    if not directory.is_dir():
        raise RegistryError(f"{directory} is no directory; give the one that holds the model")
    homes = _homes(directory.resolve())
    for folder, names, files in os.walk(directory, onerror=_unreadable):
        names[:] = sorted(name for name in names if name != PARTIAL)
        for name in names:
            if os.path.islink(os.path.join(folder, name)):
                raise RegistryError(f"{folder}/{name} links to a directory; copy it there")
        below = Path(folder).relative_to(directory).as_posix()
        for name in sorted(files):
            source = Path(folder, name)
            path = name if below == "." else f"{below}/{name}"
            _check(path, source, directory, homes)
            yield path, source


def _check(path: str, source: Path, directory: Path, homes: tuple[Path, ...]) -> None:
    """Raise RegistryError for what a model cannot hold."""
    try:
        check_path(path)
        kind = source.stat().st_mode
    except (ManifestError, UnicodeEncodeError) as error:
        why = f"a file cannot have this path, {error}; rename it"
        raise RegistryError(f"{directory}: {why}") from None
    except OSError:
        if not source.is_symlink():
            raise
        raise RegistryError(f"{source} links to what cannot be read; remove it") from None
    if not stat.S_ISREG(kind):
        raise RegistryError(f"{source} is no regular file; remove it")
    if source.is_symlink() and not any(map(source.resolve().is_relative_to, homes)):
        raise RegistryError(
            f"{source} links out of the directory, to {source.resolve()}: it would be published; "
            "copy it there, if it is of the model"
        )


def _homes(directory: Path) -> tuple[Path, ...]:
    """Where links may lead. `models--ORG--NAME/snapshots/REVISION` has its files in `blobs` beside
    `snapshots` (huggingface.co/docs/huggingface_hub/guides/manage-cache)."""
    model = directory.parent.parent
    is_snapshot = directory.parent.name == "snapshots" and model.name.startswith("models--")
    return (directory, model / "blobs") if is_snapshot else (directory,)


def _unreadable(error: OSError) -> None:
    raise error


def _seen(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def describe(path: str, source: Path, counted: Counted) -> LocalFile:
    """Digest a file in one read; up to KEPT_BYTES are kept."""
    whole = hashlib.sha256()
    crcs: list[int] = []
    prefixes: list[str] = []
    read = 0
    with open(source, "rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        size, part_bytes = before.st_size, part_bytes_of(before.st_size)
        kept = file.read(size) if size <= KEPT_BYTES else b""
        for piece in [kept] if kept else _pieces(file, part_bytes):
            whole.update(piece)
            if read % part_bytes == 0:
                crcs.append(0)
            crcs[-1] = zlib.crc32(piece, crcs[-1])
            read += len(piece)
            if read % PREFIX_BYTES == 0 and read < size:
                prefixes.append(whole.hexdigest())
            counted(len(piece))
        if read != size or _seen(os.fstat(file.fileno())) != _seen(before):
            raise changed(source)
    return LocalFile(
        path=path,
        source=source,
        size=read,
        sha256=whole.hexdigest(),
        part_bytes=part_bytes,
        crcs=tuple(crcs),
        prefixes=tuple(prefixes),
        seen=_seen(before),
        kept=kept,
    )


def _pieces(file: io.FileIO, part_bytes: int) -> Iterator[memoryview]:
    """All of a file, each piece within one part and one prefix; a piece is good till the next one
    is asked for."""
    buffer = memoryview(bytearray(_READ_BYTES))
    at = 0
    while length := file.readinto(
        buffer[: min(part_bytes - at % part_bytes, PREFIX_BYTES - at % PREFIX_BYTES)]
    ):
        yield buffer[:length]
        at += length
