"""A change of the program itself: which files, what it does to every region, what the base says.

The base's own program reviews it (stacks.reviewing.by_base): it renders both sides, has the work
tree's program render both too, and judges by its own rules and waivers what that renders; so no
change weakens the rules, or the review, that it is judged by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from components.kube import Object
from components.parts import parts
from model_specs.catalogue_files import project_root
from policies.facts import facts_of
from policies.resources import Resource
from policies.waivers import Waiver, Waivers
from stacks.compare import Key
from stacks.diff import grouped
from stacks.history import changed_files, linked
from stacks.other_program import Refused, of_row, refusals, refused_of_row
from stacks.policy import RegionFindings, recorded_like, rendered_of
from stacks.reviewing.asking import OWN, Answered, answer_of
from stacks.reviewing.sides import Sides
from stacks.reviewing.steps import DELETE, REPLACE, STATEFUL, UPDATE, Step, step_of
from stacks.tree import Tree

IN_PLACE, RESTARTS, REPLACES, LOSES = "in place", "restart", "replace", "loss"
CLASSES: Final = (IN_PLACE, RESTARTS, REPLACES, LOSES)
"""What an upgrade of the program does to an object, the gravest last."""
_DATA: Final = (
    "model_specs/*/*.yaml", "regions/*.yaml", "tests/*", "*.md", "LICENSE", "*/schema.json",
    "*/p*.schema.json",
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
    ("*.gitignore", "which files a review on this machine sees"),
    ("*", "how it is built, tested and owned"),
)
_NO_OBJECTS: Final = (
    ".github/*", ".ci/*", ".gitignore", "CODEOWNERS", "Makefile", "policies/waivers.yaml",
    "regions/sandbox/*",
)  # fmt: skip
"""Programs that make and judge no object, and write no review."""
_CATALOGUE: Final = "model_specs/catalogue/"
OTHER_PROGRAM: Final = "stacks.other_program"
BASE, WORK = "base", "work"
_TEMPLATES: Final = ("spec.template", "spec.jobTemplate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Whose program reviews: the base's, or that which is installed, with the reason why."""

    top: Path
    """The top of the repository under review."""
    base: Path | None
    """All that the base held, where its program is this one."""
    changed: tuple[str, ...]
    """Every file that the change reaches."""
    files: tuple[tuple[str, str], ...]
    """Those of the program, each with what it decides."""
    reason: str = "the base's program was not asked"
    """Why it is not, where a change of the program would need it."""
    answered: Answered | None = None
    """What the work tree's program was asked elsewhere, where so: it is not run here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What the change of the program alone does to one object of the base's specs."""

    step: Step
    kind: str
    """One of CLASSES."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The change of the program. `not_run` says why it is not known what it does, where so."""

    files: tuple[tuple[str, str], ...]
    """Path, and what it decides."""
    upgrades: tuple[Upgrade, ...]
    refused: tuple[Refused, ...]
    """What the rules of either side refuse of what the work tree's program renders."""
    not_run: str
    is_asked: bool
    """Whether the change reaches what makes or judges objects, or the review itself."""
    waivers: tuple[Waiver, ...]
    """Exceptions that the base does not have: they do not count yet."""
    is_by_base: bool
    """Whether the base's program is the one that reviews."""
    reads_more: bool
    """Whether the work tree's program reads what the base's refuses."""


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _is_data(path: str) -> bool:
    # `*` also takes slashes, and a spec lies exactly one folder deep.
    deep = path.startswith(("model_specs/", "regions/")) and path.endswith((".yaml", ".json"))
    depth = {"model_specs": 2, "regions": 1}.get(path.partition("/")[0], 0)
    if deep and path.count("/") > depth:
        return False
    return _matches(path, _DATA)


def program_files(paths: Iterable[str], linked: Iterable[str] = ()) -> tuple[tuple[str, str], ...]:
    """Those of the paths that are program, each with what it decides.

    What lies where a link leads (`linked`) is, wherever that is: it may be read by another name.
    """
    targets = tuple(linked)
    return tuple(
        (path, next(what for pattern, what in _PROGRAM if fnmatchcase(path, pattern)))
        for path in sorted(paths)
        if not _is_data(path) or _is_behind(path, targets)
    )


def _is_behind(path: str, targets: Iterable[str]) -> bool:
    """Whether a link leads to the path, or to a folder around it; `.` is around all."""
    return any(to == "." or path == to or path.startswith(f"{to}/") for to in targets)


def makes_objects(files: Iterable[tuple[str, str]]) -> bool:
    """Whether some of the program's files make or judge objects, or the review itself."""
    return not all(_matches(path, _NO_OBJECTS) for path, _ in files)


def judge_of(
    revision: str, specs: Path, base: Path | None = None, answered: Answered | None = None
) -> Judge:
    """This program as the judge, and what changes; `base` is all that the base held, where it is
    the base's. Raises InputErrors when there is no such revision."""
    top, changed = changed_files(revision, specs)
    files = program_files(changed, linked(top))
    return Judge(top=top, base=base, changed=changed, files=files, answered=answered)


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


def _wanted(sides: Sides, regions: Path) -> set[str]:
    """The regions that the work tree has."""
    tree = sides.work.tree
    return {*tree.profiles} if tree else {path.stem for path in regions.glob("*.yaml")}


def _question(
    sides: Sides, places: tuple[Path, Path], top: Path, base: Path, at: datetime
) -> dict[str, Any]:
    """What the work tree's program is asked (stacks.other_program), of both sides' directories."""
    asked = {}
    wanted = _wanted(sides, places[1])
    for side, names, root in ((BASE, sides.base.plans, base), (WORK, wanted, top)):
        specs, regions = (str(root / place.resolve().relative_to(top)) for place in places)
        asked[side] = {"specs": specs, "regions": regions, "wanted": sorted(names)}
    return {
        "at": at.isoformat(),
        "root": str(project_root()),
        "sides": asked,
        "judged": WORK,
        "waivers": str(OWN / "policies" / "waivers.yaml"),
    }


def asked(
    sides: Sides, places: tuple[Path, Path], at: datetime, judge: Judge, base: Path
) -> Answered:
    """What the work tree's program answers. It may do whatever a process may: leave others
    running, too, where it is not run in a place of its own."""
    own = project_root()
    question = _question(sides, places, judge.top, base, at)
    return answer_of(own, "the work tree's", OTHER_PROGRAM, question, own, ("PATH",))


def _made_here(
    sides: Sides, regions: Iterable[str], judged: Mapping[str, RegionFindings]
) -> dict[str, list[Resource]]:
    """What the program that runs makes of the base's plans."""
    made = {}
    for region in regions:
        plan, work = sides.base.plans[region], sides.work.plans.get(region)
        known = judged[region].recorded if work else []
        made[region] = [*recorded_like(plan, work, known), *rendered_of(parts(plan))]
    return made


def _refused(
    tree: Tree,
    regions: Path,
    made: Mapping[str, Iterable[Resource]],
    waivers: Waivers,
    today: date,
) -> Iterator[Refused]:
    """What the rules of the program that runs refuse of what the work tree's program makes."""
    for region, found in made.items():
        facts = facts_of(tree.specs, tree.profiles[region], regions, region, today)
        yield from refusals(found, facts, waivers)


def _rows(said: Mapping[str, Any], side: str, known: Iterable[str]) -> dict[str, list[Resource]]:
    """What was answered of a side, for the regions that are known here."""
    rendered = said.get("rendered", {}).get(side, {})
    return {region: [*map(of_row, rendered[region])] for region in known if region in rendered}


def _unknown(said: Mapping[str, Any], sides: Sides) -> str:
    """Why it is not known what the work tree's program does, where it answered."""
    unread = [line for lines in said["unread"].values() for line in lines]
    told = said["rendered"]
    lacking = sorted(
        {*sides.work.plans} - {*told.get(WORK, ())} | {*sides.base.plans} - {*told.get(BASE, ())}
    )
    if sides.work.errors and not unread:
        return f"the work tree's program reads what the base's refuses, {sides.work.errors[0]}"
    if lacking and not unread:
        return f"the work tree's program does not render {', '.join(lacking)}"
    return "; ".join(unread[:3])


def _before(
    sides: Sides,
    question: Mapping[str, Any],
    after: Iterable[str],
    judged: Mapping[str, RegionFindings],
    files: Iterable[tuple[str, str]],
) -> tuple[dict[str, list[Resource]], str]:
    """What the program that runs makes of the base's specs, or why that is not known.

    Rows of the project's catalogue are read once a process, over those of the program: where they
    change, the base's alone are read in a process of their own.
    """
    if not any(path.startswith(_CATALOGUE) for path, _ in files):
        return _made_here(sides, after, judged), ""
    mine = {**question, "sides": {BASE: question["sides"][BASE]}, "judged": ""}
    said, not_run = answer_of(OWN, "the base's", OTHER_PROGRAM, mine, OWN, ("PATH",))
    return _rows(said, BASE, after), not_run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the work tree's program makes of either side, and refuses; empty where `not_run`."""

    base: Mapping[str, list[Resource]]
    work: Mapping[str, list[Resource]]
    refused: tuple[Refused, ...]
    reads_more: bool
    not_run: str


def _no_answer(why: str) -> _Answer:
    return _Answer(base={}, work={}, refused=(), reads_more=False, not_run=why)


def _understood(said: Mapping[str, Any], sides: Sides, regions: Path) -> _Answer:
    """An answer, which another program wrote: anything may stand in it."""
    try:
        work = _rows(said, WORK, _wanted(sides, regions))
        return _Answer(
            base=_rows(said, BASE, sides.base.plans),
            work={region: made for region, made in work.items() if region in sides.work.plans},
            refused=tuple(map(refused_of_row, said["refused"])),
            # Else it may only say so, of specs that are wrong.
            reads_more=bool(sides.work.errors) and {*work} == _wanted(sides, regions),
            not_run=_unknown(said, sides),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return _no_answer("the work tree's program answers in a form that this one does not read")


def program(
    sides: Sides,
    places: tuple[Path, Path],
    judged: Mapping[str, RegionFindings],
    at: datetime,
    waivers: Waivers,
    judge: Judge,
) -> Program:
    """What changes of the program. `places` are the directories of specs and profiles, `judged`
    what was found of the work tree's, `judge` whose program this is."""
    files = judge.files
    is_asked, answer = makes_objects(files), _no_answer("")
    before: Mapping[str, list[Resource]] = {}
    not_known = ""
    if is_asked and judge.base is None:
        answer = _no_answer(judge.reason)
    elif is_asked and judge.base is not None:
        question = _question(sides, places, judge.top, judge.base, at)
        said, why = judge.answered or asked(sides, places, at, judge, judge.base)
        answer = _no_answer(why) if why else _understood(said, sides, places[1])
        before, not_known = _before(sides, question, answer.base, judged, files)
    tree = sides.work.tree
    refused = [*_refused(tree, places[1], answer.work, waivers, at.date())] if tree else []
    return Program(
        files=files,
        upgrades=tuple(_upgrades(before, {region: answer.base[region] for region in before})),
        refused=tuple(dict.fromkeys((*refused, *answer.refused))),
        not_run=answer.not_run or not_known,
        is_asked=is_asked,
        waivers=waivers.new,
        is_by_base=judge.base is not None,
        reads_more=answer.reads_more,
    )
