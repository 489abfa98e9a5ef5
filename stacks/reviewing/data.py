"""The same review as data, whole: nothing is shortened, and no secret is in it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from model_specs.moment import written
from model_specs.secrets import mask
from stacks.compare import Absent, plain
from stacks.outcome import error_rows
from stacks.parity import Difference
from stacks.preview_gate import Refusal, operation_of
from stacks.reviewing.amounts import change, dates
from stacks.reviewing.comment import headline
from stacks.reviewing.seen import Previewed, Seen
from stacks.reviewing.sizes import LEVELS, Sum
from stacks.reviewing.steps import OPERATIONS, Step
from stacks.reviewing.verdict import Review, blocks, missing_previews
from stacks.reviewing.wishes import Wish


def _masked(value: Any) -> Any:
    """`value` with every secret of a known form cut."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _masked(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(below) for below in value]
    return value


def _sum(found: Sum) -> dict[str, Any]:
    rounded = [None if amount is None else round(amount, 2) for amount in found.dollars]
    return {
        "gpus": dict(zip(LEVELS, (round(n, 2) for n in found.gpus), strict=True)),
        "usd_per_month": dict(zip(LEVELS, rounded, strict=True)),
        "unpriced": list(found.unknown),
    }


def _sizes(seen: Seen, regions: tuple[str, ...]) -> dict[str, Any]:
    before, after, by = change(seen, regions)
    return {"before": _sum(before), "after": _sum(after), "delta": _sum(by)}


def _region(seen: Seen, region: str) -> dict[str, Any]:
    steps = [step.operation for step in seen.steps if region in step.regions]
    return {
        "region": region,
        "planned": region in seen.sides.work.plans,
        "removed": region in seen.sides.removed,
        "steps": {name: steps.count(name) for name in OPERATIONS},
        **_sizes(seen, (region,)),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "operation": step.operation,
        "object": step.key._asdict(),
        "regions": list(step.regions),
        "because": list(step.because),
        "refused": list(step.refused),
        "changes": [plain(one) for one in step.changes],
    }


def _wish(wish: Wish) -> dict[str, Any]:
    return {
        "id": wish.id,
        "what": wish.what,
        "was": wish.was,
        "fields": [plain(field) for field in wish.fields],
    }


def _models(seen: Seen) -> list[dict[str, Any]]:
    """Every model that changes or is reached, with what happens to it by region."""
    wishes = {wish.id: _wish(wish) for wish in seen.models}
    for row in seen.effects:
        same = {"id": row.model, "what": "reached", "was": "", "fields": []}
        wishes.setdefault(row.model, same)
    for found in wishes.values():
        found["effects"] = []
    for row in seen.effects:
        effects = [asdict(effect) for effect in row.effects]
        wishes[row.model]["effects"].append({"regions": list(row.regions), "effects": effects})
    return [wishes[name] for name in sorted(wishes)]


def _refusal(refusal: Refusal) -> dict[str, Any]:
    return {
        "operation": operation_of(refusal.step.operation),
        "type": refusal.step.type,
        "name": refusal.step.name,
        "reason": refusal.reason,
        "final": refusal.is_final,
    }


def _preview(row: Previewed) -> dict[str, Any]:
    preview = row.preview
    return {
        "region": preview.region,
        "file": preview.file,
        "error": preview.error,
        "blocks": blocks(row),
        "steps": {name: preview.count(name) for name in OPERATIONS},
        "policies": preview.policies,
        "violations": [asdict(violation) for violation in preview.violations],
        "refusals": [_refusal(refusal) for refusal in row.refusals],
    }


def _program(seen: Seen) -> dict[str, Any]:
    found = seen.program
    return {
        "files": [{"path": path, "decides": what} for path, what in found.files],
        "not_run": found.not_run,
        "refused": [asdict(one) for one in found.refused],
        "upgrades": [_step(one.step) | {"class": one.kind} for one in found.upgrades],
        "waivers": [row.model_dump(mode="json") for row in found.waivers],
    }


def _policy(seen: Seen) -> dict[str, Any] | None:
    judgement = seen.judgement
    if judgement is None:
        return None
    waived = [pair for verdict in judgement.verdicts.values() for pair in verdict.waived]
    return {
        "resources": judgement.resources,
        "findings": [asdict(finding) for finding in judgement.findings],
        "waived": [asdict(f) | {"waiver": w.model_dump(mode="json")} for f, w in waived],
        "faults": error_rows(judgement.faults),
        "unneeded": error_rows(judgement.unneeded),
    }


def _difference(row: Difference) -> dict[str, Any]:
    values = {r: None if isinstance(v, Absent) else v for r, v in row.values.items()}
    return {"object": row.key._asdict(), "path": row.path, "values": values}


def _parity(seen: Seen) -> dict[str, Any] | None:
    found = seen.parity
    if found is None:
        return None
    return {
        "objects": found.objects,
        "regions": found.regions,
        "declared": found.declared,
        "undeclared": [_difference(row) for row in found.undeclared],
    }


def data(review: Review) -> dict[str, Any]:
    """Everything the comment is made of."""
    seen = review.seen
    whole: dict[str, Any] = {
        "verdict": review.verdict,
        "headline": headline(review),
        "blocking": list(review.blocking),
        "approving": list(review.approving),
        "at": written(seen.at),
        "base": seen.revision,
        "errors": error_rows(seen.errors),
        "base_errors": error_rows(seen.sides.base.errors),
        "flags": [asdict(flag) for flag in review.flags],
        "regions": [_region(seen, region) for region in seen.sides.regions],
        "together": _sizes(seen, seen.sides.compared),
        "prices": [day.isoformat() for day in dates(seen)],
        "models": _models(seen),
        "projects": [_wish(wish) for wish in seen.projects],
        "profiles": [_wish(wish) for wish in seen.regions],
        "nodes": [asdict(change) | {"order": change.order} for change in seen.nodes],
        "headroom": [asdict(row) for row in seen.room],
        "steps": [_step(step) for step in seen.steps],
        "program": _program(seen),
        "policy": _policy(seen),
        "parity": _parity(seen),
        "previews": [_preview(row) for row in seen.previews],
        "unpreviewed": missing_previews(seen),
    }
    masked: dict[str, Any] = _masked(whole)
    return masked
