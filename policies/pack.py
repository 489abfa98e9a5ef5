"""Turns what the engine shows a policy into resources, and keeps them until all can be judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from model_specs.errors import SpecErrors
from policies.catalogue import RULES
from policies.facts import Facts, read_facts
from policies.judge import Finding, judge_one, judge_whole
from policies.resources import Resource, Unknown
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


class Court:
    """Judges one region's resources one by one as they come, then all together.

    `root` is the tree whose specs, profile and exceptions count, `at` the moment of judgement.
    """

    def __init__(self, root: Path, at: datetime) -> None:
        self.root = root
        self.at, self.today = at, at.date()
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
        """What is wrong with one resource. It is kept for `whole`."""
        self._seen[urn] = resource
        yield from self._said(region_of(urn), lambda facts: judge_one(resource, facts, RULES))

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
