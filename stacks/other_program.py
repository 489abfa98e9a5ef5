"""What the program of this tree makes and says, told to the program of another tree.

`python -m stacks.other_program` reads a question from stdin and writes the answer to stdout, both
JSON. A review asks the base's program so: in a process of its own, without credentials, it renders
the base's specs, and judges by the base's rules and waivers what the other program rendered.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from model_specs.errors import SpecErrors
from policies.catalogue import RULES
from policies.facts import facts_of
from policies.judge import judge
from policies.resources import Resource
from policies.waivers import read_waivers
from stacks.policy import resources, waivers_file
from stacks.tree import read_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One finding of the other program's rules; `text` says place, rule and what is wrong."""

    region: str
    rule: str
    resource: str
    text: str


def to_row(resource: Resource) -> dict[str, Any]:
    """A resource as JSON."""
    return {
        "type": resource.type,
        "name": resource.name,
        "values": dict(resource.values),
        "protected": resource.protected,
        "provider": resource.provider,
        "options": dict(resource.options),
    }


def of_row(row: dict[str, Any]) -> Resource:
    """The resource that `to_row` wrote."""
    return Resource(**row)


def _rendered(
    specs: Path, regions: Path, wanted: list[str], at: datetime, root: Path
) -> dict[str, list[dict[str, Any]]]:
    known = [region for region in wanted if (regions / f"{region}.yaml").is_file()]
    tree = read_tree(specs, regions, known).wanted_at(at) if known else None
    plans = tree.plans() if tree else []
    return {plan.region: [*map(to_row, resources(plan, root))] for plan in plans}


def _refused(
    specs: Path, regions: Path, found: dict[str, list[dict[str, Any]]], at: datetime
) -> Iterable[Refused]:
    """What this tree's rules say of resources that were made of other specs and profiles."""
    tree = read_tree(specs, regions, list(found)).wanted_at(at)
    waivers = read_waivers(waivers_file())
    for region, rows in found.items():
        facts = facts_of(tree.specs, tree.profiles[region], regions, region, at.date())
        for finding in judge([*map(of_row, rows)], facts, RULES, waivers).findings:
            yield Refused(
                region=region,
                rule=finding.rule,
                resource=finding.resource,
                text=str(finding.place),
            )


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question; what cannot be read or planned is told in `unread`."""
    at = datetime.fromisoformat(question["at"])
    unread: list[str] = []
    rendered: dict[str, list[dict[str, Any]]] = {}
    refused: list[Refused] = []
    ours, theirs = question["rendered"], question["judged"]
    try:
        rendered = _rendered(
            Path(ours["specs"]), Path(ours["regions"]), ours["wanted"], at, Path(question["root"])
        )
    except SpecErrors as errors:
        unread += [str(error) for error in errors.errors]
    try:
        found = theirs["resources"]
        refused = [*_refused(Path(theirs["specs"]), Path(theirs["regions"]), found, at)]
    except SpecErrors as errors:
        unread += [str(error) for error in errors.errors]
    return {
        "rendered": rendered,
        "refused": [asdict(one) for one in refused],
        "unread": unread,
    }


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
