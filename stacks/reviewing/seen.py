"""Everything a review sees of a change, before anybody says what to think of it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from pathlib import Path

from components.parts import Part, parts
from model_specs.catalogue_files import project_root
from model_specs.errors import SpecError, SpecErrors
from model_specs.source import Source
from policies.waivers import Waivers, read_waivers
from regions.plan import RegionPlan
from stacks import parity
from stacks.beside import Shared, shared
from stacks.history import file_at, top_of
from stacks.outcome import InputErrors
from stacks.parity import Compared, Difference, Rendering
from stacks.policy import (
    Judgement,
    RegionFindings,
    judgement,
    load,
    pays_beside,
    region_findings,
    waivers_file,
)
from stacks.preview_gate import Asked, Refusal, refusals
from stacks.reviewing import effects, room, wishes
from stacks.reviewing.effects import Effects
from stacks.reviewing.node_changes import NodeChange, node_changes
from stacks.reviewing.previews import Preview, read_preview
from stacks.reviewing.program import Judge, Program, program
from stacks.reviewing.room import Row
from stacks.reviewing.side_by_side import side_by_side
from stacks.reviewing.sides import Side, Sides, unexpired
from stacks.reviewing.sizes import Use, uses
from stacks.reviewing.steps import DELETE, REPLACE, Step, steps
from stacks.reviewing.transitions import Finding, all_transitions
from stacks.reviewing.waves import Waves, waves
from stacks.reviewing.wishes import Wish
from stacks.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """What `isoserve parity` found."""

    objects: int
    regions: int
    declared: int
    undeclared: list[Difference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """One preview and what the gate refuses of it."""

    preview: Preview
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A change. `errors` are the work tree's, `judgement` and `parity` None where they hide all."""

    revision: str
    at: datetime
    sides: Sides
    errors: tuple[SpecError, ...]
    steps: list[Step]
    before: dict[str, list[Use]]
    after: dict[str, list[Use]]
    room: list[Row]
    models: list[Wish]
    projects: list[Wish]
    regions: list[Wish]
    nodes: list[NodeChange]
    effects: list[Effects]
    waves: Waves
    transitions: list[Finding]
    judgement: Judgement | None
    parity: Parity | None
    previews: list[Previewed]
    program: Program

    @property
    def today(self) -> date:
        """The day of judgement."""
        return self.at.date()

    @property
    def renamed(self) -> dict[str, str]:
        """New ids of renamed models by the old ones."""
        return {wish.was: wish.id for wish in self.models if wish.was}

    @property
    def reached(self) -> frozenset[str]:
        """Models to which something happens, or would; a renamed one is one."""
        renamed = self.renamed
        touched = {renamed.get(row.model, row.model) for row in self.effects}
        return frozenset(touched | {wish.id for wish in self.models})


Question = tuple[str, str]
"""What is asked of a region that is planned, and its name."""
Answer = RegionFindings | Compared
_RULES, _PARITY = "rules", "parity"


def _uses(side: Side) -> dict[str, list[Use]]:
    if side.tree is None:
        return {}
    profiles = side.tree.profiles
    return {region: list(uses(plan, profiles[region])) for region, plan in side.plans.items()}


def _waivers(revision: str, regions: Path, scratch: Path) -> Waivers:
    """The exceptions, of which those that a revision does not have are new.

    Raises SpecErrors where they are refused.
    """
    # The path as it is written: what a link leads to may have come in as no exception at all.
    path, top = project_root().resolve() / "policies" / waivers_file().name, top_of(regions)
    found = read_waivers(path)
    if not path.is_relative_to(top):  # they are not what is under review
        return found
    before = scratch / path.name
    before.write_text(file_at(revision, path.relative_to(top).as_posix(), regions))
    with suppress(SpecErrors):
        known = read_waivers(before).rows
        return replace(found, new=tuple(row for row in found.rows if row not in known))
    return replace(found, new=found.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What the rules say, where the exceptions can be read, and which of them are new."""

    judgement: Judgement | None
    faults: tuple[SpecError, ...]
    waivers: Waivers


def _judgement(
    args: Namespace,
    work: Side,
    found: Mapping[str, RegionFindings],
    regions: Path,
    today: date,
    scratch: Path,
) -> _Said:
    """What the rules say of the regions that have a plan."""
    try:
        waivers = _waivers(args.base, regions, scratch)
        if work.tree is None or not found:
            return _Said(judgement=None, faults=(), waivers=waivers)
        whole = not args.region and set(work.plans) == set(work.tree.profiles)
        said = judgement(found, waivers, today, whole_tree=whole)
        return _Said(judgement=said, faults=(), waivers=waivers)
    except InputErrors:
        raise
    except SpecErrors as refused:
        none = Waivers(Source(waivers_file().name), ())
        return _Said(judgement=None, faults=refused.errors, waivers=none)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What is made of the work tree alone, while the base is still unread.

    `places` are the directories of its specs and profiles, `answers` what rules and parity say,
    where a region is planned.
    """

    places: tuple[Path, Path]
    answers: Shared[Question, Answer] | None


def _answers(
    tree: Tree, plans: Mapping[str, RegionPlan], regions: Path, today: date
) -> Callable[[Question], Answer]:
    """What answers a question about a region of a tree."""
    load(plans.values())
    reference = parity.in_order(plans.values())[0]

    @cache
    def rendered(region: str) -> list[Part]:
        return [*parts(plans[region])]

    @cache
    def rendering(region: str) -> Rendering:
        return parity.rendering(plans[region], tree.profiles[region], rendered(region))

    def answer(question: Question) -> Answer:
        what, region = question
        if what == _PARITY:
            return parity.compared(rendering(reference), rendering(region))
        return region_findings(tree, plans[region], rendered(region), regions, today)

    return answer


@contextmanager
def made(work: Side, places: tuple[Path, Path], today: date) -> Iterator[Made]:
    """Begin to judge the work tree, which takes longest of all. Where there are two processes, each
    renders what it needs, and once."""
    plans, tree = work.plans, work.tree
    if tree is None or not plans:
        yield Made(places=places, answers=None)
        return
    answer = _answers(tree, plans, places[1], today)
    # The short ones where the processes meet, so that neither waits long for the other.
    judged = [(_RULES, region) for region in plans]
    alike = [(_PARITY, region) for region in parity.in_order(plans.values())]
    half = (len(plans) + 1) // 2
    questions = [*judged[:half], *alike, *judged[half:]]
    with shared(questions, answer, beside=pays_beside(tree, len(plans))) as answers:
        yield Made(places=places, answers=answers)


def _parity(found: Mapping[str, Compared]) -> Parity | None:
    if not found:
        return None
    declared, undeclared = parity.differences(found)
    return Parity(
        objects=max(one.objects for one in found.values()),
        regions=len(found),
        declared=declared,
        undeclared=undeclared,
    )


def asked(found: Iterable[Step], region: str) -> Asked:
    """What the specs ask to delete or to replace in a region, as the engine names it."""
    return frozenset(
        (step.operation, key.kind, f"{key.namespace}/{key.name}".lstrip("/"))
        for step in found
        for key in (step.key,)
        if region in step.regions and step.operation in (DELETE, REPLACE)
    )


def _previews(paths: Iterable[Path], found: list[Step]) -> list[Previewed]:
    rows = []
    for preview in map(read_preview, paths):
        refused = tuple(refusals(preview.steps, asked(found, preview.region)))
        rows.append(Previewed(preview=preview, refusals=refused))
    return sorted(rows, key=lambda row: (row.preview.region, row.preview.file, row.refusals))


def _by_region(made: Made) -> tuple[dict[str, RegionFindings], dict[str, Compared]]:
    """What the rules found, and how far the objects are alike, by region."""
    answers = made.answers.results() if made.answers else {}
    findings = {r: one for (_, r), one in answers.items() if isinstance(one, RegionFindings)}
    compared = {r: one for (_, r), one in answers.items() if isinstance(one, Compared)}
    return findings, compared


def see(
    args: Namespace, sides: Sides, made: Made, at: datetime, scratch: Path, judge: Judge
) -> Seen:
    """Compare the sides in every way, and read the previews.

    `scratch` is a directory for files of the base, `judge` whose program this is.
    """
    regions, work, tree = made.places[1], sides.work, sides.work.tree
    found = steps(sides)
    # A preview shows what time takes away, too; whoever wrote the ttl has asked for that.
    passed = steps(unexpired(sides)) if args.preview else []
    before, after = _uses(sides.base), _uses(work)
    nodes = node_changes(sides, found)
    effected = effects.effects(sides, found, nodes)
    on_the_way = [*all_transitions(sides, found), *side_by_side(sides)]
    findings, compared = _by_region(made)
    said = _judgement(args, work, findings, regions, at.date(), scratch)
    change = program(sides, made.places, findings, at, said.waivers, judge)
    return Seen(
        revision=args.base,
        at=at,
        sides=sides,
        errors=tuple(sorted({*(() if change.reads_more else work.errors), *said.faults})),
        steps=found,
        before=before,
        after=after,
        room=room.rows(sides, before, after),
        models=wishes.models(sides) if tree else [],
        projects=wishes.projects(sides) if tree else [],
        regions=wishes.regions(sides) if tree else [],
        nodes=nodes,
        effects=effected,
        waves=waves(args.base, regions),
        transitions=on_the_way,
        judgement=said.judgement,
        parity=_parity(compared),
        previews=_previews(args.preview, [*found, *passed]),
        program=change,
    )
