"""In which order `up` makes what it makes: one table, for the engine and for the transition proof.

The engine makes at once, in any order, what depends on nothing, and deletes at the end in the
reverse order of the last `up`. Each row says what must not come before what, and what would happen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Final

from components.gates.acts import (
    GATES,
    HANDOVER,
    POD_DRAIN,
    ROUTE_DRAIN,
    SHIFT,
    SPOT,
    TRAFFIC,
    Gate,
)
from components.kube import Object
from components.model_network import LABEL_VERSION
from components.ownership import SCALERS
from components.parts import Part
from model_specs.names import LABEL_TRACK, PROBER
from regions.plan import RegionPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One object or one gate. `noun` and `owner` name the component that it belongs to."""

    noun: str
    owner: str
    model: str
    made: Object | None
    gate: Gate | None

    @property
    def kind(self) -> str:
        """Kind of the object or gate."""
        return str(self.made["kind"]) if self.made else self._gate.kind

    @property
    def name(self) -> str:
        """`namespace/name`, or the name: a killed `up` run again meets its own objects by it."""
        if self.made is None:
            return self._gate.name
        namespace = self.namespace
        own = self.made["metadata"]["name"]
        return f"{namespace}/{own}" if namespace else str(own)

    @property
    def namespace(self) -> str:
        """Namespace of the object; empty for gates and where there is none."""
        return str(self.made["metadata"].get("namespace", "")) if self.made else ""

    @property
    def key(self) -> str:
        """Unique in a region."""
        group = self.made["apiVersion"] if self.made else ""
        return f"{group} {self.kind} {self.name}".strip()

    @property
    def _gate(self) -> Gate:
        assert self.gate is not None, "a step is an object or a gate"
        return self.gate


Scope = Callable[[Step], str]
"""What two steps must share for a row to hold of them; empty where it does not concern a step."""


def _namespace(step: Step) -> str:
    return step.namespace


def _own_name(step: Step) -> str:
    return step.name


def _model(step: Step) -> str:
    return step.model


def _project_wide(step: Step) -> str:
    return "" if step.model else step.namespace


def _track(step: Step) -> str:
    labels = step.made["metadata"].get("labels", {}) if step.made else {}
    return str(labels.get(LABEL_TRACK, ""))


def _on_spot(step: Step) -> str:
    return step.model if _track(step) == "spot" else ""


def _on_demand(step: Step) -> str:
    return step.model if _track(step) == "stable" else ""


def _stable(step: Step) -> str:
    return _on_demand(step) or _on_spot(step)


def _candidate(step: Step) -> str:
    return step.model if step.model and step.name == f"{step.model}-candidate" else ""


def _target(step: Step) -> str:
    spec = step.made["spec"] if step.made else {}
    return f"{step.namespace}/{spec['scaleTargetRef']['name']}"


def _region(step: Step) -> str:
    return "region"


def _prober(step: Step) -> str:
    return step.namespace if step.name == f"{step.namespace}/{PROBER}" else ""


def _project(step: Step) -> str:
    return step.model.partition("/")[0]


def _leads_users(step: Step) -> str:
    """What bears the model's own name: the Service that callers inside the cluster know."""
    return step.model if step.name == step.model else ""


def _of_candidate(step: Step) -> str:
    chosen = step.made["spec"].get("selector", {}) if step.made else {}
    only = chosen.get(LABEL_VERSION) == "candidate" and not _leads_users(step)
    return step.model if only else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`later` is made after every `earlier` with the same scope, and deleted before it.

    `why` says what users would meet in the other order.
    """

    name: str
    later: tuple[str, ...]
    later_scope: Scope
    earlier: str
    earlier_scope: Scope
    why: str


WORKLOADS: Final = ("CronJob", "DaemonSet", "Deployment", "Job")
_CLOSED: Final = "pods would answer their last requests behind no policy, or be reached by nobody"
_WATCHED: Final = "the candidate would be judged by nobody before it has users"
ROWS: Final[tuple[Row, ...]] = (
    Row(
        name="the guard, then what it judges",
        later=("Namespace",),
        later_scope=_region,
        earlier="ValidatingAdmissionPolicy",
        earlier_scope=_region,
        why="the guard of the version before would refuse what only the new one makes",
    ),
    Row(
        name="a project's policies, then its pods",
        later=WORKLOADS,
        later_scope=_namespace,
        earlier="NetworkPolicy",
        earlier_scope=_project_wide,
        why="pods would start, and end, open to everybody in the cluster",
    ),
    Row(
        name="a model's policies, then its pods",
        later=WORKLOADS,
        later_scope=_model,
        earlier="NetworkPolicy",
        earlier_scope=_model,
        why="pods would be reached by nobody: at their start, while they drain, and at new ports",
    ),
    Row(
        name="a model's account, then its pods",
        later=WORKLOADS,
        later_scope=_model,
        earlier="ServiceAccount",
        earlier_scope=_model,
        why="a pod gets its account's role when it is made, and would never get a later one",
    ),
    Row(
        name="a project's policies, then the drain of its pods",
        later=(POD_DRAIN,),
        later_scope=_project,
        earlier="NetworkPolicy",
        earlier_scope=_project_wide,
        why=_CLOSED,
    ),
    Row(
        name="a model's policies, then the drain of its pods",
        later=(POD_DRAIN,),
        later_scope=_model,
        earlier="NetworkPolicy",
        earlier_scope=_model,
        why=_CLOSED,
    ),
    Row(
        name="a model's account, then the drain of its pods",
        later=(POD_DRAIN,),
        later_scope=_model,
        earlier="ServiceAccount",
        earlier_scope=_model,
        why="pods would end their work without the rights that they began it with",
    ),
    Row(
        name="the drain of pods, then the pods",
        later=("CronJob", "Deployment", "Job"),
        later_scope=_model,
        earlier=POD_DRAIN,
        earlier_scope=_model,
        why=_CLOSED,
    ),
    Row(
        name="spot pods, then the wait for them",
        later=(SPOT,),
        later_scope=_model,
        earlier="Deployment",
        earlier_scope=_on_spot,
        why="it would wait for pods that are not asked for yet",
    ),
    Row(
        name="spot pods, then fewer on demand",
        later=("Deployment",),
        later_scope=_on_demand,
        earlier=SPOT,
        earlier_scope=_model,
        why="on-demand pods would go before the spot pods that stand in for them are there",
    ),
    Row(
        name="spot pods, then fewer on demand taken over",
        later=(HANDOVER,),
        later_scope=_leads_users,
        earlier=SPOT,
        earlier_scope=_model,
        why="on-demand pods would go before the spot pods that stand in for them are there",
    ),
    Row(
        name="stable pods, then users back to them",
        later=(SHIFT,),
        later_scope=_model,
        earlier="Deployment",
        earlier_scope=_stable,
        why="it would wait for pods that are not asked for yet",
    ),
    Row(
        name="users away from a candidate, then its pods",
        later=("Deployment", HANDOVER),
        later_scope=_candidate,
        earlier=SHIFT,
        earlier_scope=_model,
        why="its pods would go, or change, while users are still led to them",
    ),
    Row(
        name="an autoscaler stopped, then the Deployment",
        later=("Deployment",),
        later_scope=_own_name,
        earlier=HANDOVER,
        earlier_scope=_own_name,
        why="an autoscaler that still runs would set another number, zero among them",
    ),
    Row(
        name="a Deployment, then its autoscaler",
        later=tuple(sorted(SCALERS)),
        later_scope=_target,
        earlier="Deployment",
        earlier_scope=_own_name,
        why="an autoscaler would set the replicas of a Deployment that is not there",
    ),
    Row(
        name="pods, then the wait for them",
        later=(TRAFFIC,),
        later_scope=_model,
        earlier="Deployment",
        earlier_scope=_model,
        why="it would wait for pods that are not asked for yet",
    ),
    Row(
        name="a candidate's Service, then its judgement",
        later=(TRAFFIC,),
        later_scope=_model,
        earlier="Service",
        earlier_scope=_of_candidate,
        why=_WATCHED,
    ),
    Row(
        name="the prober, then its judgement",
        later=(TRAFFIC,),
        later_scope=_project,
        earlier="Deployment",
        earlier_scope=_prober,
        why=_WATCHED,
    ),
    Row(
        name="pods that serve, then the route to them",
        later=("HTTPRoute",),
        later_scope=_model,
        earlier=TRAFFIC,
        earlier_scope=_model,
        why="users would be led to pods that are not there, or back to the old version",
    ),
    Row(
        name="pods that serve, then the Service to them",
        later=("Service",),
        later_scope=_leads_users,
        earlier=TRAFFIC,
        earlier_scope=_model,
        why="users would be led to pods that are not there, or back to the old version",
    ),
    *(
        Row(
            name=f"{what}, then the drain of the route",
            later=(ROUTE_DRAIN,),
            later_scope=_model,
            earlier=kind,
            earlier_scope=_model,
            why=f"at its end the gateway would still send users to {what} that are gone",
        )
        for what, kind in (("pods", "Deployment"), ("Services", "Service"))
    ),
    Row(
        name="the drain of the route, then the route",
        later=("HTTPRoute",),
        later_scope=_model,
        earlier=ROUTE_DRAIN,
        earlier_scope=_model,
        why="at its end the gateway would still send users to what is gone",
    ),
    Row(
        name="Services, then the route",
        later=("HTTPRoute",),
        later_scope=_model,
        earlier="Service",
        earlier_scope=_model,
        why="users would be led to a Service that is not there, and answered 500",
    ),
    *(
        Row(
            name=f"{kind}, then the route",
            later=("HTTPRoute",),
            later_scope=_model,
            earlier=kind,
            earlier_scope=_model,
            why=f"everybody would be let in {without}",
        )
        for kind, without in (
            ("SecurityPolicy", "without signing in"),
            ("BackendTrafficPolicy", "without a limit"),
        )
    ),
)
"""Besides these, whatever stands in a namespace of ours comes after that Namespace."""


def _all_steps(parts: Iterable[Part], plan: RegionPlan) -> Iterator[Step]:
    for part in parts:
        for made in part.objects:
            yield Step(noun=part.noun, owner=part.name, model=part.model, made=made, gate=None)
    for noun, gates in GATES.items():
        for gate in gates(plan):
            yield Step(noun=noun, owner=gate.model, model=gate.model, made=None, gate=gate)


Order = list[tuple[Step, tuple[Step, ...]]]
"""Every step with those that it comes directly after, itself after all of them."""


def _leaders(steps: Iterable[Step], rows: Sequence[Row]) -> dict[tuple[int, str], list[str]]:
    """Keys of the steps that others come after, by the row's number and the scope."""
    by_kind: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        by_kind[row.earlier].append(number)
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    for step in steps:
        for number in by_kind.get(step.kind, ()):
            scope = rows[number].earlier_scope(step)
            if scope:
                found[number, scope].append(step.key)
    return found


def _graph(steps: Mapping[str, Step], rows: Sequence[Row]) -> dict[str, dict[str, None]]:
    """By key, what a step comes directly after."""
    leaders = _leaders(steps.values(), rows)
    namespaces = {step.name: step.key for step in steps.values() if step.kind == "Namespace"}
    by_kind: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        for kind in row.later:
            by_kind[kind].append(number)
    graph: dict[str, dict[str, None]] = {}
    for key, step in steps.items():
        own = namespaces.get(step.namespace)
        graph[key] = {own: None} if own else {}
        for number in by_kind.get(step.kind, ()):
            scope = rows[number].later_scope(step)
            graph[key] |= dict.fromkeys(leaders.get((number, scope), ()))
    return graph


def ordered(parts: Iterable[Part], plan: RegionPlan, rows: Sequence[Row]) -> Order:
    """Everything that `up` does in a region but its last gate, in an order that it may take."""
    steps = {step.key: step for step in _all_steps(parts, plan)}
    graph = _graph(steps, rows)
    return [
        (steps[key], tuple(steps[other] for other in graph[key]))
        for key in TopologicalSorter(graph).static_order()
    ]
