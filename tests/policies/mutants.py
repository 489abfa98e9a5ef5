"""Every good resource with one leaf removed or changed, one field added, or itself gone or doubled.

Of the resources of all regions one stands for all of its shape: its kind and the paths of its
fields, whatever their values and however long its lists are. What the fields of a JSON document in
a string hold is mutated too; a Grafana dashboard is one leaf. So is every option of the engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from policies.catalogue import RULES
from policies.facts import Facts
from policies.judge import judge_one, judge_whole
from policies.resources import Resource
from stacks.recorded import OPTIONS
from tests.examples import profiles
from tests.policies.estate import facts, good

REMOVED, CHANGED, ADDED = "removed", "changed", "added"
Steps = tuple[str | int, ...]
_WHOLE: Final = tuple(rule for rule in RULES if rule.is_whole)
_DOCUMENT: Final = "!"
"""The step from a string into the JSON document that it holds."""
_SIBLING: Final = "sibling"


@dataclass(frozen=True)
class Mutant:
    """A good resource after one change: `how` something was done at `steps`."""

    region: str
    of: Resource
    steps: Steps
    how: str
    after: Resource | None
    """None where the resource itself is gone."""

    @property
    def kind_of_change(self) -> str:
        """What tables of mutants are keyed by: `Service spec.ports[].port changed`."""
        path = "".join("[]" if isinstance(step, int) else f".{step}" for step in self.steps)
        return f"{self.of.kind} {path.lstrip('.') or '.'} {self.how}"


def _document(value: Any) -> Any:
    """The JSON document in a string, None where there is none or it is a dashboard."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return None if "panels" in found else found


def _paths(value: Any, steps: Steps = ()) -> Iterator[Steps]:
    """Where the leaves are, list positions left out: what two resources of one shape share."""
    document = _document(value)
    if isinstance(value, dict) and value:
        for key in value:
            yield from _paths(value[key], (*steps, key))
    elif isinstance(value, list) and value:
        for item in value:
            yield from _paths(item, (*steps, 0))
    elif document is not None:
        yield from _paths(document, (*steps, _DOCUMENT))
    else:
        yield steps


def _other(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return str(int(value) + 1) if value.isdigit() else f"{value}x"
    return {_SIBLING: "x"} if isinstance(value, dict) else [_SIBLING]


def _another(item: Any) -> Any:
    """An item like this one that is not it: its name or its first leaf is another."""
    if not isinstance(item, dict) or not item:
        return _other(item)
    key = "name" if "name" in item else next(iter(item))
    inner = item[key]
    if isinstance(inner, list) and inner:
        return {**item, key: [_another(inner[0])]}
    return {**item, key: _another(inner)}


Change = tuple[Steps, str, Any]
"""Where, how, and the whole value after it."""


def mutated(value: Any, steps: Steps) -> Iterator[Change]:
    """Everything that one change makes of a value."""
    document = _document(value)
    if document is not None:
        for where, how, after in mutated(document, (*steps, _DOCUMENT)):
            yield where, how, json.dumps(after)
    elif isinstance(value, dict) and value:
        yield from _of_block(value, steps)
    elif isinstance(value, list) and value:
        yield from _of_list(value, steps)
    else:
        yield steps, CHANGED, _other(value)


def _of_block(value: dict[str, Any], steps: Steps) -> Iterator[Change]:
    yield steps, ADDED, {**value, _SIBLING: "x"}
    for key, inner in value.items():
        yield (*steps, key), REMOVED, {k: v for k, v in value.items() if k != key}
        for where, how, after in mutated(inner, (*steps, key)):
            yield where, how, {**value, key: after}


def _of_list(value: list[Any], steps: Steps) -> Iterator[Change]:
    yield steps, ADDED, [*value, _another(value[0])]
    for at, inner in enumerate(value):
        yield (*steps, at), REMOVED, [*value[:at], *value[at + 1 :]]
        for where, how, after in mutated(inner, (*steps, at)):
            yield where, how, [*value[:at], after, *value[at + 1 :]]


@cache
def representatives() -> tuple[tuple[str, Resource], ...]:
    """A region and a resource for each shape that the examples have."""
    found: dict[tuple[str, frozenset[Steps]], tuple[str, Resource]] = {}
    for region in profiles():
        for resource in good(region):
            shape = resource.kind, frozenset(_paths(dict(resource.values)))
            found.setdefault(shape, (region, resource))
    return tuple(found.values())


def mutants() -> Iterator[Mutant]:
    """All of them, resource by resource."""
    for region, of in representatives():
        yield Mutant(region, of, (), REMOVED, None)
        for steps, how, values in mutated(dict(of.values), ()):
            yield Mutant(region, of, steps, how, _retyped(replace(of, values=values)))
        for name, how, after in _registered_otherwise(of):
            yield Mutant(region, of, (f"options.{name}",), how, after)


def _registered_otherwise(of: Resource) -> Iterator[tuple[str, str, Resource]]:
    """The resource with one option of the engine set, changed or left out: which, how, and it."""
    yield "protect", CHANGED, replace(of, protected=not of.protected)
    # The engine's own: what it keeps is custom, and offline nobody asks whether objects are.
    seen = {"custom": True, **of.options}
    for name in OPTIONS:
        value = seen.get(name)
        others = [(ADDED, True)] if value is None else [(CHANGED, _other(value)), (REMOVED, None)]
        for how, other in others:
            yield name, how, replace(of, options={**seen, name: other})


@cache
def _facts(region: str) -> Facts:
    return facts(region)


def _retyped(resource: Resource) -> Resource:
    """The resource with the type that its own kind says, as the engine would send it."""
    if not resource.is_object:
        return resource
    group = resource.type.rpartition(":")[0]
    return replace(resource, type=f"{group}:{resource.values.get('kind')}")


def refusing(mutant: Mutant) -> str:
    """The first rule that refuses a mutant; empty where none does."""
    known, others = _facts(mutant.region), good(mutant.region)
    after = mutant.after
    if after is None:
        region = tuple(one for one in others if one is not mutant.of)
    else:
        for finding in judge_one(after, known, RULES):
            return finding.rule
        region = tuple(after if one is mutant.of else one for one in others)
    return next((finding.rule for finding in judge_whole(region, known, _WHOLE)), "")
