"""Replicas have one owner, bounds that the region can keep, and no metric whose loss reads as 0."""

from __future__ import annotations

from typing import Any, Final

import pytest

from model_specs.scaling import Scaling
from policies.rule import Rule
from policies.scaling import RULES
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
from tests.policies.estate import added, changed, named, said

STATED, BOUNDS, ASKED, LOAD, FALLBACK = RULES
KEDA: Final = "ScaledObject search/embedder"
HPA: Final = "HorizontalPodAutoscaler search/embedder"
SERVER: Final = "Deployment search/embedder"
LARGE: Final = "Deployment chat/assistant"
FIXED: Final = "Deployment chat/helper"
CANDIDATE: Final = "Deployment vision/tagger-candidate"
WINDOW: Final = "behavior scaleDown stabilizationWindowSeconds"
OF_KEDA: Final = "spec advanced horizontalPodAutoscalerConfig"
TRIGGER: Final = "spec triggers 0"
YIELDS: Final = "metadata annotations validations.keda.sh/hpa-ownership"
ON_PREM: Final = "sandbox-onprem"
QUERY: Final = f"{TRIGGER} metadata query"
OWN: Final = 'isoserve_dev_project="search",isoserve_dev_model="embedder"'
WAITING, RUNNING = "te_queue_size", "te_request_inference_duration_sum"
BOTH: Final = "sum({0}{{{1}}}) + sum({2}{{{1}}})"
CASES: Final = (
    *(
        Case(rule=STATED, of=of, path=path, value=value, says=says, field=field, region=region)
        for of, path, value, says, field, region in (
            (KEDA, "spec minReplicaCount", GONE, "between None and 2", "scaling", "sandbox-aws"),
            (KEDA, "spec minReplicaCount", 3, "scales between 3 and 2", "scaling", "sandbox-aws"),
            (KEDA, "spec minReplicaCount", -1, "scales between -1", "scaling", "sandbox-aws"),
            (KEDA, "spec maxReplicaCount", GONE, "between 1 and None", "scaling", "sandbox-aws"),
            (KEDA, "spec triggers", [], "has no signal", "scaling.queue_depth", "sandbox-aws"),
            (HPA, "spec minReplicas", GONE, "scales between None and 2", "scaling", ON_PREM),
            (HPA, "spec maxReplicas", 0, "scales between 1 and 0", "scaling", ON_PREM),
            (HPA, "spec metrics", GONE, "has no signal", "scaling.queue_depth", ON_PREM),
            (HPA, YIELDS, GONE, "have KEDA's webhook refuse the ScaledObject", "scaling", ON_PREM),
            (HPA, YIELDS, "true", "have KEDA's webhook refuse", "scaling", ON_PREM),
        )
    ),
    *(
        Case(rule=BOUNDS, of=of, path=path, value=value, says=says, field=field, on=on,
             region=region)
        for of, path, value, says, field, on, region in (
            (SERVER, "spec replicas", GONE, "begins with None replicas, ScaledObject search",
             "scaling.min", SERVER, "sandbox-aws"),
            (SERVER, "spec replicas", 0, "begins with 0 replicas", "scaling.min", SERVER,
             "sandbox-aws"),
            (FIXED, "spec replicas", GONE, "has neither replicas nor an autoscaler",
             "scaling", FIXED, "sandbox-aws"),
            (FIXED, "spec replicas", 17, "may have 17 pods, on_demand gpu.l4.1 holds 16",
             "scaling.max", FIXED, "sandbox-aws"),
            ("ScaledObject chat/assistant", "spec maxReplicaCount", 4,
             "may have 4 pods, on_demand gpu.l40s.4 holds 3", "scaling.max", LARGE, "sandbox-aws"),
            ("ScaledObject chat/assistant", "spec maxReplicaCount", GONE,
             "may have 100 pods", "scaling.max", LARGE, "sandbox-aws"),
            (LARGE, "spec template spec nodeSelector isoserve.dev/machine-type", "gpu.h100.8",
             "on_demand gpu.h100.8 holds 0", "scaling.max", LARGE, "sandbox-aws"),
            (KEDA, f"{OF_KEDA} {WINDOW}", 299, "loses a pod after 299 s",
             "scaling", SERVER, "sandbox-aws"),
            (KEDA, "spec advanced", GONE, "loses a pod after None s",
             "scaling", SERVER, "sandbox-aws"),
            ("ScaledObject chat/assistant", f"{OF_KEDA} {WINDOW}", 600,
             "loses a pod after 600 s of low load, a new one takes 910 to start",
             "scaling", LARGE, "sandbox-aws"),
            (HPA, f"spec {WINDOW}", GONE, "loses a pod after None s", "scaling", SERVER, ON_PREM),
        )
    ),
    Case(rule=ASKED, of=KEDA, says="has no autoscaler and 1 pods", field="scaling.max", on=SERVER),
    Case(
        rule=BOUNDS,
        of=SERVER,
        says="scales Deployment search/embedder, which is not made",
        field="scaling",
        on=KEDA,
    ),
    *(
        Case(rule=ASKED, of=of, path=path, value=value, says=says, field=field, on=on)
        for of, path, value, says, field, on in (
            (KEDA, "spec minReplicaCount", 0, "keep 0 pods, the spec asks for 1",
             "scaling.min", SERVER),
            (KEDA, "spec minReplicaCount", GONE, "keep 0 pods", "scaling.min", SERVER),
            (KEDA, "spec maxReplicaCount", 3, "may have 3 pods, the spec allows 2",
             "scaling.max", SERVER),
            (FIXED, "spec replicas", 0, "keep 1 pods, the spec asks for 2", "scaling.min", FIXED),
            (CANDIDATE, "spec replicas", 0, "keep 0 pods", "scaling.min", CANDIDATE),
            (CANDIDATE, "spec replicas", 9, "may have 9 pods", "scaling.max", CANDIDATE),
        )
    ),
    *(
        Case(rule=LOAD, of=KEDA, path=QUERY, value=query, says=says, field="scaling.queue_depth",
             times=times, region="sandbox-aws")
        for query, says, times in (
            (BOTH.format(WAITING, OWN, RUNNING),
             "scales on the requests of candidate, spot, stable", 1),
            (BOTH.format(WAITING, f'{OWN},isoserve_dev_track="candidate"', RUNNING),
             "scales on the requests of candidate; measure spot, stable", 1),
            (f'sum({WAITING}{{{OWN},isoserve_dev_track=~"stable|spot"}})',
             f"does not measure {RUNNING}", 1),
            ("vector(1)", "scales on the requests of no track", 2),
        )
    ),
    *(
        Case(rule=FALLBACK, of=KEDA, path=path, value=value, says=says, field=field)
        for path, value, says, field in (
            ("spec fallback replicas", 0, "keeps 0 pods without metrics, its least is 1",
             "scaling.min"),
            ("spec minReplicaCount", 2, "keeps 1 pods without metrics, its least is 2",
             "scaling.min"),
            ("spec fallback failureThreshold", GONE, "never falls back", "scaling"),
            ("spec fallback behavior", GONE, "falls back to a fixed number", "scaling"),
            (f"{TRIGGER} metadata ignoreNullValues", GONE, "takes a lost metric for 0",
             "scaling.queue_depth"),
            (f"{TRIGGER} metadata ignoreNullValues", "true", "takes a lost metric for 0",
             "scaling.queue_depth"),
            (f"{TRIGGER} metricType", "Value", "is scaled by Value", "scaling.queue_depth"),
            (f"{TRIGGER} type", "cpu", "is scaled by cpu, of which a loss", "scaling.queue_depth"),
        )
    ),
    Case(rule=FALLBACK, of=KEDA, path="spec fallback", says="without metrics", times=3,
         field="scaling"),
)  # fmt: skip
CASES_OF_ONE: Final = tuple(case for case in CASES if case.times == 1)
FAILING: Final = failing(CASES)


@pytest.mark.parametrize("case", CASES_OF_ONE, ids=str)
def test_one_field_makes_the_difference(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", with_path(CASES), ids=str)
def test_a_field_that_is_not_known_yet_is_no_good_field(case: Case) -> None:
    check_unknown(case)


@pytest.mark.parametrize(
    ("rule", "label", "path", "value", "region"),
    [
        (STATED, KEDA, "spec minReplicaCount", 0, "sandbox-aws"),
        (STATED, KEDA, "spec minReplicaCount", 2, "sandbox-aws"),
        (BOUNDS, FIXED, "spec replicas", 16, "sandbox-aws"),
        (BOUNDS, "ScaledObject search/ranker", f"{OF_KEDA} {WINDOW}", 580, "sandbox-aws"),
        (BOUNDS, HPA, f"spec {WINDOW}", 580, ON_PREM),
        (FALLBACK, KEDA, "spec fallback failureThreshold", 1, "sandbox-aws"),
        (FALLBACK, KEDA, "spec minReplicaCount", 1, "sandbox-aws"),
    ],
)
def test_exactly_enough_is_enough(
    rule: Rule, label: str, path: str, value: int, region: str
) -> None:
    assert said(rule, changed(named(label, region), setting(path, value)), region=region) == []


def test_nobody_is_asked_to_wait_longer_than_kubernetes_can() -> None:
    slow = changed(
        named(SERVER), setting("spec template spec containers 0 startupProbe failureThreshold", 999)
    )
    for seconds, refused in ((3599, 1), (3600, 0)):
        scaler = changed(named(KEDA), setting(f"{OF_KEDA} {WINDOW}", seconds))
        assert len(said(BOUNDS, slow, scaler)) == refused


def test_a_quick_start_is_no_reason_to_be_hasty() -> None:
    quick = changed(
        named(SERVER), setting("spec template spec containers 0 startupProbe failureThreshold", 2)
    )
    for seconds, refused in ((299, 1), (300, 0)):
        scaler = changed(named(KEDA), setting(f"{OF_KEDA} {WINDOW}", seconds))
        assert len(said(BOUNDS, quick, scaler)) == refused


def test_without_a_fallback_everything_about_it_is_said() -> None:
    found = said(FALLBACK, changed(named(KEDA), setting("spec fallback", GONE)))
    assert [finding.place.path for finding in found] == ["scaling", "scaling", "scaling.min"]


def second(name: str) -> Any:
    """Another autoscaler of the same Deployment."""
    values = {**named(KEDA).values, "metadata": {**named(KEDA).metadata, "name": name}}
    return added(values)


def test_two_autoscalers_of_one_deployment_would_fight() -> None:
    (finding,) = said(BOUNDS, second("rival"))
    assert "scales Deployment search/embedder, as 1 others do" in finding.place.message


def test_only_who_asks_for_it_is_scaled_to_zero() -> None:
    asleep = changed(named(KEDA), setting("spec minReplicaCount", 0))
    sleepy = respecified("search/embedder", scaling=Scaling(scale_to_zero=True))
    assert len(said(ASKED, asleep)) == 1
    assert said(ASKED, asleep, wished=sleepy) == []


def test_a_model_is_judged_by_all_its_nodes_together() -> None:
    findings = said(ASKED, without="Deployment chat/helper-spot")
    less, unscaled = (finding.place.message for finding in findings)
    assert "keep 1 pods, the spec asks for 2" in less
    assert "has no autoscaler and 1 pods, the spec asks for up to 3" in unscaled
    assert {finding.resource for finding in findings} == {FIXED}


def test_cpu_is_no_signal_where_there_is_a_better_one() -> None:
    hpa = named(HPA, ON_PREM)
    assert hpa.spec["metrics"][0]["type"] == "Resource", "the region has nothing better"
    assert not said(LOAD, region=ON_PREM)
    (finding,) = said(LOAD, hpa, without=KEDA, region="sandbox-aws")
    assert "scales on CPU" in finding.place.message
