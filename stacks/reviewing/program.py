"""A change of the program itself: which files, what it does to every region, what the base says.

The base's own program renders the base's specs, and judges by its rules and waivers what the work
tree's program renders; so no change weakens the rules that it is judged by.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from components.kube import Object
from components.parts import Part, parts
from policies.resources import Resource
from policies.waivers import Waiver
from stacks.compare import Key
from stacks.diff import grouped
from stacks.history import changed_files, unpacked
from stacks.other_program import Refused, of_row, to_row
from stacks.places import project_root
from stacks.policy import RegionFindings, recorded_like, rendered_of
from stacks.reviewing.sides import Sides
from stacks.reviewing.steps import DELETE, REPLACE, STATEFUL, UPDATE, Step, step_of

IN_PLACE, RESTARTS, REPLACES, LOSES = "in place", "restart", "replace", "loss"
CLASSES: Final = (IN_PLACE, RESTARTS, REPLACES, LOSES)
"""What an upgrade of the program does to an object, the gravest last."""
_DATA: Final = (
    "model_specs/*/*.yaml", "regions/*.yaml", "tests/*", "*.md", "LICENSE", "*/schema.json",
    "*/p*.schema.json", ".gitignore",
)  # fmt: skip
"""What is no program: specs, profiles, tests and pages. All else is, whatever it is called."""
_PROGRAM: Final[tuple[tuple[str, str], ...]] = (
    ("policies/waivers.yaml", "which findings are excepted"),
    ("policies/*", "what is refused"),
    ("components/*", "what is rendered"),
    ("regions/sandbox/*", "what the sandbox imitates"),
    ("regions/*", "what is planned"),
    ("model_specs/catalogue/*", "which images and machines models run on, and how"),
    ("model_specs/*", "what a spec may say"),
    ("stacks/*", "what the commands and `up` do"),
    ("requirements*", "the packages that all of it runs with"),
    (".github/*", "how a change is judged and rolled out"),
    ("*", "how it is built, tested and owned"),
)
_NO_OBJECTS: Final = (
    ".github/*", ".ci/*", "CODEOWNERS", "Makefile", "policies/waivers.yaml", "regions/sandbox/*",
)  # fmt: skip
"""Programs that make and judge no object."""
_PACKAGES: Final = "requirements.txt"
_LIMIT_SECONDS: Final = 900
_TEMPLATES: Final = ("spec.template", "spec.jobTemplate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What the change of the program alone does to one object of the base's specs."""

    step: Step
    kind: str
    """One of CLASSES."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The change of the program. `not_run` says why the base's could not be asked, where so."""

    files: tuple[tuple[str, str], ...]
    """Path, and what it decides."""
    upgrades: tuple[Upgrade, ...]
    refused: tuple[Refused, ...]
    """What the base's rules refuse of what the work tree's program renders."""
    not_run: str
    is_asked: bool
    """Whether the change reaches what makes or judges objects, so that the base's was asked."""
    waivers: tuple[Waiver, ...]
    """Exceptions that the base does not have: they do not count yet."""


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _is_data(path: str) -> bool:
    # `*` also takes slashes, and a spec lies exactly one folder deep.
    deep = path.startswith(("model_specs/", "regions/")) and path.endswith((".yaml", ".json"))
    depth = {"model_specs": 2, "regions": 1}.get(path.partition("/")[0], 0)
    if deep and path.count("/") > depth:
        return False
    return _matches(path, _DATA)


def program_files(paths: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Those of the paths that are program, each with what it decides."""
    return tuple(
        (path, next(what for pattern, what in _PROGRAM if fnmatchcase(path, pattern)))
        for path in sorted(paths)
        if not _is_data(path)
    )


def _packages(tree: Path) -> bytes:
    path = tree / _PACKAGES
    return path.read_bytes() if path.is_file() else b""


def _asked(tree: Path, question: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The answer of a tree's own program, or why there is none. It is given no credentials."""
    if not (tree / "stacks" / "other_program.py").is_file():
        return {}, "the base's program cannot be asked: it has no stacks/other_program.py"
    if _packages(tree) != _packages(Path(__file__).resolve().parents[2]):
        return {}, f"{_PACKAGES} changes, and the base's packages are not installed here"
    # -P and PYTHONPATH: its own packages, whatever else is installed.
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "stacks.other_program"],
            cwd=tree,
            env=environment,
            input=json.dumps(question).encode(),
            capture_output=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}, f"the base's program did not end within {_LIMIT_SECONDS} s"
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return {}, f"the base's program failed: {said[-1] if said else done.returncode}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found, "; ".join(found["unread"][:3])


def _object(resource: Resource) -> Object:
    """A resource in the shape of an object, so that two can be compared."""
    if resource.is_object:
        return dict(resource.values)
    kind = resource.type.rpartition(":")[2]
    name = {"metadata": {"name": resource.name}}
    return {"apiVersion": resource.type, "kind": kind, **name, "spec": dict(resource.values)}


def _keyed(found: Iterable[Resource]) -> dict[Key, Object]:
    objects: dict[Key, Object] = {}
    for one in found:
        made = _object(one)
        key = Key(one.model, "", one.project, made["kind"], one.namespace, made["metadata"]["name"])
        objects[key] = made
    return objects


def _class(step: Step) -> str:
    gone = step.operation in (DELETE, REPLACE)
    if gone and step.key.kind in STATEFUL:
        return LOSES
    if step.operation == REPLACE:
        return REPLACES
    pods = any(change.path.startswith(_TEMPLATES) for change in step.changes)
    return RESTARTS if step.operation == UPDATE and pods else IN_PLACE


def _upgrades(
    before: Mapping[str, list[Resource]], after: Mapping[str, list[Resource]]
) -> Iterator[Upgrade]:
    pairs = ((region, _keyed(before[region]), _keyed(after[region])) for region in sorted(before))
    for edit in grouped(pairs):
        step = step_of(edit)
        yield Upgrade(step=step, kind=_class(step))


def _question(
    sides: Sides,
    places: tuple[Path, Path],
    theirs: tuple[Path, Path],
    made: Mapping[str, list[Resource]],
    at: datetime,
) -> dict[str, Any]:
    """What the base's program is asked (stacks.other_program): directories of both sides."""
    specs, regions = places
    return {
        "at": at.isoformat(),
        "root": str(project_root()),
        "rendered": {
            "specs": str(theirs[0]),
            "regions": str(theirs[1]),
            "wanted": sorted(sides.base.plans),
        },
        "judged": {
            "specs": str(specs.resolve()),
            "regions": str(regions.resolve()),
            "resources": {region: [*map(to_row, found)] for region, found in made.items()},
        },
    }


def _rendered_here(
    sides: Sides, region: str, judged: Mapping[str, RegionFindings]
) -> list[Resource]:
    """What the work tree's program makes of the base's plan of a region."""
    plan, work = sides.base.plans[region], sides.work.plans.get(region)
    known = judged[region].recorded if work else []
    own = recorded_like(plan, work, known)
    return [*own, *rendered_of(parts(plan))]


def program(
    revision: str,
    sides: Sides,
    places: tuple[Path, Path],
    rendered: Mapping[str, Sequence[Part]],
    judged: Mapping[str, RegionFindings],
    at: datetime,
    scratch: Path,
    waivers: tuple[Waiver, ...],
) -> Program:
    """What changes of the program. `places` are the directories of specs and profiles, `rendered`
    the work tree's Kubernetes parts by region, `judged` what was found of it, `waivers` those that
    the base does not have.

    Raises InputErrors when there is no such revision.
    """
    top, changed = changed_files(revision, places[0])
    files = program_files(changed)
    if all(_matches(path, _NO_OBJECTS) for path, _ in files) or not sides.compared:
        return Program(
            files=files, upgrades=(), refused=(), not_run="", is_asked=False, waivers=waivers
        )
    tree = unpacked(revision, places[0], scratch / "program")
    made = {
        region: [*judged[region].recorded, *rendered_of(rendered[region])]
        for region in sides.work.plans
    }
    specs, regions = (tree / place.resolve().relative_to(top) for place in places)
    said, not_run = _asked(tree, _question(sides, places, (specs, regions), made, at))
    before = {region: [*map(of_row, rows)] for region, rows in said.get("rendered", {}).items()}
    after = {region: _rendered_here(sides, region, judged) for region in before}
    return Program(
        files=files,
        upgrades=tuple(_upgrades(before, after)),
        refused=tuple(Refused(**row) for row in said.get("refused", ())),
        not_run=not_run,
        is_asked=True,
        waivers=waivers,
    )
