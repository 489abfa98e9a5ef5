"""Renders what Prometheus scrapes, records and calls for, one model at a time."""

from __future__ import annotations

import json
from typing import Any

from components.kube import Object, head, operator_head
from components.model_network import LABEL_VERSION
from components.replica_autoscaler import LOAD
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


def _stays(server: ServerPlan) -> bool:
    """Whether some of the replicas that serve stand on capacity that nobody takes from them."""
    live = [track for track in server.tracks if track.role == server.live_role]
    return not all(track.interruption for track in live)


def _alert(
    server: ServerPlan, name: str, expr: str, wait: str, severity: str, words: tuple[str, str]
) -> Group:
    work, (summary, description) = server.workload, words
    # A model whose every replica its team lets others take pages nobody: nothing is broken then.
    told = severity if _stays(server) else "ticket"
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


def _by_probe(server: ServerPlan, severity: str) -> str:
    """A request that nobody wrote pages nobody: it may be wrong where the model is right."""
    return severity if server.probe.written else "ticket"


def _failing(server: ServerPlan) -> Group:
    words = (
        "answers its probe wrongly",
        "{{ $value }} probes in a row failed: callers get no right answer, whatever the health "
        "checks say.",
    )
    severity = _by_probe(server, "page")
    return _alert(server, "ModelProbeFailing", signals.failing(server), "0s", severity, words)


def _candidate(server: ServerPlan) -> list[Group]:
    """Who gets no users yet wakes nobody, and a start may take its time."""
    if not server.probe.candidate_url:
        return []
    words = (
        "has a candidate that answers its probe wrongly",
        "{{ $value }} probes in a row failed at the candidate's own Service, users or not.",
    )
    expr, wait = signals.candidate_failing(server), f"{signals.start_seconds(server)}s"
    return [_alert(server, "ModelCandidateFailing", expr, wait, "ticket", words)]


def _absent(server: ServerPlan) -> Group:
    words = ("is not probed", "No probe was reported for 5 minutes: nobody knows whether it works.")
    severity = _by_probe(server, "page")
    return _alert(server, "ModelProbeAbsent", signals.absent(server), "5m", severity, words)


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
    severity, expr = _by_probe(server, burn.severity), signals.burning(server, burn)
    alert = _alert(server, "ModelBudgetBurning", expr, "0s", severity, words)
    return alert | {"labels": alert["labels"] | {"window": burn.long}}


def _refused(server: ServerPlan, burn: signals.Burn) -> Group:
    words = (
        "answers its callers with errors",
        f"{{{{ $value | humanizePercentage }}}} of the requests of the last {burn.short} at the "
        f"gateway ended with 5xx, and as many of the last {burn.long}; the promise is "
        f"{server.slo.availability:.6g} over 28 days.",
    )
    expr = signals.refused(server, burn)
    alert = _alert(server, "ModelRequestsFailing", expr, "0s", burn.severity, words)
    return alert | {"labels": alert["labels"] | {"window": burn.long}}


def _at_gateway(server: ServerPlan, name: str) -> list[Group]:
    """What the gateway's own callers meet, where the model has any."""
    if not server.access.gateway:
        return []
    alerts = [_refused(server, burn) for burn in signals.BURNS_OF_CALLERS]
    return [{"interval": "30s", "name": f"{name}-gateway", "rules": alerts}]


def _load(server: ServerPlan, name: str) -> list[Group]:
    """What HPAs scale on, of each pod; KEDA asks Prometheus itself."""
    queries = dict.fromkeys(t.scaler.query_by_pod for t in server.tracks if t.scaler.query_by_pod)
    records = [{"expr": query, "record": LOAD} for query in queries]
    return [{"interval": "15s", "name": f"{name}-load", "rules": records}] if records else []


def rule_groups(server: ServerPlan, grafana_url: str) -> list[Group]:
    """The model's rules as Prometheus has them; alerts link to its dashboard on `grafana_url`."""
    work = server.workload
    name = f"{work.project}-{work.model}"
    alerts = [
        _absent(server),
        *_candidate(server),
        _slow(server),
        *(_burning(server, b) for b in signals.BURNS),
    ]
    success = {"expr": signals.success(server), "record": signals.SUCCESS}
    groups: list[Group] = [
        {
            "interval": f"{SCRAPE_SECONDS}s",
            "name": f"{name}-probe",
            "rules": [success, _failing(server)],
        },
        {"interval": "30s", "name": f"{name}-slo", "rules": [*_records(server, "30s"), *alerts]},
        {"interval": "2m", "name": f"{name}-budget", "rules": _records(server, "2m")},
        *_at_gateway(server, name),
        *_load(server, name),
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
