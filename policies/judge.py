"""Applies rules to resources. It fails closed: what cannot be judged is a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from model_specs.errors import SpecError
from policies.facts import Facts
from policies.resources import NotKnown, Resource
from policies.rule import MANDATORY, Estate, Fault, Rule
from policies.waivers import Waiver, Waivers


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A fault with the line of the spec that would mend it."""

    place: SpecError
    region: str
    row: str
    rule: str
    level: str
    resource: str

    def __str__(self) -> str:
        return str(self.place)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judgement found, and which findings an exception covers."""

    findings: tuple[Finding, ...]
    waived: tuple[tuple[Finding, Waiver], ...]

    @property
    def blocks(self) -> bool:
        """Whether something mandatory was found."""
        return any(finding.level == MANDATORY for finding in self.findings)


def _finding(rule: Rule, fault: Fault, level: str, facts: Facts) -> Finding:
    name = str(fault.resource)
    message = f"{rule.name}: {name} {fault.what}; {fault.fix}"
    place = facts.place(fault.resource, fault.field, rule.row, message)
    return Finding(place, facts.region, rule.row, rule.name, level, name)


def _guarded(
    rule: Rule,
    run: Callable[..., Iterable[Fault]],
    about: tuple[object, ...],
    subject: Resource,
    facts: Facts,
    said: list[Finding],
) -> None:
    """Add the rule's findings; that it could not finish is one, and never an advisory one."""
    try:
        for fault in run(*about):
            said.append(_finding(rule, fault, rule.level, facts))
    except NotKnown as why:
        what, fix = f"cannot be judged: {why}", "make the value known in the plan"
        said.append(_unjudged(rule, Fault(subject, what, fix, ""), facts))
    except Exception as error:
        what = f"cannot be judged: the rule failed with {type(error).__name__}: {error}"
        said.append(_unjudged(rule, Fault(subject, what, "mend the object or the rule", ""), facts))


def _unjudged(rule: Rule, fault: Fault, facts: Facts) -> Finding:
    """That a rule could not finish, said of a thing whose own name may not be known yet."""
    try:
        return _finding(rule, fault, MANDATORY, facts)
    except NotKnown:
        bare = replace(fault.resource, values={})
        return _finding(rule, replace(fault, resource=bare), MANDATORY, facts)


_EVERYTHING = Resource(type="region", name="", values={}, protected=False, provider="")
"""What a rule about everything is said of when it fails."""


def judge_one(resource: Resource, facts: Facts, rules: Iterable[Rule]) -> list[Finding]:
    """What the rules for single resources say of one."""
    said: list[Finding] = []
    about = (resource, facts)
    for rule in rules:
        if resource.kind in rule.kinds:
            _guarded(rule, rule.judge, about, resource, facts, said)
    return said


def judge_whole(
    resources: Sequence[Resource], facts: Facts, rules: Iterable[Rule]
) -> list[Finding]:
    """What the rules about everything say."""
    said: list[Finding] = []
    about = (Estate(resources, facts),)
    for rule in rules:
        if rule.is_whole:
            _guarded(rule, rule.judge_whole, about, _EVERYTHING, facts, said)
    return said


def findings_of(
    resources: Sequence[Resource], facts: Facts, rules: Sequence[Rule]
) -> list[Finding]:
    """Everything the rules say of one region, sorted by place, whatever is excepted."""
    by_kind = {kind: [r for r in rules if kind in r.kinds] for kind in {r.kind for r in resources}}
    said: list[Finding] = []
    for resource in resources:
        said += judge_one(resource, facts, by_kind[resource.kind])
    said += judge_whole(resources, facts, rules)
    return sorted(set(said))


def excepted(said: Iterable[Finding], waivers: Waivers, today: date) -> Verdict:
    """What findings come to under the exceptions that are in force on a day."""
    findings: list[Finding] = []
    waived: list[tuple[Finding, Waiver]] = []
    for finding in said:
        row = waivers.holds(finding.rule, finding.resource, today)
        if row is None:
            findings.append(finding)
        else:
            waived.append((finding, row))
    return Verdict(tuple(findings), tuple(waived))


def judge(
    resources: Sequence[Resource], facts: Facts, rules: Sequence[Rule], waivers: Waivers
) -> Verdict:
    """Everything the rules say of one region, sorted by place."""
    return excepted(findings_of(resources, facts, rules), waivers, facts.today)
