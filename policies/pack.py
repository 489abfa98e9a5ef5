"""Turns what the engine shows a policy into resources, and keeps them until all can be judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from model_specs.errors import SpecErrors
from model_specs.names import ADDONS_STACK
from policies.catalogue import RULES
from policies.facts import Facts, read_facts
from policies.judge import Finding, judge_one, judge_whole
from policies.legal.options import IGNORED
from policies.resources import NotKnown, Resource, Unknown
from policies.waivers import Waivers, read_waivers

_DEFAULTS: Final = "__defaults"
BRIDGED: Final = ("aws:", "pulumi:providers:aws")
"""How the types of the one bridged provider in use begin, and its own."""


def plain(value: Any, not_known: type[Exception], path: str, *, is_bridged: bool) -> Any:
    """The engine's values as plain ones.

    A mapping or list raises `not_known` for what only exists later: that becomes an Unknown. The
    protocol carries whole numbers as floats. What a bridged provider filled in by itself, as its
    `__defaults` says (pulumi-terraform-bridge, pkg/tfbridge/schema.go), nobody asked for. Where no
    bridge writes it (`is_bridged`), a program may have, to hide a field: there it is a field.
    """
    down = partial(_item, value, not_known=not_known, is_bridged=is_bridged)
    if isinstance(value, Mapping):
        filled = {_DEFAULTS, *value.get(_DEFAULTS, ())} if is_bridged else set()
        return {key: down(key, path=f"{path}.{key}") for key in value if key not in filled}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [down(at, path=f"{path}[{at}]") for at in range(len(value))]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _item(holder: Any, key: Any, *, not_known: type[Exception], path: str, is_bridged: bool) -> Any:
    try:
        return plain(holder[key], not_known, path, is_bridged=is_bridged)
    except not_known:
        return Unknown(path.lstrip("."))


def region_of(urn: str) -> str:
    """The stack in `urn:pulumi:STACK::PROJECT::...`, which is the region."""
    return urn.removeprefix("urn:pulumi:").partition("::")[0]


Inputs = Mapping[str, Any]
"""What a resource was last registered with, as the stack's state has it."""
_PODS: Final = "spec.template"
_NUMBERS: Final = frozenset({"scalingConfig.desiredSize", "spec.replicas"})
_CLOSED: Final = "P37"
"""The row of the rules by which every field and option is legal by name."""


class StateNotRead(Exception):
    """The state of a stack could not be read, for the reason that it says."""


def _at(values: Any, path: str) -> Any:
    for step in path.split("."):
        values = values.get(step) if isinstance(values, Mapping) else None
    return values


def _fits(path: str, value: Any, was: Any) -> bool:
    """Whether a value may be of an earlier `up`, or of a refresh: pods are those of the state, a
    number is one, and a size is a size."""
    if path == _PODS:
        return bool(value == was)
    if path in _NUMBERS:
        return type(value) is int and value >= 0
    return isinstance(value, Mapping) and value.keys() == (was or {}).keys()


def with_kept(resource: Resource, before: Inputs) -> Resource:
    """The resource, knowing at which paths it is as an earlier `up` made it, or as a refresh of
    this run found it. `before` is empty for one that is not in the state, and it is judged whole.

    At the paths of `ignoreChanges` the engine shows rules what it has of the resource already, in
    the place of the program's (processIgnoreChanges in pkg/resource/deploy/step_generator.go of
    v3.272.0). One that a refresh did not find is new again all the same, with the program's:
    numbers and sizes are little harm then, pods must be those of the state.
    """
    ignored = (resource.options.get(IGNORED) or ()) if before else ()
    try:
        kept = {
            path for path in ignored if _fits(path, _at(resource.values, path), _at(before, path))
        }
    except NotKnown:
        return resource
    return replace(resource, kept=frozenset(kept))


class Court:
    """Judges one region's resources one by one as they come, then all together.

    `root` is the tree whose specs, profile and exceptions count, `at` the moment of judgement.
    `state` reads the inputs in a stack's state by URN. It takes a second, so it is asked only of
    what would be refused.
    """

    def __init__(
        self, root: Path, at: datetime, state: Callable[[str], Mapping[str, Inputs]]
    ) -> None:
        self.root = root
        self.at, self.today = at, at.date()
        self._state = state
        self._before: Mapping[str, Inputs] | None = None
        self._seen: dict[str, Resource] = {}
        self._law: tuple[Facts, Waivers] | None = None

    def _read(self, region: str) -> tuple[Facts, Waivers]:
        if self._law is None:
            waivers = read_waivers(self.root / "policies" / "waivers.yaml")
            faults = waivers.faults((rule.name for rule in RULES), self.today)
            if faults:
                raise SpecErrors(faults)
            facts = read_facts(self.root / "model_specs", self.root / "regions", region, self.at)
            self._law = facts, waivers
        return self._law

    def _said(self, region: str, findings: Callable[[Facts], Iterable[Finding]]) -> Iterator[str]:
        """What no exception covers; that the law itself cannot be read is a finding."""
        try:
            facts, waivers = self._read(region)
        except SpecErrors as errors:
            yield str(errors)
            return
        for finding in findings(facts):
            if waivers.holds(finding.rule, finding.resource, self.today) is None:
                yield str(finding)

    def one(self, urn: str, resource: Resource) -> Iterator[str]:
        """What is wrong with one resource. It is remembered for `whole`."""
        if region_of(urn).endswith(ADDONS_STACK):
            yield f"the rules judge regions; run {region_of(urn)} without --policy-pack"
            return
        said = self._judged(urn, resource)
        if said and resource.options.get(IGNORED):
            try:
                resource = with_kept(resource, self._inputs(urn))
                said = self._judged(urn, resource)
            except StateNotRead as why:
                said.append(f"nothing of it is known to be of an earlier `up`: {why}")
        yield from said

    def _inputs(self, urn: str) -> Inputs:
        if self._before is None:
            self._before = self._state(region_of(urn))
        return self._before.get(urn, {})

    def _judged(self, urn: str, resource: Resource) -> list[str]:
        self._seen[urn] = resource
        # Pods of an earlier `up` were judged by what was asked for then.
        rules = [row for row in RULES if row.row == _CLOSED] if _PODS in resource.kept else RULES
        return [*self._said(region_of(urn), lambda facts: judge_one(resource, facts, rules))]

    def whole(self) -> Iterator[str]:
        """What is wrong with all of them together.

        They are judged by their inputs: outputs are unknown when a region is first previewed.
        """
        if not self._seen:
            yield "nothing was seen, so nothing can be judged"
            return
        region = region_of(next(iter(self._seen)))
        everything = list(self._seen.values())
        yield from self._said(region, lambda facts: judge_whole(everything, facts, RULES))
