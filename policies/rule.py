"""What a rule is: a function over plain resources that yields what is wrong and what to change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar

from policies.facts import Facts
from policies.resources import Resource

FoundT = TypeVar("FoundT")
MANDATORY, ADVISORY = "mandatory", "advisory"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a resource.

    `what` is the fact, `fix` what to change in the spec, `field` the path of that field in the
    spec, project or profile that the resource belongs to (empty: the file as a whole).
    """

    resource: Resource
    what: str
    fix: str
    field: str


@dataclass(frozen=True)
class Estate:
    """Everything one region would have, for rules about how things stand to each other."""

    resources: Sequence[Resource]
    facts: Facts

    @cached_property
    def _by_kind(self) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for resource in self.resources:
            found.setdefault(resource.kind, []).append(resource)
        return found

    @cached_property
    def _found(self) -> dict[Callable[[Estate], Any], Any]:
        return {}

    def once(self, find: Callable[[Estate], FoundT]) -> FoundT:
        """What `find` finds in it, looked for once for all rules; none of them may change it."""
        if find not in self._found:
            self._found[find] = find(self)
        found: FoundT = self._found[find]
        return found

    def of(self, *kinds: str) -> list[Resource]:
        """The resources of these kinds (see Resource.kind), in order."""
        return [resource for kind in kinds for resource in self._by_kind.get(kind, ())]


One = Callable[[Resource, Facts], Iterable[Fault]]
Whole = Callable[[Estate], Iterable[Fault]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `row` is its row of the catalogue (`P02`), `name` is unique.

    A rule with `kinds` judges each resource of these kinds by itself; one without judges the
    estate. `text` is the docstring of its function: what people read about it.
    """

    row: str
    name: str
    level: str
    kinds: frozenset[str]
    text: str
    judge: One
    judge_whole: Whole

    @property
    def is_whole(self) -> bool:
        """Whether it judges everything together."""
        return not self.kinds


def _text(judge: One | Whole) -> str:
    return " ".join((judge.__doc__ or "").split())


def _no_one(resource: Resource, facts: Facts) -> Iterable[Fault]:
    return ()


def _no_whole(estate: Estate) -> Iterable[Fault]:
    return ()


def each(row: str, name: str, *kinds: str) -> Callable[[One], Rule]:
    """Make a function the mandatory rule for every resource of these kinds (Resource.kind)."""
    return lambda judge: Rule(
        row, name, MANDATORY, frozenset(kinds), _text(judge), judge, _no_whole
    )


def whole(row: str, name: str) -> Callable[[Whole], Rule]:
    """Make a function a mandatory rule about everything a region would have."""
    return lambda judge: Rule(row, name, MANDATORY, frozenset(), _text(judge), _no_one, judge)


WORKLOADS: Final = ("CronJob", "DaemonSet", "Deployment", "Job", "Pod", "StatefulSet")
"""Kinds that hold a pod (see policies.pods)."""
