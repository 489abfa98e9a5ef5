"""Says everything that is wrong with specs and profiles, and what each region would do instead.

What is legal and may surprise (a value of an example profile, an instance type of unknown shape, an
image's contract, a model without an example request) is a warning, which changes no exit code.
"""

from __future__ import annotations

from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from model_specs.advice import advice, sleepers, ttls
from model_specs.errors import SpecError, SpecErrors
from model_specs.moment import written
from model_specs.runtimes import RUNTIMES
from model_specs.schema import MAX_TTL
from model_specs.source import Source
from regions.gpu_memory import unproved
from regions.node_shapes import unsure
from regions.placeholders import each, grouped, placeholders
from regions.plan import RegionPlan
from regions.resolve import resolve
from stacks.outcome import FINDINGS, OK, InputErrors, Outcome, count, error_rows
from stacks.oversize import oversized
from stacks.tree import Tree, moment_of, tree_of


def _summary(plan: RegionPlan) -> dict[str, Any]:
    """What is said of a region; the plan itself is not kept."""
    return {
        "region": plan.region,
        "servers": len(plan.servers),
        "jobs": len(plan.jobs),
        "gaps": [asdict(gap) for gap in plan.gaps],
        "downgrades": [asdict(downgrade) for downgrade in plan.downgrades],
    }


def _nowhere(tree: Tree, regions: list[dict[str, Any]]) -> Iterator[SpecError]:
    """Models that every region refuses; elsewhere a gap is a note."""
    refused: dict[str, set[str]] = defaultdict(set)
    reasons: dict[str, dict[tuple[str, str], dict[str, None]]] = defaultdict(dict)
    for region in regions:
        for gap in region["gaps"]:
            refused[gap["model"]].add(region["region"])
            place = (gap["path"], gap["code"])
            reasons[gap["model"]].setdefault(place, {})[gap["reason"]] = None
    for model in tree.specs.models:
        if refused[model.id] and len(refused[model.id]) == len(regions):
            for (path, code), whys in reasons[model.id].items():
                where = tuple(path.split("."))
                message = f"no region can serve it: {'; '.join(whys)}"
                yield model.source.error(where, code, message)


def _endless(tree: Tree, at: datetime) -> Iterator[SpecError]:
    """Models that are wanted for so long that nobody will remember."""
    for model in tree.specs.models:
        ttl = model.spec.ttl
        if ttl is not None and ttl > at + MAX_TTL:
            message = f"more than {MAX_TTL.days} days away, got {ttl}; leave it out or shorten it"
            yield model.source.error(("ttl",), "E352", message)


def _warnings(sources: Mapping[str, Source]) -> tuple[list[SpecError], list[SpecError]]:
    """What is still an example's in the profiles: one row a value, and the lines for people."""
    images = {name: runtime.image for name, runtime in RUNTIMES.items()}
    rows: list[SpecError] = []
    lines: list[SpecError] = []
    for region, source in sources.items():
        found = placeholders(source, region, images)
        rows += each(source, found)
        lines += grouped(source, found)
    return rows, lines


def _report(errors: Sequence[SpecError], warnings: Sequence[SpecError]) -> Iterator[str]:
    """Errors, then warnings, one a line, and their numbers."""
    yield from (f"{one}\n" for one in (*errors, *warnings))
    numbers = [count(len(errors), "error")]
    numbers += [count(len(warnings), "warning")] if warnings else []
    yield f"{', '.join(numbers)}\n"


def _lines(regions: Iterable[dict[str, Any]]) -> Iterator[str]:
    for row in regions:
        numbers = (
            count(row["servers"], "server"),
            count(row["jobs"], "job"),
            count(len(row["gaps"]), "gap"),
            count(len(row["downgrades"]), "downgrade"),
        )
        yield f"{row['region']}: {', '.join(numbers)}\n"
        for gap in row["gaps"]:
            yield f"  {gap['model']}  {gap['path']}  {gap['code']}  {gap['reason']}\n"
        for less in row["downgrades"]:
            whose = less["model"] or row["region"]
            yield f"  {whose}  {less['feature']} (no {less['capability']}): {less['outcome']}\n"


def run(args: Namespace) -> Outcome:
    """Load everything, resolve every region, and tell."""
    at = moment_of(args)
    regions: list[dict[str, Any]] = []
    errors: set[SpecError] = set()
    advised: list[SpecError] = []
    sources: dict[str, Source] = {}  # of profiles that are refused too: all is said at once
    try:
        tree = tree_of(args, at, sources.__setitem__)
        errors.update(_endless(tree, at))
        models = tree.specs.models
        told = (*advice(models), *sleepers(models), *ttls(tree.specs, at), *unproved(tree.specs))
        advised = sorted(told)
        for region, profile in tree.profiles.items():
            advised += sorted(unsure(sources[region], profile.machines))
            try:
                plan = resolve(tree.specs, profile, region)
                regions.append(_summary(plan))
                errors.update(oversized(plan))
            except SpecErrors as refused:
                errors.update(refused.errors)
        if not args.region:  # one region's gap says nothing about the others
            errors.update(_nowhere(tree, regions))
    except InputErrors:
        raise
    except SpecErrors as refused:
        errors.update(refused.errors)
    found = sorted(errors)
    rows, lines = _warnings(sources)
    return Outcome(
        data={
            "at": written(at),
            "errors": error_rows(found),
            "regions": regions,
            "warnings": error_rows([*advised, *rows]),
        },
        text=[*_lines(regions), *_report(found, [*advised, *lines])],
        code=FINDINGS if found else OK,
    )
