"""What may have happened on the way from one plan to another: sets of acts, and their objects.

The engine makes at once, in any order, what depends on nothing (components.order), waits at gates
(components.gates.acts), and at the end, when all pods are ready, deletes in the reverse order of
the last `up`. What may have happened at a moment is a set that holds, with each act, all that comes
before it. Where there are more than LARGEST sets, the smallest so many are given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from components.gates.acts import HANDOVER, POD_DRAIN, ROUTE_DRAIN, SHIFT, Asked, awaited, shifts
from components.gates.traffic_shift import shifted
from components.kube import Object
from components.order import Order, Row, Step, ordered
from components.ownership import targeted
from components.parts import Part
from regions.plan import RegionPlan

LARGEST: Final = 20_000
SHOWN: Final = frozenset(
    {
        "BackendTrafficPolicy", "CronJob", "Deployment", "HTTPRoute", "HorizontalPodAutoscaler",
        "Job", "Namespace", "NetworkPolicy", "ScaledObject", "SecurityPolicy", "Service",
        "ServiceAccount",
    }
)  # fmt: skip
"""Kinds that decide who is answered by what, and what pods reach."""


@dataclass(frozen=True, slots=True)
class Side:
    """One plan's steps of a model and its project by key."""

    steps: Mapping[str, Step]
    direct: Mapping[str, frozenset[str]]
    """What each comes directly after: by that alone the engine orders what it deletes."""
    before: Mapping[str, frozenset[str]]
    """The closure of it: in that order it makes what it makes."""
    scaled: Mapping[tuple[str, str], int]
    """The least replicas by the Deployment, as namespace and name, that an autoscaler targets."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens: an object made, changed or deleted, its pods ready, a gate passed."""

    id: str
    label: str
    after: frozenset[str]


@dataclass(frozen=True, slots=True)
class Moment:
    """What has happened, and the objects that there are."""

    done: frozenset[str]
    objects: Mapping[str, Object]


def side_of(
    plan: RegionPlan | None, parts: Iterable[Part], model: str, rows: Sequence[Row]
) -> Side:
    """The model's own steps and its project's."""
    if plan is None:
        return Side({}, {}, {}, {})
    project = model.partition("/")[0]
    servers = tuple(s for s in plan.servers if s.workload.id == model)
    jobs = tuple(job for job in plan.jobs if job.workload.id == model)
    works = [server.workload for server in servers] + [job.workload for job in jobs]
    namespaces = {work.namespace for work in works} or {project}
    mine = [
        part if part.model else replace(part, objects=_within(part, namespaces))
        for part in parts
        if part.model in ("", model)
    ]
    found: Order = ordered(mine, replace(plan, servers=servers, jobs=jobs), rows)
    direct: dict[str, frozenset[str]] = {}
    before: dict[str, frozenset[str]] = {}
    for step, earlier in found:
        keys = direct[step.key] = frozenset(one.key for one in earlier)
        before[step.key] = keys.union(*(before[key] for key in keys))
    steps = {step.key: step for step, _ in found}
    scaled = {
        own: _least(step.made)
        for step in steps.values()
        if step.made is not None
        for own in targeted([step.made])
    }
    return Side(steps, direct, before, scaled)


def _least(scaler: Object) -> int:
    spec: Object = scaler["spec"]
    least: int = spec["minReplicas" if "minReplicas" in spec else "minReplicaCount"]
    return least


def _within(part: Part, namespaces: set[str]) -> list[Object]:
    """What a part of the region or of a project has in these namespaces, and they themselves."""
    found = []
    for made in part.objects:
        metadata = made["metadata"]
        own = "name" if made["kind"] == "Namespace" else "namespace"
        if metadata.get(own) in namespaces:
            found.append(made)
    return found


def _is_about(step: Step) -> bool:
    return step.gate is not None or step.kind in SHOWN


def rolled(key: str) -> str:
    """The act of a Deployment's new pods becoming ready, by the Deployment's key."""
    return f"pods of {key}"


def asked(side: Side, key: str) -> Asked:
    """What a gate of one side is asked; nothing where the step is none."""
    step = side.steps.get(key)
    return step.gate.asked if step is not None and step.gate is not None else {}


def _changed(old: Side, new: Side, key: str) -> bool:
    before, after = old.steps.get(key), new.steps[key]
    return before is None or before.made != after.made


def acts_between(old: Side, new: Side) -> list[Act]:
    """All that `up` does, each with what comes before it."""
    acts: list[Act] = []
    for key, step in new.steps.items():
        if not _is_about(step):
            continue
        after = new.before[key]
        if step.gate is not None:
            after |= _waited_for(old, new, key)
            acts.append(Act(key, f"{step.kind} {step.name} passes", after))
        elif _changed(old, new, key):
            verb = "is changed" if key in old.steps else "is made"
            acts.append(Act(key, f"{step.kind} {step.name} {verb}", after))
        if step.kind == "Deployment" and _changed(old, new, key):
            label = f"the pods of {step.name} are ready"
            acts.append(Act(rolled(key), label, frozenset({key})))
    # The last gate waits for all pods, and what is deleted comes after it.
    made = frozenset(act.id for act in acts)
    gone = [key for key, step in old.steps.items() if key not in new.steps and _is_about(step)]
    for key in gone:
        later = frozenset(f"-{other}" for other in gone if key in old.direct[other])
        step = old.steps[key]
        acts.append(Act(f"-{key}", f"{step.kind} {step.name} is deleted", made | later))
    known = {act.id for act in acts}
    return [Act(act.id, act.label, act.after & known) for act in acts]


def _waited_for(old: Side, new: Side, key: str) -> frozenset[str]:
    """Pods that must be ready before a gate lets anything through."""
    step = new.steps[key]
    assert step.gate is not None
    if step.kind in (HANDOVER, POD_DRAIN, ROUTE_DRAIN):
        return frozenset()
    names = {
        f"{one.namespace}/{one.name}"
        for one in awaited(step.kind, asked(old, key), asked(new, key))
    }
    return frozenset(
        rolled(other)
        for other, row in new.steps.items()
        if row.kind == "Deployment" and row.name in names
    )


def all_moments(old: Side, acts: Sequence[Act], new: Side) -> Iterator[Moment]:
    """Every set of acts that may have happened, the smallest first."""
    queue: deque[frozenset[str]] = deque([frozenset()])
    seen = {queue[0]}
    while queue:
        done = queue.popleft()
        yield Moment(done, objects_at(old, new, done))
        for act in acts:
            if act.id not in done and act.after <= done:
                further = done | {act.id}
                if further not in seen and len(seen) < LARGEST:
                    seen.add(further)
                    queue.append(further)


def objects_at(old: Side, new: Side, done: frozenset[str]) -> dict[str, Object]:
    """The objects that there are, by key, once these acts are done."""
    found: dict[str, Object] = {}
    led = [
        what
        for key, step in new.steps.items()
        if step.kind == SHIFT and key in done
        if (what := shifts(asked(old, key), asked(new, key))) is not None
    ]
    for key, step in old.steps.items():
        if step.made is not None and f"-{key}" not in done:
            leads = step.kind in ("HTTPRoute", "Service")
            found[key] = shifted(step.made, led[0]) if led and leads else step.made
    for key, step in new.steps.items():
        if step.made is not None and (key in done or not _changed(old, new, key)):
            found[key] = step.made
    return found
