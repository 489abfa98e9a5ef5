"""Good things with one field changed, and what a rule must say of each."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any, Final

from model_specs.load import Specs
from policies.judge import Finding
from policies.resources import Resource, Unknown
from policies.rule import Rule
from tests.examples import specs
from tests.policies.estate import REGION, changed, named, said

GONE: Final = object()
"""Stands for a field or an object that is not there."""
Failing = dict[str, Callable[[], list[Finding]]]
"""By a rule's name, a way to make it speak: what every test module of rules exports as FAILING."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """`of` is the good resource's label, `path` the field that becomes `value` (steps with spaces
    between, `spec template spec containers 0 image`); without a path the resource itself is gone.

    The rule must say `says` of `on`, at `field`, and nothing of anything or anywhere else; `times`
    because a field of a pod may be wrong for each of its containers.
    """

    rule: Rule
    of: str
    path: str = ""
    value: Any = GONE
    says: str
    field: str = ""
    on: str = ""
    times: int = 1
    region: str = REGION

    def __str__(self) -> str:
        value = "gone" if self.value is GONE else self.value
        return f"{self.rule.name}: {self.of} {self.path} {value}"

    def found(self) -> list[Finding]:
        """What the rule says after the change."""
        if not self.path:
            return said(self.rule, without=self.of, region=self.region)
        return self.found_with(self.value)

    def found_with(self, value: Any) -> list[Finding]:
        """What the rule says when the field is `value`."""
        broken = changed(named(self.of, self.region), setting(self.path, value))
        return said(self.rule, broken, region=self.region)


def setting(path: str, value: Any) -> Callable[[Any], None]:
    """What sets one field of an object, making the blocks around it, or takes it away.

    `policy! Statement` leads into a JSON document in a string.
    """
    outer, is_document, inner = path.partition("! ")
    if is_document:
        return _in_document(outer, setting(inner, value))

    def change(values: Any) -> None:
        *steps, last = _steps(path)
        for step in steps:
            # A block that two places share, as containers do theirs, is changed in one of them.
            inner = values.get(step, {}) if isinstance(step, str) else values[step]
            values[step] = copy.copy(inner)
            values = values[step]
        if value is GONE:
            del values[last]
        elif isinstance(values, list) and last == len(values):
            values.append(value)
        else:
            values[last] = value

    return change


def _steps(path: str) -> list[str | int]:
    return [int(word) if word.isdigit() else word for word in path.split()]


def _in_document(path: str, change: Callable[[Any], None]) -> Callable[[Any], None]:
    def rewrite(values: Any) -> None:
        document = json.loads(reduce(getitem, _steps(path), values))
        change(document)
        setting(path, json.dumps(document))(values)

    return rewrite


def check(case: Case) -> None:
    """The rule says exactly what the case expects."""
    findings = case.found()
    assert len(findings) == case.times, list(map(str, findings))
    for finding in findings:
        assert finding.resource == (case.on or case.of)
        assert finding.place.path == case.field
        assert "cannot be judged" not in finding.place.message, "a person needs the fact"
    assert any(case.says in finding.place.message for finding in findings), list(map(str, findings))


def check_unknown(case: Case) -> None:
    """A value that is known only later never passes for a good one."""
    assert case.found_with(Unknown(case.path)), "an unknown value must not be taken for a good one"


def with_path(cases: Iterable[Case]) -> list[Case]:
    """The cases that change a field; each field once."""
    return list(
        {(case.rule.name, case.of, case.path): case for case in cases if case.path}.values()
    )


def failing(cases: Iterable[Case]) -> Failing:
    """A way to make each rule of `cases` speak."""
    return {case.rule.name: case.found for case in cases}


def respecified(name: str, **fields: Any) -> Specs:
    """The examples' specs with some fields of one model changed, as if its team had written so."""
    models = tuple(
        dataclasses.replace(model, spec=model.spec.model_copy(update=fields))
        if model.id == name
        else model
        for model in specs().models
    )
    assert any(model.id == name for model in models), f"no example is called {name}"
    return dataclasses.replace(specs(), models=models)


def renamed(resource: Resource, change: Callable[[Any], object], type_: str) -> Resource:
    """The resource after `change`, as a thing of another type."""
    return dataclasses.replace(changed(resource, change), type=type_)
