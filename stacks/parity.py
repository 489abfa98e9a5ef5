"""Proves that all regions get the same objects, but for a place's own values and what is declared.

A value that comes from the profile may stand for the other region's value of the same name, in any
text; every other difference needs a row in `stacks.declared`.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from components.kube import Object
from components.parts import Part, parts
from regions.plan import RegionPlan
from regions.profile import RegionProfile
from stacks.compare import ABSENT, NAMES, Absent, Change, Key, changes, keyed, same, shown
from stacks.declared import declared
from stacks.outcome import FINDINGS, OK, Outcome
from stacks.tree import moment_of, tree_of

# What a place is called and where it is: these values of a profile may differ wherever they occur.
_PLACES: Final = (
    "region", "account", "agent_image", "cluster", "domain", "gateway_class", "grafana_url",
    "image_hosts", "machines", "partition", "prober_image", "prometheus_labels", "prometheus_url",
    "proxy_namespaces", "registry", "runbook_url", "scraper_namespace", "sign_in", "tls_issuer",
    "tls_secret", "zones",
)  # fmt: skip
_JSON: Final = ("{", "[")
"""How a text begins that may be JSON (stacks.compare)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """One region as rendered: its plan, its profile's values by name, its objects."""

    plan: RegionPlan
    values: dict[str, str]
    objects: dict[Key, Object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A leaf that differs without a reason; `values` by region."""

    key: Key
    path: str
    values: dict[str, Any]


def _strings(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _strings(below, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from _strings(below, f"{name}[{index}]")


def rendering(
    plan: RegionPlan, profile: RegionProfile, rendered: Iterable[Part] | None = None
) -> Rendering:
    """A region's objects beside the values that are its own; `rendered` are its parts if known."""
    facts = profile.model_dump() | {
        "partition": plan.account.partition,
        "region": plan.region,
        "scraper_namespace": plan.prometheus.namespace,
    }
    values = dict(pair for name in _PLACES for pair in _strings(facts[name], name))
    return Rendering(
        plan=plan, values=values, objects=keyed(parts(plan) if rendered is None else rendered)
    )


class _Places:
    """Tells whether a text of one region is that of another but for the places' values.

    A value may have several names (`us-east-1` is a region and a context); any of them may do.
    """

    def __init__(self, here: Mapping[str, str], there: Mapping[str, str]) -> None:
        self.others: dict[str, set[str]] = defaultdict(set)
        for name, value in here.items():
            self.others[value] |= {value, there[name]} if name in there else {value}
        longest_first = sorted(filter(None, self.others), key=len, reverse=True)
        self.finder = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
        self.known: dict[tuple[str, str], bool] = {}
        self._alike: dict[type, Callable[[Any, Any], bool]] = {
            dict: self._alike_objects,
            list: self._alike_lists,
            str: self._alike_texts,
        }

    def alike(self, here: Any, there: Any) -> bool:
        """Whether `explain` would explain every change, told quickly; no where it must be asked.

        Of lists whose items have names, and of JSON in a text, only `changes` tells what differs.
        """
        told = self._alike.get(type(here))
        if type(here) is not type(there):
            return False
        return here == there if told is None else told(here, there)

    def _alike_objects(self, here: dict[str, Any], there: dict[str, Any]) -> bool:
        for key, value in here.items():
            other = there.get(key, ABSENT)
            # The first test is for speed: most leaves are equal texts.
            if not (type(value) is str and value == other) and not self.alike(value, other):
                return False
        return len(here) == len(there)

    def _alike_lists(self, here: list[Any], there: list[Any]) -> bool:
        return len(here) == len(there) and all(map(self._alike_items, here, there))

    def _alike_items(self, here: Any, there: Any) -> bool:
        if type(here) is dict and type(there) is dict:
            for name in NAMES:
                if here.get(name) != there.get(name):
                    return False
        return self.alike(here, there)

    def _alike_texts(self, here: str, there: str) -> bool:
        if here == there:
            return True
        return (
            not here.startswith(_JSON)
            and not there.startswith(_JSON)
            and self._explains(here, there)
        )

    def explain(self, change: Change) -> bool:
        """Whether the places alone make this change."""
        here, there = change.old, change.new
        return isinstance(here, str) and isinstance(there, str) and self._explains(here, there)

    def _explains(self, here: str, there: str) -> bool:
        """The answer for two texts, of which many objects have the same."""
        if (here, there) not in self.known:
            self.known[here, there] = self._replaces(here, there)
        return self.known[here, there]

    def _replaces(self, here: str, there: str) -> bool:
        if not here:
            return there in self.others.get("", ())
        ends = {0}
        for index, piece in enumerate(self.finder.split(here)):
            choices = self.others[piece] if index % 2 else {piece}
            ends = {at + len(text) for at in ends for text in choices if there.startswith(text, at)}
        return len(there) in ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One region against the reference: how many objects it has, and every change that no place
    explains, with whether it is declared."""

    objects: int
    rows: list[tuple[Key, Change, bool]]


def _rows(here: Rendering, there: Rendering) -> Iterator[tuple[Key, Change, bool]]:
    if here is there:
        return
    places = _Places(here.values, there.values)
    for key in sorted({*here.objects, *there.objects}):
        old, new = here.objects.get(key, ABSENT), there.objects.get(key, ABSENT)
        # Most objects are the same in all regions.
        if same(old, new) or places.alike(old, new):
            continue
        for change in changes(old, new, ""):
            if not places.explain(change):
                row = declared(here.plan, there.plan, key, change.path)
                yield key, change, row is not None


def compared(reference: Rendering, other: Rendering) -> Compared:
    """Hold a region against the reference, which may be itself."""
    return Compared(objects=len(other.objects), rows=[*_rows(reference, other)])


def _lacking(plan: RegionPlan) -> tuple[int, str]:
    return len(plan.gaps) + len(plan.downgrades), plan.region


def in_order(plans: Iterable[RegionPlan]) -> list[str]:
    """Names of regions; every one is held against the first, which lacks least."""
    return [plan.region for plan in sorted(plans, key=_lacking)]


def differences(found: Mapping[str, Compared]) -> tuple[int, list[Difference]]:
    """The number of declared differences, and all that nothing declares; by region, in order."""
    number, reference = 0, next(iter(found))
    undeclared: dict[tuple[Key, str], dict[str, Any]] = {}
    for region, one in found.items():
        for key, change, is_declared in one.rows:
            if is_declared:
                number += 1
                continue
            row = undeclared.setdefault((key, change.path), {reference: change.old})
            row[region] = change.new
    return number, [
        Difference(key=key, path=path, values=values) for (key, path), values in undeclared.items()
    ]


def compare(renderings: Iterable[Rendering]) -> tuple[int, list[Difference]]:
    """The number of declared differences between regions, and all that nothing declares."""
    by_region = {one.plan.region: one for one in renderings}
    order = in_order(one.plan for one in by_region.values())
    reference = by_region[order[0]]
    return differences({region: compared(reference, by_region[region]) for region in order})


def _said(value: Any) -> str:
    return "an object" if isinstance(value, dict) and "kind" in value else shown(value)


def _text(summary: str, found: list[Difference]) -> Iterator[str]:
    for row in found:
        yield f"{row.key.owner}  {row.key.label}  {row.path or '(object)'}\n"
        for region, value in row.values.items():
            yield f"    {region}: {_said(value)}\n"
    yield f"{summary}\n"


def _plain(row: Difference) -> dict[str, Any]:
    values = {r: None if isinstance(v, Absent) else v for r, v in row.values.items()}
    return {"object": row.key._asdict(), "path": row.path, "values": values}


def run(args: Namespace) -> Outcome:
    """Render every region and compare."""
    tree = tree_of(args, moment_of(args))
    renderings = [rendering(plan, tree.profiles[plan.region]) for plan in tree.plans()]
    number, found = compare(renderings)
    total = max(len(one.objects) for one in renderings)
    summary = (
        f"parity: {total} objects x {len(renderings)} regions, {number} declared differences, "
        f"{len(found)} undeclared"
    )
    data = {
        "objects": total,
        "regions": [one.plan.region for one in renderings],
        "declared": number,
        "undeclared": [_plain(row) for row in found],
    }
    return Outcome(data=data, text=_text(summary, found), code=FINDINGS if found else OK)
