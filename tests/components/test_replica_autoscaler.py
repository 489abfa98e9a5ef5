"""Each autoscaler targets a Deployment, knows a lost metric from a quiet one, and is bounded."""

from __future__ import annotations

import pytest

from components.kube import Object
from components.ownership import left_alone, targeted
from components.replica_autoscaler import LOAD, objects
from regions.model_plan import ScalerPlan, SchedulePlan
from tests.builders import a_scaler, a_server, a_track
from tests.examples import REGIONS, Identity, by_identity, identity, objects_of, plan_of

every_region = pytest.mark.parametrize("region", REGIONS)
KINDS = ("HorizontalPodAutoscaler", "ScaledObject")
WAKE = "sum(rate(envoy_cluster_upstream_rq_total[2m]))"


def made_by(scaler: ScalerPlan) -> list[Object]:
    return objects(a_server(tracks=(a_track(scaler=scaler),)))


def scaled_object(scaler: ScalerPlan | None = None) -> Object:
    (made,) = made_by(scaler or a_scaler())
    assert made["kind"] == "ScaledObject"
    spec: Object = made["spec"]
    return spec


@every_region
def test_every_autoscaler_targets_a_deployment_whose_replicas_are_left_to_it(region: str) -> None:
    found = by_identity(objects_of(region))
    scalers = [made for made in found.values() if made["kind"] in KINDS]
    assert scalers, "a region without autoscalers proves nothing"
    for made in scalers:
        target = made["spec"]["scaleTargetRef"]
        key = Identity("Deployment", made["metadata"]["namespace"], target["name"])
        assert target["kind"] == "Deployment"
        assert key in found, f"{identity(made)} scales nothing"
        kept = left_alone(found[key], targeted(scalers))
        assert "spec.replicas" in kept, "every `up` would undo the autoscaler"


@every_region
def test_a_deployment_has_an_autoscaler_exactly_when_nobody_fixed_it(region: str) -> None:
    scaled = {
        (made["metadata"]["namespace"], made["spec"]["scaleTargetRef"]["name"])
        for made in objects_of(region)
        if made["kind"] in KINDS
    }
    wanted = {
        (server.workload.namespace, track.name)
        for server in plan_of(region).servers
        for track in server.tracks
        if track.scaler.kind != "fixed"
    }
    assert scaled == wanted, "replicas without an owner, or with two"


@every_region
def test_no_autoscaler_is_of_a_kind_the_region_lacks(region: str) -> None:
    kinds = {made["kind"] for made in objects_of(region) if made["kind"] in KINDS}
    keda = "keda" in plan_of(region).capabilities
    assert kinds == {"ScaledObject" if keda else "HorizontalPodAutoscaler"}


@every_region
def test_every_prometheus_trigger_takes_a_lost_metric_for_an_error(region: str) -> None:
    for made in objects_of(region):
        if made["kind"] == "ScaledObject":
            for trigger in made["spec"]["triggers"]:
                if trigger["type"] == "prometheus":
                    assert trigger["metadata"]["ignoreNullValues"] == "false", (
                        "KEDA's default reads no data as 0 and takes the replicas away"
                    )
                    assert all(isinstance(v, str) for v in trigger["metadata"].values()), (
                        "KEDA's metadata is strings"
                    )
            fallback = made["spec"]["fallback"]
            assert fallback["replicas"] >= max(made["spec"]["minReplicaCount"], 1)
            assert fallback["behavior"] == "currentReplicasIfHigher", (
                "without metrics nothing may scale down what serves"
            )


def test_the_bounds_are_the_plans() -> None:
    spec = scaled_object(a_scaler(min=2, max=7))
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 7)
    assert "idleReplicaCount" not in spec, "it can only be 0, and min says it already"


def test_what_fixed_replicas_carry_is_no_work_for_those_that_scale() -> None:
    (load,) = scaled_object(a_scaler(query="load", carried=8))["triggers"]
    assert load["metadata"]["query"] == "clamp_min(load - 8, 0)", (
        "two replicas on demand take 4 each, the spot ones what is above"
    )


def test_a_warm_model_scales_on_its_requests_alone() -> None:
    (queue,) = scaled_object(a_scaler(threshold=9))["triggers"]
    assert queue["metadata"]["query"] == a_scaler().query, (
        "a missing series must reach the fallback, so nothing stands in for it"
    )
    assert queue["metadata"]["threshold"] == "9"
    assert queue["metricType"] == "AverageValue", "requests per replica"


def test_of_a_warm_model_nothing_is_said_that_keda_would_warn_of() -> None:
    spec = scaled_object(a_scaler(min=1))
    assert not {"cooldownPeriod", "pollingInterval"} & set(spec), "its last replica never goes"


def test_a_sleeping_model_has_a_signal_from_outside_and_a_queue_that_may_be_absent() -> None:
    spec = scaled_object(a_scaler(min=0, wake_query=WAKE))
    queue, wake = spec["triggers"]
    assert queue["metadata"]["query"].endswith(" or vector(0)"), "at zero there is no series"
    assert wake["metadata"]["query"] == WAKE
    assert spec["minReplicaCount"] == 0
    assert spec["cooldownPeriod"] == a_scaler().idle_seconds
    assert spec["pollingInterval"] == 30
    assert spec["fallback"]["replicas"] == 1, "without metrics it is awake"


def test_windows_are_floors() -> None:
    window = SchedulePlan(start="0 8 * * *", end="0 20 * * *", timezone="Asia/Seoul", replicas=2)
    triggers = scaled_object(a_scaler(schedules=(window,)))["triggers"]
    (cron,) = (t for t in triggers if t["type"] == "cron")
    assert cron["metadata"] == {
        "desiredReplicas": "2",
        "end": "0 20 * * *",
        "start": "0 8 * * *",
        "timezone": "Asia/Seoul",
    }
    assert len(triggers) == 2, "the queue still scales above the floor"


def test_deleting_the_autoscaler_leaves_the_replicas() -> None:
    assert "restoreToOriginalReplicaCount" not in scaled_object()["advanced"], (
        "it is off by default: the original count is 1, whatever the load is when it goes; KEDA "
        "drops a false that stands there, and each refresh would find that"
    )


@pytest.mark.parametrize("kind", ["scaled_object", "hpa_queue", "hpa_cpu"])
def test_replicas_come_fast_and_go_slowly(kind: str) -> None:
    (made,) = made_by(a_scaler(kind=kind, scale_down_seconds=1234))
    spec = made["spec"]
    behavior = (
        spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        if kind == "scaled_object"
        else spec["behavior"]
    )
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 1234, "two cold starts"
    assert behavior["scaleDown"]["policies"] == [
        {"periodSeconds": 60, "type": "Pods", "value": 1}
    ], "one at a time"
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0


@pytest.mark.parametrize(("kind", "source"), [("hpa_queue", "Pods"), ("hpa_cpu", "Resource")])
def test_without_keda_a_horizontal_autoscaler_takes_over(kind: str, source: str) -> None:
    (made,) = made_by(a_scaler(kind=kind, min=1, max=4, threshold=9))
    assert identity(made) == ("HorizontalPodAutoscaler", "search", "sentiment")
    spec = made["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 4)
    (metric,) = spec["metrics"]
    assert metric["type"] == source
    if kind == "hpa_queue":
        assert metric["pods"]["metric"]["name"] == LOAD, "one metric, whatever the runtime"
        assert metric["pods"]["target"]["averageValue"] == "9"


def test_fixed_replicas_have_no_autoscaler() -> None:
    assert made_by(a_scaler(kind="fixed", min=2, max=2)) == []


def test_each_track_is_scaled_by_itself() -> None:
    tracks = (a_track(), a_track(name="sentiment-candidate", track="candidate", role="candidate"))
    names = [identity(made).name for made in objects(a_server(tracks=tracks))]
    assert names == ["sentiment", "sentiment-candidate"]


# -- from one kind to the other --------------------------------------------------------------


def refused_by_keda(scaled: Object, others: list[Object]) -> str:
    """What KEDA's webhook says of a ScaledObject beside HPAs of others; empty when it passes.

    As `verifyHpas` of apis/keda/v1alpha1/scaledobject_webhook.go in KEDA 2.21 does: HPAs whose
    annotation `validations.keda.sh/hpa-ownership` is false are passed over.
    """
    target = scaled["spec"]["scaleTargetRef"]["name"]
    for hpa in others:
        notes = hpa["metadata"].get("annotations", {})
        if notes.get("validations.keda.sh/hpa-ownership") == "false":
            continue
        if hpa["spec"]["scaleTargetRef"]["name"] == target:
            return f"the workload is already managed by the hpa {hpa['metadata']['name']}"
    return ""


@pytest.mark.parametrize("kind", ["hpa_queue", "hpa_cpu"])
def test_a_region_that_gains_keda_hands_its_replicas_over(kind: str) -> None:
    (before,) = made_by(a_scaler(kind=kind))
    (after,) = made_by(a_scaler())
    assert refused_by_keda(after, [before]) == "", (
        "Pulumi makes the new object before it deletes the old one"
    )
    del before["metadata"]["annotations"]["validations.keda.sh/hpa-ownership"]
    assert refused_by_keda(after, [before]), "so it was before, and the `up` failed"
    assert before["metadata"]["name"] != f"keda-hpa-{after['metadata']['name']}", (
        "KEDA names its own HPA so: one name would make either refuse the other's"
    )
