"""Hands parts to the Pulumi engine: one way of registering, for every noun."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import pulumi

from components.gates.acts import Gate
from components.gates.claims import claims, owner, projects_of
from components.gates.foreign_fields import foreign_fields, without
from components.gates.resources import GateResource, gate_resource
from components.kube import Object, role_named
from components.order import ROWS, Step, ordered
from components.ownership import Key, left_alone, targeted
from components.parts import Part
from regions.plan import RegionPlan

T = TypeVar("T")
# Nodes are made by machines; we only ever apply fields of ours to them.
_PATCHED: Final = {"Node": "NodePatch"}


class Noun(pulumi.ComponentResource):
    """One part of the plan as a component: ModelServer, ModelRoute, ... by its type token."""

    def __init__(self, noun: str, name: str) -> None:
        super().__init__(f"isoserve:index:{noun}", name)


def token(made: Object) -> str:
    """The provider's type token of an object: `kubernetes:apps/v1:Deployment`."""
    group_version = made["apiVersion"]
    kind = _PATCHED.get(made["kind"], made["kind"])
    return f"kubernetes:{group_version if '/' in group_version else f'core/{group_version}'}:{kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one step: its resource, or None where it stays as it was before this `up`.

    `faults` has one entry where a gate failed: the gate's model, and why.
    """

    resource: pulumi.Resource | None
    faults: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """Everything that was registered, a JSON list of what gates failed with, and how often what
    others had set was taken back."""

    resources: pulumi.Input[Sequence[pulumi.Resource]]
    faults: pulumi.Input[str]
    taken: pulumi.Input[int]


_STAYS: Final = Outcome(resource=None, faults=())


def _of_gate(gate: Gate, resource: GateResource) -> pulumi.Input[Outcome]:
    """The outcome of a gate, known once it has acted; a preview takes it that every gate passes.

    So does an `up --continue-on-error` of a gate that the engine passes over, after a failure
    before it: the engine passes over all that comes after it too, and would delete what it is not
    told of.
    """
    passed = Outcome(resource=resource, faults=())
    if pulumi.runtime.is_dry_run():
        return passed

    def judged(fault: str | None) -> Outcome:
        failed = fault and not pulumi.contains_unknowns(fault)
        return Outcome(resource=None, faults=((gate.model, str(fault)),)) if failed else passed

    return resource.fault.apply(judged, run_with_unknowns=True)


def _then(
    before: Sequence[pulumi.Input[Outcome]], do: Callable[[Sequence[Outcome]], pulumi.Input[T]]
) -> pulumi.Input[T]:
    """`do` with the outcomes in `before`: now where all are known, else as soon as they are."""
    known = [one for one in before if isinstance(one, Outcome)]
    if len(known) == len(before):
        return do(known)
    return pulumi.Output.all(*before).apply(do)


def _claimed(
    parts: Iterable[Part], plan: RegionPlan, cluster: tuple[str, str]
) -> dict[str, pulumi.Input[Outcome]]:
    """The outcome of each claim on names, by project; the region's own comes before all others."""
    found: dict[str, pulumi.Input[Outcome]] = {}
    first: list[pulumi.Resource] = []
    for gate in claims(parts, plan):
        resource = gate_resource(gate, cluster, None, first)
        found[gate.model] = _of_gate(gate, resource)
        first = first or [resource]
    return found


def _looked_through(
    parts: Iterable[Part],
    plan: RegionPlan,
    cluster: tuple[str, str],
    made: Sequence[tuple[Step, pulumi.Input[Outcome]]],
) -> Iterator[pulumi.Input[Outcome]]:
    """The outcome of each gate on what others have set: they come last, also where a gate before
    them failed, for what others have set stays wrong. What that gate holds up they do not apply."""

    def look(gate: Gate, outcomes: Sequence[Outcome]) -> pulumi.Input[Outcome]:
        stay = [step for (step, _), one in zip(made, outcomes, strict=True) if not one.resource]
        asked = without(gate, (step.made for step in stay if step.made))
        return _of_gate(gate, gate_resource(asked, cluster, None, _resources(outcomes)))

    for gate in foreign_fields(parts, plan):
        yield _then([outcome for _, outcome in made], partial(look, gate))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Region:
    """What every step of a region is registered with."""

    nouns: Mapping[tuple[str, str], Noun]
    cluster: tuple[str, str]
    provider: pulumi.ProviderResource
    scaled: Collection[Key]
    roles: Mapping[str, pulumi.Resource]
    owners: Mapping[str, str]

    def outcome(
        self, step: Step, earlier: Sequence[Step], before: Sequence[Outcome]
    ) -> pulumi.Input[Outcome]:
        """Register a step, if everything of its project that is `earlier` went well: `before` are
        the outcomes, and after them that of the project's claim where nothing of it is earlier.
        What is the region's comes first too, and holds no project up.

        It comes after the roles that itself and the accounts before it name: the engine keeps what
        it deletes in the order of direct dependencies alone, and a role may go where its account
        stays (ScheduleDeletes in pkg/resource/deploy/step_generator.go of v3.200.0).
        """
        found = _resources(before)
        others = {index for index, one in enumerate(earlier) if not self.is_alike(one, step)}
        if any(one.resource is None for index, one in enumerate(before) if index not in others):
            return _STAYS
        named = (self.roles.get(role_named(one.made)) for one in (step, *earlier) if one.made)
        found += [role for role in named if role is not None]
        noun = self.nouns[step.noun, step.owner]
        if step.gate is not None:
            return _of_gate(step.gate, gate_resource(step.gate, self.cluster, noun, found))
        assert step.made is not None
        ignored = left_alone(step.made, self.scaled)
        options = pulumi.ResourceOptions(
            parent=noun,
            provider=self.provider,
            depends_on=found,
            ignore_changes=ignored,
        )
        # It costs a quarter of the typed class (1.4 ms against 6 ms) and previews the same, since
        # the provider reads the same plain dict.
        own = pulumi.CustomResource(token(step.made), step.name, dict(step.made), options)
        return Outcome(resource=own, faults=())

    def is_alike(self, step: Step, other: Step) -> bool:
        """Whether two steps are of one project, or both the region's."""
        return self.owners[step.key] == self.owners[other.key]


def register(
    parts: Iterable[Part],
    plan: RegionPlan,
    provider: pulumi.ProviderResource,
    kubeconfig: str,
    roles: Mapping[str, pulumi.Resource],
) -> Registered:
    """Register every object of every part under its component, and the gates between them.

    `roles` are IAM's by name: an account comes after the one that it names, and pods after their
    account (components.order), so that no pod starts with a role that does not exist yet.

    A resource that fails makes the engine stop all that has not begun, in every project. So a gate
    never fails by itself: it says what it met, whatever comes after it is not registered, which
    leaves it as it is in the region, and the RolloutGate fails in its place after everything else.
    The engine deletes nothing in an `up` that fails; with `--continue-on-error` it would, and the
    program fails at its end (see stop_if_incomplete in components.rollout_gate).
    """
    parts = list(parts)
    nouns = {(part.noun, part.name): Noun(part.noun, part.name) for part in parts}
    cluster = kubeconfig, plan.cluster.context
    scaled = targeted(made for part in parts for made in part.objects)
    claimed, steps = _claimed(parts, plan, cluster), ordered(parts, plan, ROWS)
    owners = _owners((step for step, _ in steps), plan)
    region = _Region(
        nouns=nouns, cluster=cluster, provider=provider, scaled=scaled, roles=roles, owners=owners
    )
    made: dict[str, pulumi.Input[Outcome]] = {}
    for step, earlier in steps:
        before = [made[one.key] for one in earlier]
        if not any(region.is_alike(one, step) for one in earlier):
            before.append(claimed[region.owners[step.key]])
        made[step.key] = _then(before, partial(region.outcome, step, earlier))
    for noun in nouns.values():
        noun.register_outputs({})
    outcomes = [(step, made[step.key]) for step, _ in steps]
    last = _looked_through(parts, plan, cluster, outcomes)
    return _registered([*claimed.values(), *made.values(), *last])


def _owners(steps: Iterable[Step], plan: RegionPlan) -> dict[str, str]:
    """By a step's key its project, empty for what is the region's."""
    projects = projects_of(plan)
    return {
        step.key: owner(step.made, projects) if step.made else step.model.partition("/")[0]
        for step in steps
    }


def _registered(every: Sequence[pulumi.Input[Outcome]]) -> Registered:
    return Registered(
        resources=_then(every, _resources),
        faults=_then(every, _faults),
        taken=_then(every, _taken),
    )


def _resources(outcomes: Iterable[Outcome]) -> list[pulumi.Resource]:
    return [one.resource for one in outcomes if one.resource is not None]


def _faults(outcomes: Iterable[Outcome]) -> str:
    return json.dumps([fault for one in outcomes for fault in one.faults])


def _taken(outcomes: Iterable[Outcome]) -> pulumi.Input[int]:
    """Nothing in a preview, which takes nothing back."""
    gates = [one.resource for one in outcomes if isinstance(one.resource, GateResource)]
    if pulumi.runtime.is_dry_run():
        return 0

    def total(counts: Sequence[float | None]) -> int:
        return sum(int(count) for count in counts if isinstance(count, int | float))

    return pulumi.Output.all(*(gate.taken for gate in gates)).apply(total, run_with_unknowns=True)
