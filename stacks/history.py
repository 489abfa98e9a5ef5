"""Reads the specs and profiles of a git revision, without touching the work tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Final

from model_specs.errors import SpecErrors
from model_specs.load import Model
from stacks.outcome import InputErrors, refusal
from stacks.tree import Tree, read_tree

_IN_MEMORY: Final = Path("/dev/shm")
_ROOM_BYTES: Final = 256 * 1024**2
"""A thousand specs take 1 MB, this repository 10; a container has 64 MiB where nobody asks."""


class BrokenBase(InputErrors):
    """A revision is there, and what it holds is refused."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for what a revision held, gone at the end; in memory where there is room, since
    a disk takes longer to make a thousand small files than they take to read."""
    room = os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free >= _ROOM_BYTES
    with TemporaryDirectory(prefix="isoserve-", dir=_IN_MEMORY if room else None) as folder:
        yield Path(folder)


@contextmanager
def _printing(folder: Path, *words: str) -> Iterator[IO[bytes]]:
    """What git prints, as it comes. Raises InputErrors with git's own last line when it refuses,
    whatever was made of what it had printed till then."""
    command = ["git", "-C", str(folder), *words]
    with TemporaryFile() as errors:
        try:
            git = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        except FileNotFoundError:
            raise refusal("git", "E100", "no git here; install it to compare revisions") from None
        failed: Exception | None = None
        with git:
            assert git.stdout is not None  # PIPE
            try:
                yield git.stdout
            except tarfile.TarError as error:
                failed = error
        if git.returncode:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            message = said[-1] if said else f"git {words[0]} failed"
            raise refusal("git", "E100", f"{message}; name a revision that git has") from None
        if failed:
            raise failed


def _git(folder: Path, *words: str) -> bytes:
    """All that git prints. Raises InputErrors where it refuses."""
    with _printing(folder, *words) as out:
        return out.read()


def _take(folder: Path, revision: str, target: Path) -> None:
    """Put what `folder` held at `revision` into `target`; nothing when it was not there."""
    target.mkdir(parents=True)
    if not _git(folder, "ls-tree", "--name-only", revision, "."):
        return
    with _printing(folder, "archive", "--format=tar", revision, ".") as packed:
        # A file at a time: a repository may be larger than memory.
        with tarfile.open(fileobj=packed, mode="r|") as tar:
            tar.extractall(target, filter=_within)
        packed.read()  # the padding, which git must be rid of to end well


def _within(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """A file of a revision; none for a link that leads out of it."""
    try:
        return tarfile.data_filter(member, folder)
    except tarfile.FilterError:
        return None


def tree_at(
    revision: str, specs: Path, regions: Path, scratch: Path, known: Iterable[Model] = ()
) -> Tree | None:
    """The tree of two directories at a revision, read in `scratch`; None where it had no region.

    `known` are models of the work tree (see `model_specs.load`). Raises InputErrors when there
    is no such revision, BrokenBase when it is refused itself.
    """
    commit = _git(specs, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    name = commit.decode().strip()
    old_specs, old_regions = scratch / "specs" / specs.name, scratch / "regions" / regions.name
    _take(specs, name, old_specs)
    _take(regions, name, old_regions)
    if not any(old_regions.glob("*.yaml")):
        return None
    try:
        return read_tree(old_specs, old_regions, [], known=known)
    except SpecErrors as refused:
        raise BrokenBase(
            replace(error, file=f"{revision}:{error.file}") for error in refused.errors
        ) from None


def top_of(folder: Path) -> Path:
    """The top of the repository around `folder`. Raises InputErrors where there is none."""
    return Path(_git(folder, "rev-parse", "--show-toplevel").decode().rstrip("\n")).resolve()


def changed_files(revision: str, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The top of the repository around `folder`, and every file in it that differs from a revision.

    Files that git does not know yet count, those that it ignores do not; a submodule counts
    whatever its settings say. Raises InputErrors when there is no such revision.
    """
    top = top_of(folder)
    exact = ("--no-renames", "--ignore-submodules=none", "--no-ext-diff", "-z")
    told = ("diff", "--name-only", *exact, "--end-of-options", revision, "--")
    new = ("ls-files", "--others", "--exclude-standard", "-z")
    names = (_git(top, *told) + _git(top, *new)).decode(errors="surrogateescape").split("\0")
    return top, tuple(sorted({*names} - {""}))


def linked(top: Path) -> tuple[str, ...]:
    """Where the links of the repository at `top` lead within it, by path from there."""
    rows = _git(top, "ls-files", "--stage", "-z").decode(errors="surrogateescape").split("\0")
    links = [row.partition("\t")[2] for row in rows if row.startswith("120000 ")]
    found = (Path(os.path.realpath(top / link)) for link in links)
    return tuple(sorted(str(path.relative_to(top)) for path in found if path.is_relative_to(top)))


def unpacked(revision: str, folder: Path, target: Path) -> Path:
    """Put all that the repository around `folder` held at a revision into `target`; where it is.

    Raises InputErrors when there is no such revision.
    """
    _take(top_of(folder), revision, target)
    return target


def file_at(revision: str, name: str, folder: Path) -> str:
    """A file of the repository around `folder` at a revision, by its path from the top.

    Empty where there was none. Raises InputErrors when there is no such revision.
    """
    if not _git(folder, "ls-tree", "--full-tree", "--name-only", revision, name):
        return ""
    return _git(folder, "show", "--end-of-options", f"{revision}:{name}").decode(errors="replace")


def file_now(name: str, folder: Path) -> str:
    """The same file as it stands in the work tree."""
    path = top_of(folder) / name
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
