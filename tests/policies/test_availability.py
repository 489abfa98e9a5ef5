"""What a drained, dead or reclaimed node may take away is bounded, or refused."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import pytest

from model_specs.scaling import Scaling
from model_specs.schema import Slo
from policies.availability import RULES
from policies.judge import judge
from policies.tracks import PREEMPTIBLE
from tests.policies.cases import (
    GONE,
    Case,
    check,
    check_unknown,
    failing,
    respecified,
    setting,
    with_path,
)
from tests.policies.estate import NO_WAIVERS, added, changed, facts, named, said

PROMISE, SANE, ONE, SPREAD, SPOT = RULES
SERVER: Final = "Deployment search/embedder"
BUDGET: Final = "PodDisruptionBudget search/embedder"
BASE: Final = "Deployment chat/helper"
ZONES: Final = "spec template spec topologySpreadConstraints"
APART: Final = "spec template spec affinity"
WISH: Final = f"{APART} podAntiAffinity preferredDuringSchedulingIgnoredDuringExecution 0"
TERM: Final = f"{WISH} podAffinityTerm"
NOBODY: Final = {"matchLabels": {"isoserve.dev/model": "nobodys"}}
CASES: Final = (
    *(
        Case(rule=SANE, of=BUDGET, path=f"spec {path}", value=value, says=says)
        for path, value, says in (
            ("maxUnavailable", 0, "lets no pods go"),
            ("maxUnavailable", GONE, "lets no pods go"),
            ("maxUnavailable", "50%", "lets 50% pods go"),
            ("minAvailable", 1, "counts the pods that stay"),
            ("unhealthyPodEvictionPolicy", GONE, "protects pods that are broken"),
            ("unhealthyPodEvictionPolicy", "IfHealthyBudget", "protects pods that are broken"),
        )
    ),
    Case(
        rule=ONE,
        of=BUDGET,
        says="may have several pods and 0 disruption budgets (none)",
        field="scaling.max",
        on=SERVER,
    ),
    Case(
        rule=ONE,
        of=BUDGET,
        path="spec selector",
        value=NOBODY,
        says="0 disruption budgets",
        field="scaling.max",
        on=SERVER,
    ),
    *(
        Case(rule=SPREAD, of=SERVER, path=path, value=value, says=says)
        for path, value, says in (
            (ZONES, GONE, "may put all its 2 pods into one of 2 zones"),
            (f"{ZONES} 0 topologyKey", "kubernetes.io/hostname", "into one of 2 zones"),
            (f"{ZONES} 0 matchLabelKeys", GONE, "into one of 2 zones"),
            (f"{ZONES} 0 labelSelector", NOBODY, "into one of 2 zones"),
            (f"{ZONES} 0 maxSkew", 2, "into one of 2 zones"),
            (APART, GONE, "may put all its 2 pods on one node"),
            (f"{TERM} topologyKey", "topology.kubernetes.io/zone", "pods on one node"),
            (f"{TERM} labelSelector", NOBODY, "pods on one node"),
        )
    ),
    Case(
        rule=SPOT,
        of=BASE,
        path="spec replicas",
        value=0,
        says="leaves 0 of chat/helper when the spot nodes go, half its least is 1",
        field="capacity.on_demand_base",
    ),
    Case(
        rule=SPOT,
        of=BASE,
        says="leaves 0 of chat/helper",
        field="capacity.on_demand_base",
        on="Deployment chat/helper-spot",
    ),
)


def broken_promise(**fields: Any) -> Any:
    """What is said of a model that promises much after its team wrote so."""
    return said(PROMISE, wished=respecified("search/embedder", **fields))


FAILING: Final = {
    **failing(CASES),
    PROMISE.name: lambda: broken_promise(slo=Slo(availability=0.999)),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_field_makes_the_difference(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", with_path(CASES), ids=str)
def test_a_field_that_is_not_known_yet_is_no_good_field(case: Case) -> None:
    check_unknown(case)


def test_a_high_promise_needs_two_pods_that_answer() -> None:
    (finding,) = broken_promise(slo=Slo(availability=0.999))
    assert finding.resource == SERVER
    assert finding.place.path == "scaling.min"
    assert "promises 99.900% of search/embedder with 1 pods" in finding.place.message


def test_a_promise_just_below_needs_one_pod() -> None:
    assert broken_promise(slo=Slo(availability=0.998)) == []


def test_pods_of_the_version_that_does_not_answer_yet_do_not_count() -> None:
    two = setting("spec minReplicaCount", 2)
    promise = respecified("vision/tagger", slo=Slo(availability=0.999))
    candidate = changed(named("Deployment vision/tagger-candidate"), setting("spec replicas", 5))
    assert len(said(PROMISE, candidate, wished=promise)) == 1
    stable = changed(named("ScaledObject vision/tagger"), two)
    assert said(PROMISE, stable, wished=promise) == [], "two stable pods keep it"


def test_a_promise_is_not_kept_by_pods_that_no_service_reaches() -> None:
    promise = respecified("search/embedder", slo=Slo(availability=0.999))
    two = changed(named("ScaledObject search/embedder"), setting("spec minReplicaCount", 2))
    assert said(PROMISE, two, wished=promise) == []
    (finding,) = said(PROMISE, two, wished=promise, without="Service search/embedder")
    assert "with 0 pods" in finding.place.message


def test_two_budgets_over_one_pod_block_every_drain() -> None:
    everything = {**named(BUDGET).values, "metadata": {"name": "all", "namespace": "search"}}
    second = changed(added(everything), setting("spec selector", {}))
    findings = said(ONE, second)
    assert {finding.resource for finding in findings} >= {SERVER}
    assert all("2 disruption budgets" in finding.place.message for finding in findings)


def test_a_single_pod_needs_neither_budget_nor_spread() -> None:
    lone = changed(named("ScaledObject search/embedder"), setting("spec maxReplicaCount", 1))
    assert said(ONE, lone, without=BUDGET) == []
    crowded = changed(named(SERVER), setting(APART, GONE))
    assert said(SPREAD, lone, crowded) == []


def test_a_region_of_one_zone_has_nothing_to_spread_over() -> None:
    single = facts().profile.model_copy(update={"zones": ("a",)})
    known = dataclasses.replace(facts(), profile=single)
    anywhere = changed(named(SERVER), setting(ZONES, GONE))
    assert not judge([anywhere], known, (SPREAD,), NO_WAIVERS).findings


def test_half_of_the_least_stands_on_demand() -> None:
    (finding,) = said(SPOT, wished=respecified("chat/helper", scaling=Scaling(min=3, max=3)))
    assert "leaves 1 of chat/helper when the spot nodes go, half its least is 2" in (
        finding.place.message
    )


def test_a_base_that_gives_way_to_others_is_none() -> None:
    preempted = setting("spec template spec priorityClassName", PREEMPTIBLE)
    both = [changed(named(name), preempted) for name in (BASE, "Deployment chat/helper-spot")]
    (finding,) = said(SPOT, *both)
    says = "leaves 0 of chat/helper when pods of higher rank need its nodes, half its least is 1"
    assert says in finding.place.message
    assert "let capacity.priority be standard" in finding.place.message
    assert finding.place.path == "capacity.priority"
    assert said(SPOT, changed(named(SERVER), preempted)) == [], "P13 is about spot nodes alone"


def test_a_model_that_may_sleep_is_judged_awake() -> None:
    asleep = changed(named(BASE), setting("spec replicas", GONE))
    scaler = changed(named("ScaledObject chat/helper-spot"), setting("metadata name", "helper"))
    scaler = changed(scaler, setting("spec scaleTargetRef name", "helper"))
    scaler = changed(scaler, setting("spec minReplicaCount", 0))
    sleepy = Scaling(min=2, max=3, scale_to_zero=True)
    assert len(said(SPOT, asleep, scaler)) == 1
    assert said(SPOT, asleep, scaler, wished=respecified("chat/helper", scaling=sleepy)) == []
