"""Brings a model into a directory. A file appears by rename when its SHA-256 is right.

Until then it grows in `.isoserve-partial`, named by its digest and written in order, so that its
length is how far it has come: a pull that was killed goes on there, and digests what it finds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from components.model_registry import keys
from components.model_registry.checked import Bad, by_content, check_content, each
from components.model_registry.errors import Corrupt, RegistryError
from components.model_registry.growing import Growing
from components.model_registry.manifest import Manifest, ManifestFile
from components.model_registry.paths import PARTIAL
from components.model_registry.ranges import Ranges, reading
from components.model_registry.store import Store
from components.model_registry.threads import Told


class Pull:
    """One model on its way into one directory."""

    def __init__(self, store: Store, project: str, directory: Path, told: Told) -> None:
        """From `project` of `store`; `told` hears of the work `fetch`."""
        self._store = store
        self._project = project
        self._directory = directory
        self._partial = directory / PARTIAL
        self._told = told
        self._begun: set[str] = set()
        self._folders: set[str] = set()

    def run(self, manifest: Manifest) -> list[Bad]:
        """Bring all files; those that are corrupt in the registry are named and do not appear.

        Raises RegistryError when it cannot go on, with what it has kept for the next time.
        """
        self._partial.mkdir(parents=True, exist_ok=True)
        _check_own(self._partial)
        with _locked(self._partial / "lock"), reading(self._store) as ranges:
            self._check_space(manifest)
            self._begun = set(os.listdir(self._partial))
            bad = each(by_content(manifest), lambda group: self._bring(group, ranges))
        if not bad:
            shutil.rmtree(self._partial)
        return bad

    def _check_space(self, manifest: Manifest) -> None:
        there = sum(path.stat().st_size for path in self._partial.iterdir())
        sizes = ((file.size, _size(self._path(file))) for file in manifest.files)
        there += sum(size for size, found in sizes if size == found)
        free = shutil.disk_usage(self._directory).free
        if manifest.bytes - there > free:
            short = (manifest.bytes - there - free) / 1e9
            raise RegistryError(f"{self._directory}: {short:.1f} GB short of space; free as much")

    def _bring(self, group: Sequence[ManifestFile], ranges: Ranges) -> None:
        """Fetch a content once, however many files have it."""
        wanted = [file for file in group if not self._is_there(file)]
        if not wanted:
            return
        partial = f"{self._partial}/{wanted[0].sha256}"
        self._fetch(wanted[0], partial, ranges)
        for file in wanted[1:]:
            copy = f"{partial}.copy"
            Path(copy).unlink(missing_ok=True)
            shutil.copyfile(partial, copy)
            self._publish(copy, file)
            self._told("fetch", file.size)
        self._publish(partial, wanted[0])

    def _is_there(self, file: ManifestFile) -> bool:
        target = self._path(file)
        if _size(target) != file.size:
            return False
        with open(target, "rb") as there:
            is_same = hashlib.file_digest(there, "sha256").hexdigest() == file.sha256
        self._told("fetch", file.size if is_same else 0)
        return is_same

    def _path(self, file: ManifestFile) -> str:
        return f"{self._directory}/{file.path}"

    def _fetch(self, file: ManifestFile, partial: str, ranges: Ranges) -> None:
        if file.sha256 in self._begun:
            try:
                if 0 < _size(partial) <= file.size:
                    return self._append(file, partial, ranges)
            except Corrupt:  # what was found may be what is wrong, as after a power cut
                self._told("fetch", -file.size)
            Path(partial).unlink(missing_ok=True)
        return self._append(file, partial, ranges)

    def _append(self, file: ManifestFile, partial: str, ranges: Ranges) -> None:
        out = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            with Growing(out) as grown:
                self._told("fetch", grown.size)
                key = keys.blob(self._project, file.sha256)
                for piece in ranges.read(key, grown.size, file.size):
                    grown.add(piece)
                    self._told("fetch", len(piece))
            os.fsync(out)
        finally:
            os.close(out)
        try:
            check_content(grown.sha256, file)
        except Corrupt:
            os.unlink(partial)
            raise

    def _publish(self, partial: str, file: ManifestFile) -> None:
        """Let a file appear, never outside of the directory, whatever links are in it."""
        target = self._path(file)
        folder = os.path.dirname(target)
        if folder not in self._folders:
            if not Path(folder).resolve().is_relative_to(self._directory.resolve()):
                raise RegistryError(f"{folder} leads out of {self._directory}; remove the link")
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        os.replace(partial, target)


def _size(path: str) -> int:
    """The size of a regular file, else -1, also for a link to one."""
    try:
        found = os.lstat(path)
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def _check_own(partial: Path) -> None:
    """Raise RegistryError where unfinished files would be written elsewhere: somebody who fills
    the directory for another could lay a link there."""
    found = [partial] if partial.is_symlink() else [*partial.iterdir()]
    for path in found:
        seen = path.lstat()
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink > 1:
            raise RegistryError(f"{path} is no file that a pull has left unfinished; remove it")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o666), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RegistryError(f"{path.parent.parent}: another pull writes there; wait") from None
        yield
