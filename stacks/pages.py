"""Writes the pages that are made from tables in the code; `python -m stacks.schema` runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from components.gates.extra_objects import CONTROLLED, KINDS, MADE
from components.gates.foreign_fields import OTHERS
from components.gates.managed_fields import in_names
from components.gates.own_fields import DEFAULTS
from components.order import ROWS
from components.ownership import FIELDS, NODE_GROUP
from model_specs.codes import CODES
from policies.by_hand import NOT_REFUSED
from policies.catalogue import ELSEWHERE, RULES
from policies.rule import Rule
from regions.addons import ADDONS


def _codes() -> str:
    """What every error code means, for those who meet it where no command line is at hand."""
    rows = "".join(f"| {code} | {means} | {mend} |\n" for code, (means, mend) in CODES.items())
    return (
        "# Error codes\n\n"
        "Every error is one line, `file:line:col  path  CODE  what is wrong, got X; what to do`, "
        "and `isoserve explain CODE` says what stands here.\n\n"
        f"| code | what is wrong | what to do |\n| --- | --- | --- |\n{rows}"
    )


def _rows() -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {row: [] for row in ELSEWHERE}
    for rule in RULES:
        found.setdefault(rule.row, []).append(rule)
    return dict(sorted(found.items()))


def _rules() -> str:
    """What every rule demands, for those whom one has refused."""
    lines = ""
    for row, rules in _rows().items():
        for rule in rules:
            kinds = ", ".join(sorted(kind.rsplit(":", 1)[-1] for kind in rule.kinds))
            about = kinds or "the region"
            hand = NOT_REFUSED.get(rule.name, "refused")
            lines += f"| {row} | `{rule.name}` | {rule.level} | {about} | {rule.text} | {hand} |\n"
        if not rules:
            lines += f"| {row} | | | | {ELSEWHERE[row]} | |\n"
    return (
        "# Rules\n\n"
        "What `isoserve policy` and the pack (`pulumi preview|up --policy-pack policies`) hold "
        "everything against that a region would have. Both fail closed: a rule that cannot run is "
        "a finding. An exception is a row of `policies/waivers.yaml` with the rule's name, the "
        "resource, an owner, a reason and a last day at most 90 days away.\n\n"
        "Where the last column says `refused`, the API server refuses the same by hand, in the "
        "namespaces of projects and of the cache agents (components/admission_guard.py); else it "
        "says why it does not. What it does not refuse, a refresh finds and `pulumi up --refresh` "
        "takes back, in our objects and in what the stack has in AWS. An object that nobody "
        "rendered stays, under the rules that are refused.\n\n"
        "| row | rule | level | judges | what must hold | by hand |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        f"{lines}"
    )


def _under_our_name() -> str:
    """What is found of fields that somebody has set as we do."""
    defaults = "".join(
        f"| {row.kind} | `{row.field}` | `{json.dumps(row.value)}` | {row.source} |\n"
        for row in DEFAULTS
    )
    return (
        "Whoever applies under the name `isoserve` is no other manager: what it owns is compared "
        "with what is rendered (components/gates/own_fields.py), and a field more is drift, but "
        "for what the API server adds to a value that is owned as a whole, or adds again once "
        "`up` has applied ours:\n\n"
        f"| kind | field | default | source |\n| --- | --- | --- | --- |\n{defaults}"
    )


def _objects() -> str:
    """Which objects others may make beside ours."""
    owners = {row: {c.owner for c in CONTROLLED if c.kinds & {*row.kinds}} for row in KINDS}
    kinds = "".join(
        f"| {row.group or 'core'} | {', '.join(row.kinds)} | {row.why} "
        f"| {', '.join(sorted(owners[row])) or 'none'} |\n"
        for row in KINDS
    )
    made = "".join(
        f"| {row.kind} | `{row.name}` | {row.who} | {row.source} |\n" for row in MADE
    ) + "".join(
        f"| {', '.join(sorted(row.kinds))} | any | what makes it for a {row.owner}, its owner"
        f"{f', with the label `{row.label[0]}: {row.label[1]}`' if row.label else ''} "
        f"| {row.source} |\n"
        for row in CONTROLLED
    )
    return (
        "## Objects that others may make in our namespaces\n\n"
        "A refresh looks in each namespace that a region makes for these kinds, where the cluster "
        "serves them, and names each object that is in no plan "
        "(components/gates/extra_objects.py). `up` removes none: it may hold data or serve "
        "somebody, and is not ours to judge. A kind that the caller may not list is said, and is "
        "no finding. So is each ClusterRoleBinding in no plan that gives accounts of such a "
        "namespace rights in the whole cluster (components/gates/cluster_grants.py).\n\n"
        "| group | kinds | one by hand | owners that excuse one |\n"
        f"| --- | --- | --- | --- |\n{kinds}\n"
        "Not named are Secrets that our objects name, what is being deleted, what the region's "
        "profile lists in `addon_objects` by kind and name, and:\n\n"
        f"| kind | name | who | source |\n| --- | --- | --- | --- |\n{made}"
    )


def _ownership() -> str:
    """Who sets which field of our objects, and in which order they are made, for the curious."""
    fields = "".join(
        f"| {row.kind} | `{row.path}` | {row.owner}: {row.when} | {row.handed_over} |\n"
        for row in (*FIELDS, NODE_GROUP)
    )
    others = "".join(
        f"| {', '.join(sorted(row.kinds)) or 'any'} | `{in_names(row.path)}` "
        f"| {row.who} | {row.source} |\n"
        for row in OTHERS
    )
    order = "".join(
        f"| {row.name} | {', '.join(row.later)} | {row.earlier} | {row.why} |\n" for row in ROWS
    )
    return (
        "# Owners and order\n\n"
        "`pulumi up` moves a region from yesterday's objects to today's, and everything in "
        "between serves. Two tables see to it; the rest say what others may set and make for "
        "good.\n\n"
        "## Fields that somebody else sets while they run\n\n"
        "| kind | field | owner: when | how it changes hands |\n"
        f"| --- | --- | --- | --- |\n{fields}\n"
        "## Fields that others may set\n\n"
        "Whatever else another field manager has set in an object of ours is drift: a refresh "
        "names object, field and manager, and the `up` after it takes it back "
        "(components/gates/foreign_fields.py).\n\n"
        f"| kind | field | who | source |\n| --- | --- | --- | --- |\n{others}\n"
        f"{_under_our_name()}\n"
        f"{_objects()}\n"
        "## What is made after what\n\n"
        "The engine makes all else at once, in any order, and deletes at the end in the reverse "
        "order. Each row says what would happen without it. A gate waits, or stops an autoscaler "
        "(components/gates/acts.py).\n\n"
        f"| what | later | earlier | else |\n| --- | --- | --- | --- |\n{order}"
    )


def _addons() -> str:
    """What a cluster stands on, for those who run one."""
    rows = "".join(
        f"| `{name}` | {row.title} | {row.capability or 'none'} | {row.version} | {row.oldest} "
        f"| {row.origin} | `{row.namespace}` "
        f"| {', '.join(row.needs) or 'none'} |\n"
        for name, row in ADDONS.items()
    )
    more = "".join(
        f"## {name}\n\n{row.unchecked}\n\n"
        f"Definitions: {', '.join(f'`{n}` {v}' for n, v in row.serves.items()) or 'none'}.\n"
        f"Workloads: {', '.join(f'`{one}`' for one in row.workloads) or 'none'}.\n"
        f"Facts from {row.source}.\n\n"
        for name, row in ADDONS.items()
    )
    return (
        "# Add-ons\n\n"
        "What a region's cluster stands on. `addons` of a profile says of each who brings it: "
        "`install` is the stack `REGION.addons`, which comes before the region's own, `provided` "
        "somebody else; one that is not listed is absent. The capabilities follow from it. The "
        "values of a chart follow from the profile and its pools (regions/addon_values.py). "
        "A newer version than the tested one may work; an older than the oldest does not.\n\n"
        "| add-on | what it is | capability | tested | oldest | from | namespace | needs |\n"
        f"| --- | --- | --- | --- | --- | --- | --- | --- |\n{rows}\n{more}"
    ).rstrip() + "\n"


PAGES: Final[dict[str, Callable[[], str]]] = {
    "components/ownership.md": _ownership,
    "model_specs/codes.md": _codes,
    "policies/rules.md": _rules,
    "regions/addons.md": _addons,
}
"""Path of each page from the project's root, and what writes it."""


def page_texts() -> dict[str, str]:
    """The text of every page, by its path."""
    return {path: text() for path, text in PAGES.items()}
