"""ReplicaAutoscaler: who sets the replicas of each track, and on which signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from components.kube import Object, head
from regions.model_plan import ScalerPlan, ServerPlan, TrackPlan

_POLL_SECONDS: Final = 30
_FALLBACK_AFTER: Final = 3
_CPU_PERCENT: Final = 70
LOAD: Final = "isoserve_requests_in_server"
"""The metric of each pod that an HPA reads, whatever its runtime; our rules record it."""
_YIELDS_TO_KEDA: Final = {"validations.keda.sh/hpa-ownership": "false"}
"""KEDA's webhook refuses a ScaledObject for a Deployment that another HPA scales, but for one that
says this. Pulumi makes the new object before it deletes the old one, so where a region gains KEDA
both are there for a moment; Kubernetes then lets neither scale, and no replica is lost. The name
that KEDA gives its own HPA (keda-hpa-...) is another, so the way back is as safe.
Source: apis/keda/v1alpha1/scaledobject_webhook.go of KEDA 2.21."""


def _behavior(scaler: ScalerPlan) -> Object:
    """Up at once and at most double, down one pod a window of twice the cold start."""
    return {
        "scaleDown": {
            "policies": [{"periodSeconds": 60, "type": "Pods", "value": 1}],
            "stabilizationWindowSeconds": scaler.scale_down_seconds,
        },
        "scaleUp": {
            "policies": [{"periodSeconds": 60, "type": "Percent", "value": 100}],
            "stabilizationWindowSeconds": 0,
        },
    }


def _prometheus(scaler: ScalerPlan, query: str, threshold: int, activation: int) -> Object:
    """A trigger on a query. A lost metric must be an error: KEDA's default reads it as 0."""
    return {
        "metadata": {
            "activationThreshold": str(activation),
            "ignoreNullValues": "false",
            "query": query,
            "serverAddress": scaler.prometheus_url,
            "threshold": str(threshold),
        },
        "metricType": "AverageValue",
        "type": "prometheus",
    }


def _triggers(scaler: ScalerPlan) -> list[Object]:
    """The load; the wake-up signal, seen outside the pod; windows, which are floors only."""
    query = scaler.query
    if scaler.carried:
        query = f"clamp_min({query} - {scaler.carried}, 0)"
    # At zero there is no series; elsewhere a missing one must be an error and reach the fallback.
    if scaler.wake_query:
        query = f"{query} or vector(0)"
    load = _prometheus(scaler, query, scaler.threshold, 0)
    wake = [_prometheus(scaler, scaler.wake_query, 1, 0)] if scaler.wake_query else []
    windows = [
        {
            "metadata": {
                "desiredReplicas": str(window.replicas),
                "end": window.end,
                "start": window.start,
                "timezone": window.timezone,
            },
            "type": "cron",
        }
        for window in scaler.schedules
    ]
    return [load, *wake, *windows]


def _sleep(scaler: ScalerPlan) -> Object:
    """When the last replica goes, and how often a model without one is looked at.

    KEDA warns of both where one replica always stays (keda 2.21, scaledobject_webhook.go).
    """
    if scaler.min:
        return {}
    return {"cooldownPeriod": scaler.idle_seconds, "pollingInterval": _POLL_SECONDS}


def _scaled_object(plan: ServerPlan, track: TrackPlan) -> list[Object]:
    scaler, work = track.scaler, plan.workload
    labels = {**work.labels, "isoserve.dev/track": track.track}
    return [
        head("keda.sh/v1alpha1", "ScaledObject", track.name, work.namespace, labels, {})
        | {
            "spec": {
                # KEDA writes the whole object when it labels it, as it reads it: without a false
                # restoreToOriginalReplicaCount, which each refresh would miss then, and with empty
                # scalingModifiers, which each would name as KEDA's if they were not ours (keda
                # 2.21, scaledobject_controller.go and scaledobject_types.go).
                "advanced": {
                    "horizontalPodAutoscalerConfig": {"behavior": _behavior(scaler)},
                    "scalingModifiers": {},
                },
                # Metrics lost: keep what runs, and at least the least that is promised.
                "fallback": {
                    "behavior": "currentReplicasIfHigher",
                    "failureThreshold": _FALLBACK_AFTER,
                    "replicas": max(scaler.min, 1),
                },
                "maxReplicaCount": scaler.max,
                "minReplicaCount": scaler.min,
                "scaleTargetRef": {"kind": "Deployment", "name": track.name},
                "triggers": _triggers(scaler),
                **_sleep(scaler),
            }
        }
    ]


def _horizontal(plan: ServerPlan, track: TrackPlan, metric: Object) -> list[Object]:
    scaler, work = track.scaler, plan.workload
    labels = {**work.labels, "isoserve.dev/track": track.track}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": track.name}
    kind = "HorizontalPodAutoscaler"
    return [
        head("autoscaling/v2", kind, track.name, work.namespace, labels, _YIELDS_TO_KEDA)
        | {
            "spec": {
                "behavior": _behavior(scaler),
                "maxReplicas": scaler.max,
                "metrics": [metric],
                "minReplicas": scaler.min,
                "scaleTargetRef": target,
            }
        }
    ]


def _hpa_queue(plan: ServerPlan, track: TrackPlan) -> list[Object]:
    target = {"averageValue": str(track.scaler.threshold), "type": "AverageValue"}
    pods = {"metric": {"name": LOAD}, "target": target}
    return _horizontal(plan, track, {"pods": pods, "type": "Pods"})


def _hpa_cpu(plan: ServerPlan, track: TrackPlan) -> list[Object]:
    target = {"averageUtilization": _CPU_PERCENT, "type": "Utilization"}
    resource = {"name": "cpu", "target": target}
    return _horizontal(plan, track, {"resource": resource, "type": "Resource"})


def _fixed(plan: ServerPlan, track: TrackPlan) -> list[Object]:
    return []


_KINDS: Final[dict[str, Callable[[ServerPlan, TrackPlan], list[Object]]]] = {
    "fixed": _fixed,
    "hpa_cpu": _hpa_cpu,
    "hpa_queue": _hpa_queue,
    "scaled_object": _scaled_object,
}


def objects(plan: ServerPlan) -> list[Object]:
    """One autoscaler for each track that is not fixed."""
    return [made for track in plan.tracks for made in _KINDS[track.scaler.kind](plan, track)]
