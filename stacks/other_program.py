"""What the program of this tree makes and says, told to the program of another tree.

`python -m stacks.other_program` reads a question from stdin and writes the answer to stdout, both
JSON. The base's program, which reviews, asks that of the work tree so: in a process of its own,
without credentials, it renders the specs of both sides, and says what its own rules refuse of the
work tree's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from model_specs.errors import SpecErrors
from policies.catalogue import RULES
from policies.facts import Facts, facts_of
from policies.judge import judge
from policies.resources import Resource
from policies.rule import MANDATORY
from policies.waivers import Waivers, read_waivers
from stacks.policy import resources
from stacks.tree import read_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One mandatory finding of some program's rules; `text` says place and what is wrong."""

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


_ROW: Final = {
    "type": str,
    "name": str,
    "values": dict,
    "protected": bool,
    "provider": str,
    "options": dict,
}
"""What a row has, and of which type."""


def of_row(row: dict[str, Any]) -> Resource:
    """The resource that `to_row` wrote. Raises ValueError for a row with other fields or types:
    whoever writes one must not say of it what only the engine knows, such as what `up` keeps."""
    if {key: type(value) for key, value in row.items()} != _ROW:
        raise ValueError("a row of another form")
    return Resource(**row)


def refused_of_row(row: dict[str, Any]) -> Refused:
    """The refusal that a row says. Raises ValueError where it says anything but text."""
    if not all(isinstance(value, str) for value in row.values()):
        raise ValueError("a refusal of another form")
    return Refused(**row)


def _answered(
    place: dict[str, Any], at: datetime, root: Path, judge_by: Waivers | None
) -> tuple[dict[str, list[dict[str, Any]]], list[Refused]]:
    """What this tree's program makes of specs and profiles, and what its own rules refuse of it."""
    specs, regions = Path(place["specs"]), Path(place["regions"])
    known = [region for region in place["wanted"] if (regions / f"{region}.yaml").is_file()]
    if not known:
        return {}, []
    tree = read_tree(specs, regions, known).wanted_at(at)
    rendered: dict[str, list[dict[str, Any]]] = {}
    found: list[Refused] = []
    for plan in tree.plans():
        made = resources(plan, root)
        rendered[plan.region] = [*map(to_row, made)]
        if judge_by is not None:
            facts = facts_of(
                tree.specs, tree.profiles[plan.region], regions, plan.region, at.date()
            )
            found += refusals(made, facts, judge_by)
    return rendered, found


def refusals(made: Iterable[Resource], facts: Facts, waivers: Waivers) -> list[Refused]:
    """What this tree's rules refuse of resources that any program made."""
    return [
        Refused(
            region=facts.region,
            rule=finding.rule,
            resource=finding.resource,
            text=str(finding.place),
        )
        for finding in judge([*made], facts, RULES, waivers).findings
        if finding.level == MANDATORY
    ]


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question; what cannot be read or planned is told in `unread`, by side."""
    at, root = datetime.fromisoformat(question["at"]), Path(question["root"])
    rendered: dict[str, dict[str, list[dict[str, Any]]]] = {}
    unread: dict[str, list[str]] = {}
    refused: list[Refused] = []
    for side, place in question["sides"].items():
        waivers = read_waivers(Path(question["waivers"])) if side == question["judged"] else None
        try:
            rendered[side], said = _answered(place, at, root, waivers)
            refused += said
        except SpecErrors as errors:
            unread[side] = [str(error) for error in errors.errors]
    return {
        "rendered": rendered,
        "refused": [asdict(one) for one in refused],
        "unread": unread,
    }


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
