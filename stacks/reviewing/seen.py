"""Everything a review sees of a change, before anybody says what to think of it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from components.parts import Part, parts
from model_specs.errors import SpecError, SpecErrors
from policies.waivers import read_waivers
from stacks import parity
from stacks.outcome import InputErrors
from stacks.parity import Difference
from stacks.policy import Judgement, judged, waivers_file
from stacks.preview_gate import Asked, Refusal, refusals
from stacks.reviewing import effects, room, wishes
from stacks.reviewing.effects import Effects
from stacks.reviewing.node_changes import NodeChange, node_changes
from stacks.reviewing.previews import Preview, read_preview
from stacks.reviewing.room import Row
from stacks.reviewing.side_by_side import side_by_side
from stacks.reviewing.sides import Side, Sides, unexpired
from stacks.reviewing.sizes import Use, uses
from stacks.reviewing.steps import DELETE, REPLACE, Step, steps
from stacks.reviewing.transitions import Finding, all_transitions
from stacks.reviewing.waves import Waves, waves
from stacks.reviewing.wishes import Wish


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


def _uses(side: Side) -> dict[str, list[Use]]:
    if side.tree is None:
        return {}
    profiles = side.tree.profiles
    return {region: list(uses(plan, profiles[region])) for region, plan in side.plans.items()}


def _judgement(
    work: Side, rendered: Mapping[str, list[Part]], regions: Path, today: date, whole: bool
) -> tuple[Judgement | None, tuple[SpecError, ...]]:
    """What the rules say of the regions that have a plan."""
    if work.tree is None or not work.plans:
        return None, ()
    parted = ((plan, rendered[region]) for region, plan in work.plans.items())
    try:
        waivers = read_waivers(waivers_file())
        return judged(work.tree, parted, regions, waivers, today, whole_tree=whole), ()
    except InputErrors:
        raise
    except SpecErrors as refused:
        return None, refused.errors


def _parity(renderings: list[parity.Rendering]) -> Parity | None:
    if not renderings:
        return None
    declared, undeclared = parity.compare(renderings)
    return Parity(
        objects=max(len(one.objects) for one in renderings),
        regions=len(renderings),
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


def see(args: Namespace, sides: Sides, regions: Path, at: datetime) -> Seen:
    """Compare the sides in every way, and read the previews."""
    work, tree = sides.work, sides.work.tree
    profiles = tree.profiles if tree else {}
    rendered = {region: [*parts(plan)] for region, plan in work.plans.items()}
    renderings = [
        parity.rendering(plan, profiles[r], rendered[r]) for r, plan in work.plans.items()
    ]
    found = steps(sides, rendered)
    # A preview shows what time takes away, too; whoever wrote the ttl has asked for that.
    passed = steps(unexpired(sides), rendered) if args.preview else []
    whole = not args.region and set(work.plans) == set(profiles)
    judgement, faults = _judgement(work, rendered, regions, at.date(), whole)
    before, after = _uses(sides.base), _uses(work)
    nodes = node_changes(sides, found)
    return Seen(
        revision=args.base,
        at=at,
        sides=sides,
        errors=tuple(sorted({*work.errors, *faults})),
        steps=found,
        before=before,
        after=after,
        room=room.rows(sides, before, after),
        models=wishes.models(sides) if tree else [],
        projects=wishes.projects(sides) if tree else [],
        regions=wishes.regions(sides) if tree else [],
        nodes=nodes,
        effects=effects.effects(sides, found, nodes),
        waves=waves(args.base, regions),
        transitions=[*all_transitions(sides, found), *side_by_side(sides)],
        judgement=judgement,
        parity=_parity(renderings),
        previews=_previews(args.preview, [*found, *passed]),
    )
