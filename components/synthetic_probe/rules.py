"""Renders what Prometheus scrapes, records and calls for, one model at a time."""

from __future__ import annotations

import json
from typing import Any

from components.kube import Object, head, operator_head
from components.model_network import LABEL_VERSION
from components.service_dashboard import dashboard_uid, dashboard_url
from components.synthetic_probe import signals
from components.synthetic_probe.objects import SCRAPE_SECONDS
from model_specs.names import LABEL_MODEL, LABEL_PROJECT, LABEL_TRACK
from regions.model_plan import ListenPlan, ServerPlan
from regions.plan import RegionPlan

Group = dict[str, Any]

# Every window with how often it is computed: a long one moves slowly and costs most.
_EVERY = {"5m": "30s", "30m": "30s", "1h": "30s", "2h": "2m", "6h": "2m", "1d": "2m", "3d": "2m"}


def _records(server: ServerPlan, every: str) -> list[Group]:
    return [
        {"expr": signals.ratio(server, window), "record": f"{signals.RATIO}{window}"}
        for window, interval in _EVERY.items()
        if interval == every
    ]


def _alert(
    server: ServerPlan, name: str, expr: str, wait: str, severity: str, words: tuple[str, str]
) -> Group:
    work, (summary, description) = server.workload, words
    # A request that nobody wrote pages nobody: it may be wrong where the model is right.
    told = severity if server.probe.written else "ticket"
    return {
        "alert": name,
        "annotations": {
            "description": description,
            "runbook_url": server.slo.runbook_url,
            "summary": f"{work.id} {summary}",
        },
        "expr": expr,
        "for": wait,
        "labels": {"model": work.model, "project": work.project, "severity": told},
    }


def _failing(server: ServerPlan) -> Group:
    words = (
        "answers its probe wrongly",
        "{{ $value }} probes in a row failed: callers get no right answer, whatever the health "
        "checks say.",
    )
    return _alert(server, "ModelProbeFailing", signals.failing(server), "0s", "page", words)


def _absent(server: ServerPlan) -> Group:
    words = ("is not probed", "No probe was reported for 5 minutes: nobody knows whether it works.")
    return _alert(server, "ModelProbeAbsent", signals.absent(server), "5m", "page", words)


def _slow(server: ServerPlan) -> Group:
    words = (
        "answers slowly",
        f"The 95th percentile of the probe is {{{{ $value | humanizeDuration }}}}, the promise is "
        f"{server.slo.latency_seconds:.6g}s.",
    )
    return _alert(server, "ModelProbeSlow", signals.slow(server), "15m", "ticket", words)


def _burning(server: ServerPlan, burn: signals.Burn) -> Group:
    words = (
        f"loses its error budget {burn.factor:.6g} times too fast",
        f"{{{{ $value | humanizePercentage }}}} of the last {burn.short} failed, and as much of "
        f"the last {burn.long}; the promise is {server.slo.availability:.6g} over 28 days.",
    )
    alert = _alert(
        server, "ModelBudgetBurning", signals.burning(server, burn), "0s", burn.severity, words
    )
    return alert | {"labels": alert["labels"] | {"window": burn.long}}


def rule_groups(server: ServerPlan, grafana_url: str) -> list[Group]:
    """The model's rules as Prometheus has them; alerts link to its dashboard on `grafana_url`."""
    work = server.workload
    name = f"{work.project}-{work.model}"
    alerts = [_absent(server), _slow(server), *(_burning(server, b) for b in signals.BURNS)]
    success = {"expr": signals.success(server), "record": signals.SUCCESS}
    groups: list[Group] = [
        {
            "interval": f"{SCRAPE_SECONDS}s",
            "name": f"{name}-probe",
            "rules": [success, _failing(server)],
        },
        {"interval": "30s", "name": f"{name}-slo", "rules": [*_records(server, "30s"), *alerts]},
        {"interval": "2m", "name": f"{name}-budget", "rules": _records(server, "2m")},
    ]
    link = dashboard_url(grafana_url, dashboard_uid(work.project, work.model))
    for group in groups:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["annotations"]["dashboard_url"] = link
    return groups


def rules(server: ServerPlan, plan: RegionPlan) -> list[Object]:
    """The model's rules, as a PrometheusRule or as a rule file in a ConfigMap."""
    work = server.workload
    groups = rule_groups(server, plan.grafana_url)
    if "prometheus_operator" in plan.capabilities:
        selected_by = plan.prometheus.labels
        rule = operator_head("PrometheusRule", work.model, work.namespace, work.labels, selected_by)
        return [rule | {"spec": {"groups": groups}}]
    file = f"{work.project}-{work.model}.rules.yaml"
    config = head("v1", "ConfigMap", f"{work.model}-rules", work.namespace, work.labels, {})
    # JSON is YAML, and needs no library to be written the same every time.
    return [config | {"data": {file: json.dumps({"groups": groups}, sort_keys=True)}}]


def monitor(server: ServerPlan, plan: RegionPlan) -> list[Object]:
    """The scrape of the model's own metrics, where an operator reads such objects."""
    if "prometheus_operator" not in plan.capabilities:
        return []
    versions = {track.role: track.listen for track in server.tracks}
    return [_scrape(server, plan, role, listen) for role, listen in versions.items()]


def _scrape(server: ServerPlan, plan: RegionPlan, role: str, listen: ListenPlan) -> Object:
    """One version's, since a candidate may run another runtime."""
    work = server.workload
    name = work.model if role == "stable" else f"{work.model}-{role}"
    endpoint = {"interval": "15s", "path": listen.metrics_path, "portNumber": listen.metrics_port}
    chosen = {LABEL_PROJECT: work.project, LABEL_MODEL: work.model, LABEL_VERSION: role}
    selected_by = plan.prometheus.labels
    return operator_head("PodMonitor", name, work.namespace, work.labels, selected_by) | {
        "spec": {
            "podMetricsEndpoints": [endpoint],
            "podTargetLabels": [LABEL_PROJECT, LABEL_MODEL, LABEL_TRACK],
            "selector": {"matchLabels": chosen},
        }
    }
