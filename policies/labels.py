"""Rules about labels: of everything one can tell who made it, whose it is, and who pays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from model_specs.names import LABEL_MODEL, LABEL_PROJECT, LABEL_ROLE, MANAGED_BY, PROBER
from policies.facts import Facts
from policies.pods import template
from policies.resources import Resource
from policies.rule import WORKLOADS, Estate, Fault, Rule, whole

_OF_MODELS: Final = frozenset({
    "BackendTrafficPolicy", "GRPCRoute", "HTTPRoute", "HorizontalPodAutoscaler",
    "PodDisruptionBudget", "PrometheusRule", "ScaledObject", "SecurityPolicy", "Service",
})  # fmt: skip
"""Kinds that a project has only for a model."""


def _project_of(resource: Resource, facts: Facts) -> str:
    """Whose an object is by where it stands, whatever its labels say; empty: the platform's."""
    if resource.kind == "PersistentVolume":
        return str((resource.spec.get("claimRef") or {}).get("namespace", ""))
    where = resource.metadata.get("name") if resource.kind == "Namespace" else resource.namespace
    return str(where) if where in facts.projects else ""


def _model_faults(resource: Resource, facts: Facts) -> Iterator[str]:
    if resource.model and resource.model not in facts.models:
        yield f"is labelled with model {resource.model}, for which there is no spec"
    is_prober = resource.labels.get(LABEL_ROLE) == PROBER
    if not resource.model and (
        resource.kind in _OF_MODELS or (resource.kind in WORKLOADS and not is_prober)
    ):
        yield f"has no {LABEL_MODEL}, so nobody answers for it"


def _pod_faults(resource: Resource) -> Iterator[str]:
    """The pods' own labels: walls and Services know them by these."""
    labels = (template(resource).get("metadata") or {}).get("labels") or {}
    for key in (LABEL_PROJECT, LABEL_MODEL, LABEL_ROLE):
        mine, theirs = resource.labels.get(key), labels.get(key)
        if mine != theirs:
            yield f"has {key}: {mine}, and its pods {theirs}"


def _faults(resource: Resource, facts: Facts) -> Iterator[str]:
    for key, value in MANAGED_BY.items():
        if resource.labels.get(key) != value:
            yield f"has no {key}: {value}"
    project = _project_of(resource, facts)
    if resource.project != project:
        yield f"has {LABEL_PROJECT}: {resource.project or 'nothing'}, not {project or 'nothing'}"
    if project:
        yield from _model_faults(resource, facts)
    if resource.kind in WORKLOADS:
        yield from _pod_faults(resource)


@whole("P30", "labels-owner-cost")
def _labels_owner_cost(estate: Estate) -> Iterator[Fault]:
    """Every object says that isoserve made it, of which project it is, and of which model.

    Walls, Services, quotas and bills go by these labels, so pods carry those of their workload. The
    project is owner and cost centre at once; what its data may be used for is not known here.
    """
    for resource in estate.resources:
        for what in _faults(resource, estate.facts) if resource.is_object else ():
            yield Fault(resource, what, "label it as the file's folder and name are called", "")


RULES: Final[tuple[Rule, ...]] = (_labels_owner_cost,)
