"""The good corpus that rules judge: every example in every region, and what changes it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from typing import Any, Final

from model_specs.load import Specs
from model_specs.source import read
from policies.facts import Facts, facts_of
from policies.judge import Finding, judge
from policies.resources import Resource, of_object
from policies.rule import Rule
from policies.waivers import Waivers
from stacks.policy import resources
from tests.examples import ROOT, plan_of, profiles, specs

TODAY: Final = date(2026, 11, 22)
NO_WAIVERS: Final = Waivers(read(ROOT / "policies" / "waivers.yaml", "policies/waivers.yaml"), ())
REGION: Final = "sandbox-aws"
"""Where nothing is lacking, so that every kind of thing is rendered."""


@cache
def good(region: str) -> tuple[Resource, ...]:
    """Everything the examples would have in a region."""
    return tuple(resources(plan_of(region), ROOT))


def facts(region: str = REGION, wished: Specs | None = None) -> Facts:
    """What a region's rules know; `wished` in place of the examples' own specs."""
    return facts_of(wished or specs(), profiles()[region], ROOT / "regions", region, TODAY)


def named(label: str, region: str = REGION) -> Resource:
    """One good resource by its label, e.g. `Deployment search/embedder`."""
    (found,) = [resource for resource in good(region) if str(resource) == label]
    return found


def changed(resource: Resource, change: Callable[[Any], object]) -> Resource:
    """The resource after `change` was done to a copy of its values."""
    values: dict[str, Any] = copy.deepcopy(dict(resource.values))
    change(values)
    return Resource(resource.type, resource.name, values, resource.protected, resource.provider)


def added(made: Mapping[str, Any]) -> Resource:
    """An object nobody planned, such as a hand-written route."""
    return of_object(made, "cluster")


def said(
    rule: Rule,
    *others: Resource,
    without: str = "",
    region: str = REGION,
    wished: Specs | None = None,
) -> list[Finding]:
    """What a rule says of the good corpus after `others` took the place of their namesakes.

    A resource that has no namesake is added; the one labelled `without` is left out.
    """
    taken = {str(other): other for other in others}
    estate = [taken.pop(str(one), one) for one in good(region) if str(one) != without]
    estate += taken.values()
    found = judge(estate, facts(region, wished), (rule,), NO_WAIVERS)
    return list(found.findings)
