"""Judges what every region would have by the rules of policies/, without engine or cluster."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from components.parts import Part, parts
from model_specs.errors import SpecError
from policies.catalogue import RULES
from policies.facts import facts_of
from policies.judge import Finding, Verdict, judge
from policies.resources import Resource, of_object
from policies.waivers import Waivers, read_waivers
from regions.plan import RegionPlan
from stacks.outcome import FINDINGS, OK, Outcome, count, error_lines, error_rows
from stacks.places import directories, project_root
from stacks.tree import Tree, moment_of, read_tree


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


def resources(
    plan: RegionPlan, root: Path, rendered: Iterable[Part] | None = None
) -> list[Resource]:
    """Everything `up` would make of a region, as rules see it.

    `root` is the project's, `rendered` are the plan's Kubernetes parts where they are known.
    """
    # It loads the engine's packages, which takes longer than all else: only who judges pays.
    from stacks.recorded import recorded

    known = parts(plan) if rendered is None else rendered
    objects = [of_object(made, "cluster") for part in known for made in part.objects]
    return [*recorded(plan, root), *objects]


def judged(
    tree: Tree,
    parted: Iterable[tuple[RegionPlan, Iterable[Part]]],
    regions: Path,
    waivers: Waivers,
    today: date,
    *,
    whole_tree: bool,
) -> Judgement:
    """Judge plans of `tree` with their parts; `regions` is the directory of its profiles.

    Only with the whole tree is it known which exceptions nothing needs.
    """
    verdicts: dict[str, Verdict] = {}
    number = 0
    for plan, rendered in parted:
        profile = tree.profiles[plan.region]
        facts = facts_of(tree.specs, profile, regions, plan.region, today)
        found = resources(plan, project_root(), rendered)
        number += len(found)
        verdicts[plan.region] = judge(found, facts, RULES, waivers)
    faults = waivers.faults((rule.name for rule in RULES), today)
    used = [row for one in verdicts.values() for _, row in one.waived]
    return Judgement(
        resources=number,
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
    parted = ((plan, parts(plan)) for plan in tree.plans())
    found = judged(tree, parted, regions, waivers, today, whole_tree=not args.region)
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
