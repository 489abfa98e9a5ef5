"""Rules about loss: a node that is drained, taken back or dead takes no model with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from model_specs.names import LABEL_MODEL
from policies.facts import Facts
from policies.label_selectors import takes
from policies.pods import Block
from policies.resources import Resource
from policies.rule import Estate, Fault, Rule, each, whole
from policies.tracks import LABEL_VERSION, Track, by_model, takers, taking, tracks

_HIGH: Final = 0.999
_ZONE: Final = "topology.kubernetes.io/zone"
_NODE: Final = "kubernetes.io/hostname"
_TEMPLATE: Final = "pod-template-hash"
_UNSET: Final = "no field of a spec says so; mend what renders the pod"
_REPLICATED: Final = 2


def _live(found: Sequence[Track], services: Sequence[Resource]) -> list[Track]:
    """The tracks whose pods answer at the model's own name."""
    versions = {(s.spec.get("selector") or {}).get(LABEL_VERSION) for s in services}
    return [track for track in found if track.labels.get(LABEL_VERSION) in versions]


def _more_pods(live: Sequence[Track]) -> tuple[str, str]:
    """What gives a model two pods that stay, and the field."""
    if any(track.gives_way for track in live):
        return "let capacity.priority be standard", "capacity.priority"
    if any(track.is_spot for track in live):
        return "raise capacity.on_demand_base to 2", "capacity.on_demand_base"
    return "raise scaling.min to 2", "scaling.min"


@whole("P10", "high-promise-replicas")
def _replicas(estate: Estate) -> Iterator[Fault]:
    """A model that promises 99.9 % or more always has two pods of the version that answers: one
    pod's start, or its node's loss, costs more than the 40 minutes that 28 days then allow. Pods
    that may all be taken, preempted or with their spot nodes, are counted as none."""
    services: dict[str, list[Resource]] = {}
    for service in estate.of("Service"):
        if service.metadata.get("name") == service.labels.get(LABEL_MODEL):
            services.setdefault(service.model, []).append(service)
    for name, found in estate.once(by_model).items():
        promise = found[0].model.spec.slo.availability
        live = _live(found, services.get(name, ()))
        least = sum(track.least for track in live if not track.may_go)
        if promise >= _HIGH and least < _REPLICATED:
            what = f"promises {promise:.3%} of {name} with {least} pods at the least"
            fix, field = _more_pods(live)
            yield Fault(found[0].deployment, what, f"{fix}, or promise less", field)


@each("P11", "pdb-sane", "PodDisruptionBudget")
def _pdb_sane(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A disruption budget lets at least one pod go, counted as such, and never protects a broken
    one; otherwise no node under it can be drained, so none can be upgraded."""
    spec, fix = resource.spec, "let maxUnavailable be 1"
    most = spec.get("maxUnavailable")
    if not isinstance(most, int) or most < 1:
        yield Fault(resource, f"lets {most or 'no'} pods go", fix, "")
    if spec.get("minAvailable") is not None:
        yield Fault(resource, "counts the pods that stay, which does not scale", fix, "")
    if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
        what = "protects pods that are broken"
        yield Fault(resource, what, "let unhealthyPodEvictionPolicy be AlwaysAllow", "")


@whole("P11", "pdb-one")
def _pdb_one(estate: Estate) -> Iterator[Fault]:
    """Where a model may have two pods or more, exactly one disruption budget takes all of them:
    with none a drain takes all at once, with two the API refuses every eviction."""
    budgets = takers(estate.of("PodDisruptionBudget"))
    for found in estate.once(by_model).values():
        if sum(track.most for track in found) < _REPLICATED:
            continue
        for track in found:
            over = taking(budgets, track.deployment)
            if len(over) != 1:
                names = ", ".join(str(b.metadata.get("name")) for b in over) or "none"
                what = f"may have several pods and {len(over)} disruption budgets ({names})"
                yield Fault(track.deployment, what, "render one over all tracks", "scaling.max")


def _spreads(constraint: Block, key: str, labels: Block) -> bool:
    """Whether it keeps the pods with `labels` apart by `key`, each generation for itself."""
    return (
        constraint.get("topologyKey") == key
        and constraint.get("maxSkew") == 1
        and _TEMPLATE in (constraint.get("matchLabelKeys") or ())
        and takes(constraint["labelSelector"], labels)
    )


def _apart(track: Track) -> bool:
    """Whether its pods avoid each other's nodes."""
    affinity = (track.pod.get("affinity") or {}).get("podAntiAffinity") or {}
    wishes = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    terms = [wish["podAffinityTerm"] for wish in wishes]
    terms += affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    return any(
        term.get("topologyKey") == _NODE and takes(term["labelSelector"], track.labels)
        for term in terms
    )


@whole("P12", "spread")
def _spread(estate: Estate) -> Iterator[Fault]:
    """Pods of one model avoid each other's nodes and, where the region has several, its zones;
    pods that a rollout replaces do not count, or the new ones would pile up where it ended."""
    zones = len(estate.facts.profile.zones)
    for track in tracks(estate):
        if track.most < _REPLICATED:
            continue
        constraints = track.pod.get("topologySpreadConstraints") or ()
        if zones > 1 and not any(_spreads(c, _ZONE, track.labels) for c in constraints):
            what = f"may put all its {track.most} pods into one of {zones} zones"
            yield Fault(track.deployment, what, _UNSET, "")
        if not _apart(track):
            what = f"may put all its {track.most} pods on one node"
            yield Fault(track.deployment, what, _UNSET, "")


def _more_base(stable: Sequence[Track], least: int) -> tuple[str, str, str]:
    """What takes too many pods from a model, what keeps them, and the field."""
    if any(track.gives_way for track in stable):
        fix = "let capacity.priority be standard, or capacity.spot be false"
        return "pods of higher rank need its nodes", fix, "capacity.priority"
    fix = f"raise capacity.on_demand_base to {least}"
    return "the spot nodes go", fix, "capacity.on_demand_base"


@whole("P13", "spot-base")
def _spot_base(estate: Estate) -> Iterator[Fault]:
    """Beside spot nodes, which a cloud takes back all at once, at least half of a model's least
    replicas stand on on-demand nodes, and never none. Preemptible pods are counted as none there
    too: they give way to others."""
    for name, found in estate.once(by_model).items():
        spec = found[0].model.spec
        stable = [track for track in found if not track.is_candidate]
        if not any(track.is_spot for track in stable):
            continue
        # A model that may sleep keeps nothing warm; awake it has what its base may have.
        base = sum(
            track.most if spec.scaling.scale_to_zero else track.least
            for track in stable
            if not track.may_go
        )
        least = math.ceil(spec.scaling.min / 2)
        if base < least:
            cause, fix, field = _more_base(stable, least)
            what = f"leaves {base} of {name} when {cause}, half its least is {least}"
            yield Fault(stable[0].deployment, what, fix, field)


RULES: Final[tuple[Rule, ...]] = (
    _replicas,
    _pdb_sane,
    _pdb_one,
    _spread,
    _spot_base,
)
"""All but `pdb-sane` need to know all of a model's Deployments."""
