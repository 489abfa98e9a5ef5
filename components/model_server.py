"""ModelServer: one model as running pods, with the Service, budget and walls around them."""

from __future__ import annotations

import math
from typing import Final

from components.kube import ROLE, Object, apart, head, spot_first
from components.model_network import LABEL_VERSION, ports_of, server_ports, services, wall
from components.model_pod import container, notes, pod
from model_specs.names import LABEL_ROLE, LABEL_TRACK
from regions.model_plan import ServerPlan, TrackPlan, WorkloadPlan

_STARTUP_PERIOD_SECONDS: Final = 10


def account(work: WorkloadPlan) -> Object:
    """The pods' own ServiceAccount; on AWS it may read its project's models, or a job's data."""
    role = {ROLE: work.reader_role_arn} if work.reader_role_arn else {}
    made = head("v1", "ServiceAccount", work.model, work.namespace, work.labels, role)
    return made | {"automountServiceAccountToken": False}


def _get(path: str) -> Object:
    return {"httpGet": {"path": path, "port": "http"}}


def _probes(track: TrackPlan) -> Object:
    """Startup as long as the plan's budget; then ready is quick (5 s x 2) and live patient."""
    failures = math.ceil(track.startup.budget_seconds / _STARTUP_PERIOD_SECONDS)
    live = {"failureThreshold": 10, "periodSeconds": 10, "timeoutSeconds": 5}
    ready = {"failureThreshold": 2, "periodSeconds": 5, "timeoutSeconds": 2}
    start = {
        "failureThreshold": failures,
        "periodSeconds": _STARTUP_PERIOD_SECONDS,
        "timeoutSeconds": 5,
    }
    return {
        "livenessProbe": _get(track.listen.live_path) | live,
        "readinessProbe": _get(track.listen.ready_path) | ready,
        "startupProbe": _get(track.listen.ready_path) | start,
    }


def _labels(plan: ServerPlan, track: TrackPlan) -> dict[str, str]:
    return {**plan.workload.labels, LABEL_ROLE: "model-server", LABEL_TRACK: track.track}


def _spread(plan: ServerPlan, track: TrackPlan, labels: dict[str, str]) -> Object:
    """Over nodes, and zones where there are several; GPUs are scarce, so only wishes."""
    # Of all tracks: a candidate's or a spot node's pod is a replica of the same model.
    others = apart({**plan.workload.labels, LABEL_ROLE: "model-server"})
    nodes = {"affinity": {**spot_first(track.placement), **others}}
    if not plan.spread_zones:
        return nodes
    constraint = {
        "labelSelector": {"matchLabels": labels},
        "matchLabelKeys": ["pod-template-hash"],
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
    }
    return {**nodes, "topologySpreadConstraints": [constraint]}


def _notes(track: TrackPlan) -> dict[str, str]:
    """What every model's pod says, and where a Prometheus without an operator finds the metrics."""
    return {
        **notes(track.weights, has_data=False),
        "prometheus.io/path": track.listen.metrics_path,
        "prometheus.io/port": str(track.listen.metrics_port),
        "prometheus.io/scrape": "true",
    }


def deployment(plan: ServerPlan, track: TrackPlan) -> Object:
    """One track's Deployment."""
    labels = _labels(plan, track)
    stop = {"preStop": {"sleep": {"seconds": track.drain.pre_stop_seconds}}}
    main = {
        **container(plan.workload, track.container, track.placement, track.weights),
        **_probes(track),
        "lifecycle": stop,
        "ports": [
            {"containerPort": port, "name": name} for port, name in ports_of(track.listen).items()
        ],
    }
    whole = {
        **pod(plan.workload, track.container, track.placement, track.weights, main),
        **_spread(plan, track, labels),
        "terminationGracePeriodSeconds": track.drain.grace_seconds,
    }
    name, namespace = track.name, plan.workload.namespace
    return head("apps/v1", "Deployment", name, namespace, labels, {}) | {
        "spec": {
            # An autoscaler begins from it, and alone sets it from then on (components.ownership).
            "replicas": max(track.scaler.min, 1),
            "progressDeadlineSeconds": track.startup.progress_deadline_seconds,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": labels},
            "strategy": {
                "rollingUpdate": {"maxSurge": track.surge, "maxUnavailable": track.unavailable},
                "type": "RollingUpdate",
            },
            "template": {
                "metadata": {
                    "annotations": _notes(track),
                    "labels": {**labels, LABEL_VERSION: track.role},
                },
                "spec": whole,
            },
        }
    }


def _budget(plan: ServerPlan) -> list[Object]:
    """At most one pod is drained at a time, and a broken one never blocks a node's drain."""
    if sum(track.scaler.max for track in plan.tracks) < 2:
        return []  # a budget over a single pod only stops people from draining its node
    work = plan.workload
    return [
        head("policy/v1", "PodDisruptionBudget", work.model, work.namespace, work.labels, {})
        | {
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": {**work.labels, LABEL_ROLE: "model-server"}},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            }
        }
    ]


def objects(plan: ServerPlan) -> list[Object]:
    """Everything that runs and guards one model."""
    callers = (*plan.access.caller_namespaces, *plan.access.proxy_namespaces)
    return [
        account(plan.workload),
        *(deployment(plan, track) for track in plan.tracks),
        *services(plan),
        *_budget(plan),
        wall(plan.workload, server_ports(plan), callers),
    ]
