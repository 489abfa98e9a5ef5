"""Hands parts to the Pulumi engine: one way of registering, for every noun."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import pulumi

from components.kube import Object
from components.model_network import LABEL_VERSION
from components.parts import Part
from components.rollout_gate import CandidateGate
from model_specs.names import LABEL_TRACK
from regions.plan import RegionPlan

# Nodes are made by machines; we only ever apply fields of ours to them.
_PATCHED: Final = {"Node": "NodePatch"}
_UNCHANGED: Final = {
    # Earlier versions sized both by the node's disk. The API server lets such a claim neither grow
    # nor shrink, so one that exists keeps its size.
    "PersistentVolume": ["spec.capacity"],
    "PersistentVolumeClaim": ["spec.resources"],
}
"""Fields that only the creation of an object sets."""


class Noun(pulumi.ComponentResource):
    """One part of the plan as a component: ModelServer, ModelRoute, ... by its type token."""

    def __init__(self, part: Part) -> None:
        super().__init__(f"isoserve:index:{part.noun}", part.name)


def token(made: Object) -> str:
    """The provider's type token of an object: `kubernetes:apps/v1:Deployment`."""
    group_version = made["apiVersion"]
    kind = _PATCHED.get(made["kind"], made["kind"])
    return f"kubernetes:{group_version if '/' in group_version else f'core/{group_version}'}:{kind}"


def logical_name(made: Object) -> str:
    """`namespace/name`, or the name: a killed `up` run again meets its own objects by it."""
    metadata = made["metadata"]
    namespace = metadata.get("namespace", "")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


class _Gates:
    """Holds back what leads users to a candidate until the candidate serves."""

    def __init__(self, plan: RegionPlan, kubeconfig: str) -> None:
        self._plan, self._kubeconfig = plan, kubeconfig
        self._shares = candidate_shares(plan)
        self._before: dict[str, list[pulumi.Resource]] = {}

    def before(self, part: Part, plain: Object) -> list[pulumi.Resource]:
        """What must have come before an object."""
        return self._before.get(part.model, []) if _leads_to_candidate(plain) else []

    def know(self, part: Part, plain: Object, resource: pulumi.Resource) -> None:
        """Set a gate behind a candidate; the route comes after the candidate's Service, too."""
        share = self._shares.get(part.model, 0)
        if share and _is_candidate(plain):
            alone = replace(part, objects=[plain])
            gate = CandidateGate(alone, self._plan, share, resource, self._kubeconfig)
            self._before[part.model] = [gate]
        elif self.before(part, plain):
            self._before[part.model].append(resource)


def candidate_shares(plan: RegionPlan) -> dict[str, int]:
    """The percentage of users' requests that is led to the candidate, by model."""
    return {
        server.workload.id: sum(b.weight for b in server.access.backends if b.role == "candidate")
        for server in plan.servers
    }


def _is_candidate(made: Object) -> bool:
    labels = made["metadata"].get("labels", {})
    return bool(made["kind"] == "Deployment" and labels.get(LABEL_TRACK) == "candidate")


def _leads_to_candidate(made: Object) -> bool:
    chosen = made["spec"]["selector"] if made["kind"] == "Service" else {}
    return bool(made["kind"] == "HTTPRoute" or chosen.get(LABEL_VERSION) == "candidate")


def register(
    parts: Iterable[Part], plan: RegionPlan, provider: pulumi.ProviderResource, kubeconfig: str
) -> list[pulumi.Resource]:
    """Register every object of every part under its component; returns the objects' resources.

    A raw CustomResource with the provider's token costs a quarter of the typed class (1.4 ms
    against 6 ms) and previews the same, since the provider reads the same plain dict.
    """
    gates, namespaces = _Gates(plan, kubeconfig), dict[str, pulumi.Resource]()
    made: list[pulumi.Resource] = []
    for part in parts:
        noun = Noun(part)
        for plain in part.objects:
            namespace = plain["metadata"].get("namespace", "")
            first = [namespaces[namespace]] if namespace in namespaces else []
            first += gates.before(part, plain)
            options = pulumi.ResourceOptions(
                parent=noun,
                provider=provider,
                depends_on=first,
                ignore_changes=_UNCHANGED.get(plain["kind"]),
            )
            resource = pulumi.CustomResource(
                token(plain), logical_name(plain), dict(plain), options
            )
            if plain["kind"] == "Namespace":
                namespaces[plain["metadata"]["name"]] = resource
            gates.know(part, plain, resource)
            made.append(resource)
        noun.register_outputs({})
    return made
