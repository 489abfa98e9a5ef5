"""The fields of our objects that somebody else sets while they run, and how each changes hands.

Under server-side apply a field that its only owner leaves out goes back to its default: a running
Deployment whose `replicas` vanish from the manifest has one pod a moment later. So such a field is
never left out. It is rendered, the engine sends it when the object is made, and afterwards the
provider keeps what is live (`ignoreChanges`; provider/pkg/await/await.go of pulumi-kubernetes 4.25,
handleSSAIgnoreFields).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from components.kube import Object

Key = tuple[str, str]
"""Namespace and name of a Deployment."""
SCALERS: Final = frozenset({"HorizontalPodAutoscaler", "ScaledObject"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One such field, by the kind of the object that has it and Pulumi's property path.

    `owns` decides of an object whether the other owner has it, given what autoscalers target.
    `owner`, `when` and `handed_over` are the words of the generated page.
    """

    kind: str
    path: str
    owner: str
    when: str
    handed_over: str
    owns: Callable[[Object, Collection[Key]], bool]


def _is_scaled(made: Object, targeted: Collection[Key]) -> bool:
    metadata = made["metadata"]
    return (metadata.get("namespace", ""), metadata["name"]) in targeted


def _always(made: Object, targeted: Collection[Key]) -> bool:
    return True


_KEPT: Final = (
    "our size is a constant; one that an earlier version sized by its disk keeps that, for the API "
    "server lets neither grow nor shrink"
)
FIELDS: Final[tuple[Field, ...]] = (
    Field(
        kind="Deployment",
        path="spec.replicas",
        owner="its HorizontalPodAutoscaler or ScaledObject",
        when="an autoscaler targets it",
        handed_over=(
            "to the autoscaler: the field stays as it is and the autoscaler begins from there; "
            "back: a ReplicaHandover first stops the autoscaler, then sets the number and frees "
            "the field, and `up` deletes the autoscaler last"
        ),
        owns=_is_scaled,
    ),
    Field(
        kind="Job",
        path="spec.template",
        owner="the `up` that made the run",
        when="always",
        handed_over=(
            "never: a Job's template cannot change, and a value of the region is no reason to run "
            "again; a change of the spec is a Job of another name"
        ),
        owns=_always,
    ),
    Field(
        kind="PersistentVolume",
        path="spec.capacity",
        owner="the first `up`",
        when="always",
        handed_over=_KEPT,
        owns=_always,
    ),
    Field(
        kind="PersistentVolumeClaim",
        path="spec.resources",
        owner="the first `up`",
        when="always",
        handed_over=_KEPT,
        owns=_always,
    ),
)
NODE_GROUP: Final = Field(
    kind="NodeGroup",
    path="scalingConfig.desiredSize",
    owner="the cluster's autoscaler",
    when="always",
    handed_over="never: `up` sets it once, when the group is made",
    owns=_always,
)
"""The one such field of an AWS resource."""


def targeted(objects: Iterable[Object]) -> frozenset[Key]:
    """The Deployments whose replicas an autoscaler among `objects` sets."""
    return frozenset(
        (made["metadata"]["namespace"], made["spec"]["scaleTargetRef"]["name"])
        for made in objects
        if made["kind"] in SCALERS
    )


def left_alone(made: Object, scaled: Collection[Key]) -> list[str]:
    """The paths of an object that only its creation sets; `scaled` is what `targeted` found."""
    return [
        field.path for field in FIELDS if field.kind == made["kind"] and field.owns(made, scaled)
    ]
