"""The legal autoscalers, scrapes, alerts, dashboards and configurations."""

from __future__ import annotations

import json
from typing import Any, Final

from model_specs.load import Model
from model_specs.names import (
    CACHE_ACCOUNT,
    CACHE_NAMESPACE,
    GATEWAY_NAMESPACE,
    LABEL_MODEL,
    LABEL_PROJECT,
    LABEL_ROLE,
    LABEL_TRACK,
    PROBER,
    SYSTEM_NAMESPACE,
)
from model_specs.runtimes import Runtime, load
from policies.legal import alerts
from policies.legal.asked import (
    Plain,
    bounds,
    floor,
    head,
    labels_of_model,
    labels_of_project,
    matchers,
    model_of,
    of_role,
    runtime_of,
    selected,
)
from policies.legal.configs import KEPT, PROBES
from policies.legal.model_pods import budget_seconds
from policies.legal.own_pods import agent_name, of_agent
from policies.legal.shapes import ABSENT, Asked, Subject, Text, document_in
from policies.models import is_candidate


def _config(metadata: Plain, data: Any) -> Plain:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


_BOARD: Final = {"grafana_dashboard": "1"}
_DRAWN: Final = Text(r"(?s)\{.*\}")
"""A dashboard, which is only drawn."""


def _of_board(subject: Subject) -> Plain:
    return {**labels_of_model(subject), **_BOARD}


def _only(key: str, subject: Subject) -> Any:
    """The data as it is where it has this key and no other."""
    data = subject.resource.values.get("data") or {}
    return data if [*data] == [key] else {key: "..."}


def _board_file(subject: Subject) -> Any:
    model = model_of(subject)
    return _only(f"{model.project}-{model.name}.json", subject)


MODEL_BOARD: Final = _config(
    head(_of_board, lambda subject: f"{model_of(subject).name}-dashboard"), Asked(_board_file)
)
REGION_BOARD: Final = _config(
    head(
        lambda subject: {**_BOARD, LABEL_ROLE: "dashboard"},
        lambda subject: "isoserve-dashboard",
        lambda subject: SYSTEM_NAMESPACE,
    ),
    {"isoserve-region.json": _DRAWN},
)


def _of_prober(subject: Subject) -> Plain:
    return {**labels_of_project(subject), LABEL_ROLE: PROBER}


PROBER_CONFIG: Final = _config(head(_of_prober, lambda subject: PROBER), {"config.json": PROBES})
AGENT_CONFIG: Final = _config(
    head(of_agent, agent_name, lambda subject: CACHE_NAMESPACE),
    {"models.json": KEPT},
)


def _rule_file(subject: Subject) -> Any:
    model = model_of(subject)
    key = f"{model.project}-{model.name}.rules.yaml"
    text = (subject.resource.values.get("data") or {}).get(key)
    wanted = alerts.in_file(subject, document_in(text or ""))
    # As text: whatever the document's spaces are, its content is what counts.
    return {key: text if document_in(text or "") == wanted else json.dumps(wanted)}


RULE_FILE: Final = _config(
    head(labels_of_model, lambda subject: f"{model_of(subject).name}-rules"), Asked(_rule_file)
)


def _monitor(metadata: Plain, spec: Plain) -> Plain:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata,
        "spec": spec,
    }


def _named_metrics(seconds: int) -> list[Plain]:
    return [{"interval": f"{seconds}s", "path": "/metrics", "port": "metrics"}]


PROBER_MONITOR: Final = _monitor(
    head(selected(_of_prober), lambda subject: PROBER),
    {
        "podMetricsEndpoints": _named_metrics(4),
        "selector": {"matchLabels": Asked(_of_prober)},
    },
)
AGENT_MONITOR: Final = _monitor(
    head(
        selected(of_role("cache-agent")),
        lambda subject: CACHE_ACCOUNT,
        lambda subject: CACHE_NAMESPACE,
    ),
    {
        "podMetricsEndpoints": _named_metrics(30),
        "selector": {"matchLabels": {LABEL_ROLE: "cache-agent"}},
    },
)


def _gateway(subject: Subject) -> str:
    name = str(subject.resource.metadata.get("name"))
    return name if name in ("internal-proxies", "public-proxies") else "internal-proxies"


def _proxies(subject: Subject) -> Plain:
    owner = "gateway.envoyproxy.io/owning-gateway"
    name = _gateway(subject).removesuffix("-proxies")
    return {f"{owner}-name": name, f"{owner}-namespace": GATEWAY_NAMESPACE}


PROXY_MONITOR: Final = _monitor(
    head(selected(lambda subject: {}), _gateway, lambda subject: GATEWAY_NAMESPACE),
    {
        "namespaceSelector": {
            "matchNames": Asked(lambda subject: [*subject.facts.profile.proxy_namespaces])
        },
        "podMetricsEndpoints": [
            {"interval": "15s", "path": "/stats/prometheus", "port": "metrics"}
        ],
        "selector": {"matchLabels": Asked(_proxies)},
    },
)


def _version(subject: Subject) -> str:
    """The version that a monitor is for, by its name."""
    name = str(subject.resource.metadata.get("name"))
    model = model_of(subject)
    is_other = name == f"{model.name}-candidate" and model.spec.rollout.candidate is not None
    return "candidate" if is_other else "stable"


def _version_runtime(model: Model, version: str) -> Runtime:
    candidate = model.spec.rollout.candidate if version == "candidate" else None
    image = (candidate.image if candidate else None) or model.spec.image
    return model.spec.contract_of(image)


def _monitor_name(subject: Subject) -> str:
    name = model_of(subject).name
    return name if _version(subject) == "stable" else f"{name}-candidate"


def _scraped(subject: Subject) -> list[Plain]:
    runtime = _version_runtime(model_of(subject), _version(subject))
    port = runtime.metrics_port
    return [{"interval": "15s", "path": runtime.metrics_path, "portNumber": port}]


MODEL_MONITOR: Final = _monitor(
    head(selected(labels_of_model), _monitor_name),
    {
        "podMetricsEndpoints": Asked(_scraped),
        "podTargetLabels": [LABEL_PROJECT, LABEL_MODEL, LABEL_TRACK],
        "selector": {
            "matchLabels": Asked(
                lambda subject: {
                    **labels_of_model(subject),
                    "isoserve.dev/version": _version(subject),
                }
            )
        },
    },
)


def _track_name(subject: Subject) -> str:
    track, name = str(subject.resource.labels.get(LABEL_TRACK)), model_of(subject).name
    return f"{name}-{track}" if track in ("spot", "candidate") else name


def _of_scaler(subject: Subject) -> Plain:
    track = _track_name(subject).removeprefix(model_of(subject).name).strip("-") or "stable"
    return {**labels_of_model(subject), LABEL_TRACK: track}


def _behavior(subject: Subject) -> Plain:
    window = min(max(300, 2 * budget_seconds(subject)), 3600)
    return {
        "scaleDown": {
            "policies": [{"periodSeconds": 60, "type": "Pods", "value": 1}],
            "stabilizationWindowSeconds": window,
        },
        "scaleUp": {
            "policies": [{"periodSeconds": 60, "type": "Percent", "value": 100}],
            "stabilizationWindowSeconds": 0,
        },
    }


def _track(subject: Subject) -> str:
    return "candidate" if is_candidate(subject.resource) else "stable"


def _sleeps(subject: Subject) -> bool:
    """Whether none may be left: asked for, and where the region can wake it."""
    wished = model_of(subject).spec.scaling.scale_to_zero and _track(subject) == "stable"
    return wished and subject.resource.spec.get("minReplicaCount") == 0


def _least(subject: Subject) -> int:
    return 0 if _sleeps(subject) else bounds(subject).least


def _prometheus(subject: Subject, query: str, threshold: int) -> Plain:
    return {
        "metadata": {
            "activationThreshold": "0",
            "ignoreNullValues": "false",
            "query": query,
            "serverAddress": subject.facts.profile.prometheus_url,
            "threshold": str(threshold),
        },
        "metricType": "AverageValue",
        "type": "prometheus",
    }


def _wake_query(model: Model) -> str:
    cluster = f'envoy_cluster_name=~"httproute/{model.project}/{model.name}/rule/1"'
    return (
        f"(sum(rate(envoy_cluster_upstream_rq_total{{{cluster}}}[2m])) or vector(0))"
        f" + (sum(rate(envoy_cluster_upstream_cx_none_healthy{{{cluster}}}[2m])) or vector(0))"
        f" > bool 0"
    )


def _triggers(subject: Subject) -> list[Plain]:
    model, own = model_of(subject), bounds(subject)
    scaling = model.spec.scaling
    query = load(runtime_of(subject), matchers(model, _track(subject)))
    if own.others:
        query = f"clamp_min({query} - {own.others * scaling.queue_depth}, 0)"
    wakes = []
    if _sleeps(subject):
        query = f"{query} or vector(0)"
        wakes = [_prometheus(subject, _wake_query(model), 1)]
    return [_prometheus(subject, query, scaling.queue_depth), *wakes, *_windows(subject)]


def _windows(subject: Subject) -> list[Plain]:
    own, found = bounds(subject), []
    for window in model_of(subject).spec.scaling.schedules:
        replicas = min(max(window.replicas - own.others, 0), own.most)
        if replicas > own.least:
            metadata = {
                "desiredReplicas": str(replicas),
                "end": window.end,
                "start": window.start,
                "timezone": window.timezone,
            }
            found.append({"metadata": metadata, "type": "cron"})
    return found


def _idle_seconds(subject: Subject) -> Any:
    return ABSENT if _least(subject) else model_of(subject).spec.scaling.idle_seconds


SCALED_OBJECT: Final[Plain] = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": head(_of_scaler, _track_name),
    "spec": {
        "advanced": {
            "horizontalPodAutoscalerConfig": {"behavior": Asked(_behavior)},
            "scalingModifiers": {},
        },
        "cooldownPeriod": Asked(_idle_seconds),
        "fallback": {
            "behavior": "currentReplicasIfHigher",
            "failureThreshold": 3,
            "replicas": Asked(lambda subject: max(_least(subject), 1)),
        },
        "maxReplicaCount": Asked(lambda subject: bounds(subject).most),
        "minReplicaCount": Asked(_least),
        "pollingInterval": Asked(lambda subject: ABSENT if _least(subject) else 30),
        "scaleTargetRef": {"kind": "Deployment", "name": Asked(_track_name)},
        "triggers": Asked(_triggers),
    },
}


def _metrics(subject: Subject) -> list[Plain]:
    if "custom_metrics" in subject.facts.profile.all_capabilities:
        depth = str(model_of(subject).spec.scaling.queue_depth)
        pods = {
            "metric": {"name": "isoserve_requests_in_server"},
            "target": {"averageValue": depth, "type": "AverageValue"},
        }
        return [{"pods": pods, "type": "Pods"}]
    cpu = {"name": "cpu", "target": {"averageUtilization": 70, "type": "Utilization"}}
    return [{"resource": cpu, "type": "Resource"}]


HPA: Final[Plain] = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": head(
        _of_scaler,
        _track_name,
        annotations=lambda subject: {"validations.keda.sh/hpa-ownership": "false"},
    ),
    "spec": {
        "behavior": Asked(_behavior),
        "maxReplicas": Asked(lambda subject: bounds(subject).most),
        "metrics": Asked(_metrics),
        "minReplicas": Asked(floor),
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": Asked(_track_name),
        },
    },
}
PROMETHEUS_RULE: Final[Plain] = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "PrometheusRule",
    "metadata": head(selected(labels_of_model)),
    "spec": {"groups": Asked(alerts.in_object)},
}
