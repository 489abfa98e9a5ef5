"""Which regions a deployment brings out one after another, read from its workflow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import yaml

from stacks.history import file_at, file_now

WORKFLOW: Final = ".github/workflows/deploy.yml"
_GOES_ON: Final = re.compile(r"always\s*\(|failure\s*\(|cancelled\s*\(")
"""A job with such a condition runs although a job that it needs has failed. Source:
docs.github.com/actions: "Evaluate expressions", status check functions."""


@dataclass(frozen=True, slots=True)
class Order:
    """The waves of one revision: by region, those that must serve before it begins."""

    before: dict[str, frozenset[str]]

    def staggers(self, regions: Iterable[str]) -> bool:
        """Whether some of `regions` begin only when others of them serve."""
        return any(
            one in self.before.get(other, ()) or other in self.before.get(one, ())
            for one, other in combinations(sorted(regions), 2)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """The waves in force, and those that the change leaves."""

    base: Order
    work: Order


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _regions(job: dict[Any, Any]) -> frozenset[str]:
    """The regions that a job hands to wave.yml."""
    try:
        named = json.loads(str(_mapping(job.get("with")).get("regions", "[]")))
    except ValueError:
        return frozenset()
    return frozenset(map(str, named)) if isinstance(named, list) else frozenset()


def _needed(jobs: dict[Any, Any], name: str, seen: frozenset[str]) -> frozenset[str]:
    """The jobs without whose success a job does not run."""
    job = _mapping(jobs.get(name))
    if name in seen or _GOES_ON.search(str(job.get("if", ""))):
        return frozenset()
    wanted = job.get("needs", [])
    direct = frozenset([wanted] if isinstance(wanted, str) else map(str, wanted or ()))
    return direct.union(*(_needed(jobs, one, seen | {name}) for one in direct))


def order(text: str) -> Order:
    """The waves of a workflow; none where there is no such file or nobody can read it."""
    try:
        jobs = _mapping(_mapping(yaml.safe_load(text)).get("jobs"))
    except (yaml.YAMLError, RecursionError):
        return Order({})
    before: dict[str, frozenset[str]] = {}
    for name in jobs:
        earlier = _needed(jobs, str(name), frozenset())
        served = frozenset[str]().union(*(_regions(_mapping(jobs.get(one))) for one in earlier))
        before |= {region: served for region in _regions(_mapping(jobs[name]))}
    return Order(before)


def waves(revision: str, folder: Path) -> Waves:
    """The waves at `revision` and in the work tree of the repository around `folder`."""
    return Waves(
        base=order(file_at(revision, WORKFLOW, folder)), work=order(file_now(WORKFLOW, folder))
    )
