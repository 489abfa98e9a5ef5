"""Judges what every region would have by the rules of policies/, without engine or cluster."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from components.ownership import left_alone, targeted
from components.parts import Part, facts, parts
from model_specs.catalogue_files import project_root
from model_specs.errors import SpecError
from policies.catalogue import RULES
from policies.facts import facts_of
from policies.judge import Finding, Verdict, excepted, findings_of
from policies.resources import Resource, of_object
from policies.waivers import Waivers, read_waivers
from regions.plan import RegionPlan
from stacks.beside import shared
from stacks.outcome import FINDINGS, OK, Outcome, count, error_lines, error_rows
from stacks.places import directories
from stacks.tree import Tree, moment_of, read_tree

_BESIDE_FROM: Final = 300
"""Models by regions, from which on a second process saves more than it costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the rules say of all regions that were asked for, and what is wrong with exceptions."""

    resources: int
    verdicts: dict[str, Verdict]
    faults: tuple[SpecError, ...]
    unneeded: tuple[SpecError, ...]
    """Exceptions that nothing needs yet, or any more: told, for a change may be on its way that
    does; an exception counts only once it stands in the base."""

    @property
    def findings(self) -> list[Finding]:
        """Every finding no exception covers, by place."""
        return sorted(f for verdict in self.verdicts.values() for f in verdict.findings)

    @property
    def blocks(self) -> bool:
        """Whether nothing may reach a region."""
        return bool(self.faults) or any(verdict.blocks for verdict in self.verdicts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionFindings:
    """What the rules say of one region, whatever is excepted; `recorded` are the region's
    providers and AWS resources."""

    resources: int
    said: list[Finding]
    recorded: list[Resource]


def without_models(plan: RegionPlan) -> RegionPlan:
    """A plan with all that its providers and AWS resources follow from, and no more."""
    return replace(facts(plan), pools=plan.pools, gateways=(), expired=())


def recorded_of(plan: RegionPlan, root: Path) -> list[Resource]:
    """A region's providers and AWS resources; `root` is the project's."""
    # It loads the engine's packages, which takes longer than all else: only who judges pays.
    from stacks.recorded import recorded

    return recorded(without_models(plan), root)


def load(plans: Iterable[RegionPlan]) -> None:
    """Load the engine's packages once for all processes that judge these plans."""
    from stacks import recorded

    recorded.load(plans)


def recorded_like(
    plan: RegionPlan, other: RegionPlan | None, recorded: list[Resource]
) -> list[Resource]:
    """The same as `recorded_of`, taken from what was `recorded` of another plan where the two are
    alike in all that it follows from. Texts are compared because == takes true for 1."""
    if other is not None and repr(without_models(plan)) == repr(without_models(other)):
        return recorded
    return recorded_of(plan, project_root())


def resources(plan: RegionPlan, root: Path) -> list[Resource]:
    """Everything `up` would make of a region, as rules see it; `root` is the project's."""
    return [*recorded_of(plan, root), *rendered_of(parts(plan))]


def rendered_of(rendered: Iterable[Part]) -> list[Resource]:
    """Kubernetes parts as rules see them."""
    objects = [made for part in rendered for made in part.objects]
    scaled = targeted(objects)
    return [of_object(made, "cluster", left_alone(made, scaled)) for made in objects]


def region_findings(
    tree: Tree, plan: RegionPlan, rendered: Iterable[Part], regions: Path, today: date
) -> RegionFindings:
    """Judge one plan of `tree` with its parts; `regions` is the directory of its profiles."""
    known = facts_of(tree.specs, tree.profiles[plan.region], regions, plan.region, today)
    recorded = recorded_of(plan, project_root())
    found = [*recorded, *rendered_of(rendered)]
    said = findings_of(found, known, RULES)
    return RegionFindings(resources=len(found), said=said, recorded=recorded)


def pays_beside(tree: Tree, regions: int) -> bool:
    """Whether a second process saves more time than it costs where regions are judged."""
    cores, models = len(os.sched_getaffinity(0)), len(tree.specs.models)
    return regions > 1 and cores > 1 and models * regions >= _BESIDE_FROM


def judgement(
    found: Mapping[str, RegionFindings],
    waivers: Waivers,
    today: date,
    *,
    whole_tree: bool,
) -> Judgement:
    """What is found in regions under the exceptions.

    Only with the whole tree is it known which exceptions nothing needs.
    """
    verdicts = {region: excepted(one.said, waivers, today) for region, one in found.items()}
    faults = waivers.faults((rule.name for rule in RULES), today)
    used = [row for one in verdicts.values() for _, row in one.waived]
    return Judgement(
        resources=sum(one.resources for one in found.values()),
        verdicts=verdicts,
        faults=tuple(sorted(faults)),
        unneeded=tuple(sorted(waivers.unused(used))) if whole_tree else (),
    )


def waivers_file() -> Path:
    """Where the exceptions stand."""
    return project_root() / "policies" / "waivers.yaml"


def _lines(found: Judgement) -> Iterator[str]:
    """Regions that say the same share a line."""
    regions: dict[SpecError, list[str]] = {}
    for finding in found.findings:
        regions.setdefault(finding.place, []).append(finding.region)
    for place, names in regions.items():
        yield f"{place}  ({', '.join(names)})\n"
    for verdict in found.verdicts.values():
        for finding, waiver in verdict.waived:
            said = f"{finding.region}: {finding.rule} {finding.resource}"
            yield f"waived  {said}, until {waiver.expires} by {waiver.owner}: {waiver.reason}\n"
    yield from error_lines(found.faults) if found.faults else ()
    yield from (f"note  {unneeded}\n" for unneeded in found.unneeded)
    yield (
        f"policy: {count(len(RULES), 'rule')}, {found.resources} resources in "
        f"{count(len(found.verdicts), 'region')}, {count(len(found.findings), 'finding')}\n"
    )


def _plain(finding: Finding) -> dict[str, Any]:
    row = asdict(finding)
    place: dict[str, Any] = row.pop("place")
    return place | row


def run(args: Namespace) -> Outcome:
    """Judge and tell."""
    specs, regions = directories(args)
    at = moment_of(args)
    tree, today = read_tree(specs, regions, args.region).wanted_at(at), at.date()
    waivers = read_waivers(waivers_file())
    plans = {plan.region: plan for plan in tree.plans()}

    def judged(region: str) -> RegionFindings:
        return region_findings(tree, plans[region], parts(plans[region]), regions, today)

    load(plans.values())
    with shared([*plans], judged, beside=pays_beside(tree, len(plans))) as work:
        found = judgement(work.results(), waivers, today, whole_tree=not args.region)
    waived = [(f, w) for verdict in found.verdicts.values() for f, w in verdict.waived]
    data = {
        "rules": len(RULES),
        "resources": found.resources,
        "regions": list(found.verdicts),
        "findings": [_plain(finding) for finding in found.findings],
        "waived": [_plain(f) | {"waiver": w.model_dump(mode="json")} for f, w in waived],
        "waivers": error_rows(found.faults),
        "unneeded": error_rows(found.unneeded),
    }
    return Outcome(data=data, text=_lines(found), code=FINDINGS if found.blocks else OK)
