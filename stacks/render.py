"""Writes the objects of every region as YAML, one file a model, and touches only what changed."""

from __future__ import annotations

import os
import signal
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from components.kube import Object
from components.parts import Part, parts
from model_specs.errors import SpecError, SpecErrors
from model_specs.names import LABEL_PROJECT
from regions.plan import RegionPlan
from regions.resolve import resolve
from stacks.emit import document
from stacks.outcome import OK, Outcome, refusal
from stacks.tree import Tree, moment_of, tree_of

MARK: Final = "# Written by isoserve from the spec, and removed with it; change the spec instead.\n"
"""The first line of our files: what has another first line is a stranger's and stays."""
_MARK_BYTES: Final = MARK.encode()
_POOL_FROM_FILES: Final = 300  # below this a second process takes longer to start than it saves


@dataclass(slots=True)
class Written:
    """Files by what became of them, as paths below the output directory."""

    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def add(self, other: Written) -> None:
        """Take over what another process did."""
        self.written += other.written
        self.unchanged += other.unchanged
        self.removed += other.removed


def _project_of(made: Object) -> str:
    return str(made["metadata"]["labels"].get(LABEL_PROJECT, ""))


def home(part: Part) -> str:
    """The file of a part below its region: the model's, the project's or the region's own."""
    if part.model:
        return f"{part.model}.yaml"
    projects = {_project_of(made) for made in part.objects}
    only = projects.pop() if len(projects) == 1 else ""
    return f"{only}/_project.yaml" if only else "_region.yaml"


def texts(plan: RegionPlan) -> Iterator[tuple[str, str]]:
    """The files of a region: path below the region's directory, and text."""
    documents: dict[str, list[str]] = {}
    for part in parts(plan):
        pieces = documents.setdefault(home(part), [])
        for made in part.objects:
            pieces += ("---\n", document(made))
    for path in list(documents):
        yield path, "".join(documents.pop(path))


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MARK_BYTES)) == _MARK_BYTES


def _write(path: Path, text: str, temporary: Path) -> bool:
    """Put `text` into `path` in one step; False when it is there already."""
    wanted = _MARK_BYTES + text.encode()
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        if found == wanted:
            return False
        if not found.startswith(_MARK_BYTES):
            message = "not written by isoserve; move it away or choose another directory"
            raise refusal(str(path), "E108", message)
    temporary.write_bytes(wanted)
    temporary.replace(path)
    return True


def _remove_others(output: Path, region: str, kept: set[str]) -> Iterator[str]:
    """Remove files of ours whose models are gone, and directories that this empties."""
    root = output / region
    for path in sorted([*root.glob("*.yaml"), *root.glob("*/*.yaml")]):
        name = path.relative_to(root).as_posix()
        if name not in kept and path.is_file() and _is_ours(path):
            path.unlink()
            yield f"{region}/{name}"
            for folder in (path.parent, root):
                if not any(folder.iterdir()):
                    folder.rmdir()


def write_region(plan: RegionPlan, output: Path) -> Written:
    """Bring one region's files up to date."""
    done = Written()
    temporary = output / f".isoserve-{os.getpid()}.tmp"
    kept: set[str] = set()
    try:
        for name, text in texts(plan):
            changed = _write(output / plan.region / name, text, temporary)
            (done.written if changed else done.unchanged).append(f"{plan.region}/{name}")
            kept.add(name)
    finally:
        temporary.unlink(missing_ok=True)
    done.removed += _remove_others(output, plan.region, kept)
    return done


# What a forked process finds in its memory: a tree of a thousand models is dear to send, and as
# plans of all regions it would be held by every process.
_inherited: list[Tree] = []


def _plan(region: str) -> RegionPlan:
    tree = _inherited[0]
    return resolve(tree.specs, tree.profiles[region], region)


def _errors(region: str) -> tuple[SpecError, ...]:
    try:
        _plan(region)
    except SpecErrors as refused:
        return refused.errors
    return ()


def _write_region(region: str, output: Path) -> Written:
    return write_region(_plan(region), output)


def _each(work: Callable[..., Iterable[Any]], regions: list[str], output: Path) -> Written:
    """All regions by `work`, which is `map` or a pool's; nothing while something is wrong."""
    errors = [error for found in work(_errors, regions) for error in found]
    if errors:
        raise SpecErrors(errors)
    done = Written()
    for result in work(_write_region, regions, [output] * len(regions)):
        done.add(result)
    return done


def write(tree: Tree, output: Path) -> Written:
    """Bring the files of all regions up to date, on every core where that is quicker."""
    output.mkdir(parents=True, exist_ok=True)
    _inherited[:] = [tree]
    regions = list(tree.profiles)
    processes = min(os.cpu_count() or 1, len(regions))
    if processes < 2 or len(tree.specs.models) * len(regions) < _POOL_FROM_FILES:
        return _each(map, regions, output)
    # A small tree needs neither, and they take longer to import than it takes to write.
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # An interrupt reaches every process; only this one may speak about it.
    quiet = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(processes, get_context("fork"), signal.signal, quiet) as pool:
        return _each(pool.map, regions, output)


def _remove_regions(output: Path, known: Iterable[str]) -> Iterator[str]:
    """Remove our files of regions that have no profile any more."""
    for folder in sorted(output.iterdir()):
        if folder.is_dir() and folder.name not in known:
            yield from _remove_others(output, folder.name, set())


def _stream(plans: Iterable[RegionPlan]) -> Iterator[str]:
    for plan in plans:
        for name, text in texts(plan):
            yield f"# {plan.region}/{name}\n{text}"


def _objects(plans: Iterable[RegionPlan]) -> dict[str, list[dict[str, Any]]]:
    return {
        plan.region: [
            {"noun": p.noun, "name": p.name, "model": p.model, "objects": p.objects}
            for p in parts(plan)
        ]
        for plan in plans
    }


def run(args: Namespace) -> Outcome:
    """Render to files or to standard output."""
    tree = tree_of(args, moment_of(args))
    if args.output is None:
        plans = tree.plans()
        data = _objects(plans) if args.json else {}
        return Outcome(data=data, text=_stream(plans), code=OK)
    done = write(tree, args.output)
    if not args.region:
        done.removed += _remove_regions(args.output, tree.profiles)
    numbers = {"written": done.written, "unchanged": done.unchanged, "removed": done.removed}
    text = ", ".join(f"{len(paths)} {what}" for what, paths in numbers.items())
    return Outcome(data=numbers, text=[f"{text}\n"], code=OK)
