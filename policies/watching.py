"""Rules about being seen: every endpoint is asked, measured, drawn, and calls for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from model_specs.names import LABEL_MODEL, LABEL_PROJECT, LABEL_ROLE, PROBER
from policies.facts import Facts
from policies.label_selectors import takes
from policies.pods import Block, pod, template
from policies.podsets import TCP, PodSet, pod_set
from policies.reach import Reach
from policies.resources import Resource, absent
from policies.rule import Estate, Fault, Rule, whole
from policies.tracks import Track, by_model, takers, taking
from policies.walls import LABEL_NAMESPACE, Sender, admits

Ports = Mapping[str, frozenset[tuple[int, str]]]
"""The ports that pods declare, by name, as a PodSet has them."""

_CONFIG: Final = "config.json"
_RULE_FILE: Final = ".rules.yaml"
_AGENT: Final = "cache-agent"
_BOARD: Final = "grafana_dashboard"
_OWNING_GATEWAY: Final = "gateway.envoyproxy.io/owning-gateway"
_ALERTS: Final = frozenset({"ModelBudgetBurning", "ModelProbeAbsent", "ModelProbeFailing"})
_OF_CALLERS: Final = "ModelRequestsFailing"
_BURNS: Final = frozenset({("page", "1h"), ("page", "6h"), ("ticket", "1d"), ("ticket", "3d")})
"""Severity and long window of the burn rates (the SRE workbook, "Alerting on SLOs")."""
_NOTED: Final = {"prometheus.io/scrape": "true"}
_MEND: Final = "render it beside the model's server"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where a pod serves its metrics."""

    path: str
    port: int

    def __str__(self) -> str:
        return f"{self.path} at port {self.port}"


_DEFAULT_PATH: Final = "/metrics"
"""What Prometheus reads where no path is said."""
_OF_PROBER: Final = Metrics(_DEFAULT_PATH, 9090)
_OF_AGENT: Final = Metrics(_DEFAULT_PATH, 9091)
_OF_PROXY: Final = Metrics("/stats/prometheus", 19001)
"""Where Envoy Gateway has Envoy's own metrics served, in a container port named `metrics`."""


def _named(track: Track, kind: str, name: str) -> Resource:
    """Stands for an object of the model that is not there."""
    model = track.model
    labels = {LABEL_MODEL: model.name, LABEL_PROJECT: model.project}
    return absent(kind, track.deployment.namespace, name, labels)


def _has_operator(estate: Estate) -> bool:
    return "prometheus_operator" in estate.facts.profile.all_capabilities


def _reads(deployment: Resource, config: str) -> bool:
    """Whether a prober's pods run and are told by this ConfigMap."""
    volumes = pod(deployment).get("volumes") or ()
    told = any((v.get("configMap") or {}).get("name") == config for v in volumes)
    return told and deployment.spec.get("replicas", 0) > 0


def _probes(estate: Estate) -> list[Mapping[str, Any]]:
    """All that a running prober asks."""
    probers = [d for d in estate.of("Deployment") if d.labels.get(LABEL_ROLE) == PROBER]
    rows: list[Mapping[str, Any]] = []
    for config in estate.of("ConfigMap"):
        if config.labels.get(LABEL_ROLE) == PROBER:
            name = str(config.metadata.get("name"))
            near = [p for p in probers if p.namespace == config.namespace]
            if any(_reads(prober, name) for prober in near):
                rows += json.loads(config.values["data"][_CONFIG])["probes"]
    return rows


def _alone(track: Track, rows: Iterable[Mapping[str, Any]]) -> Iterator[Fault]:
    """What is amiss with how a candidate is asked by itself."""
    model = track.model
    if not track.is_candidate or model.spec.probe.request is None:
        return
    own = f"http://{model.name}-candidate.{model.project}.svc/"
    asked = [row for row in rows if row["track"] == "candidate" and row["url"].startswith(own)]
    if len(asked) != 1:
        what = f"is asked by {len(asked)} probes at its own Service"
        fix = "give its project's prober one row for it"
        yield Fault(track.deployment, what, fix, "probe.request")


@whole("P31", "synthetic-probe")
def _synthetic_probe(estate: Estate) -> Iterator[Fault]:
    """Every endpoint is asked its own example by a running prober, as often as its spec says:
    health checks stay green on a server that answers nothing right. A candidate is asked what the
    spec wrote by itself, at its own Service: on the user's way it is met by chance."""
    rows = _probes(estate)
    asked = Counter(row["id"] for row in rows)
    often = {row["id"]: row["interval_seconds"] for row in rows}
    for name, found in estate.once(by_model).items():
        wanted = found[0].model.spec.probe.interval_seconds
        if asked[name] != 1:
            what = f"is asked by {asked[name]} probes"
            fix = "give its project's prober one row for it"
            yield Fault(found[0].deployment, what, fix, "probe")
        elif often[name] > wanted:
            what = f"is asked every {often[name]} s, the spec says {wanted}"
            yield Fault(found[0].deployment, what, "keep to it", "probe.interval_seconds")
        else:
            yield from chain.from_iterable(_alone(track, rows) for track in found)


def _groups(estate: Estate) -> dict[str, tuple[Resource, list[Block]]]:
    """The groups of Prometheus rules of each model, and the object that holds them."""
    found: dict[str, tuple[Resource, list[Block]]] = {}
    if _has_operator(estate):
        for rule in _selected(estate.of("PrometheusRule"), estate):
            found[rule.model] = rule, list(rule.spec.get("groups") or ())
        return found
    for config in estate.of("ConfigMap"):
        for name, text in (config.values.get("data") or {}).items():
            if name.endswith(_RULE_FILE):
                found[config.model] = config, json.loads(text)["groups"]
    return found


def _live(found: list[Track]) -> list[Track]:
    """The tracks whose pods answer at the model's own name."""
    rollout = found[0].model.spec.rollout
    swapped = rollout.strategy == "blue_green" and rollout.step == 1
    return [track for track in found if track.is_candidate == swapped]


def _needed(found: list[Track]) -> frozenset[str]:
    """The alerts that a model must have: of callers at a gateway where a gateway leads to it."""
    return _ALERTS if found[0].model.spec.access == "private" else _ALERTS | {_OF_CALLERS}


def _silences(
    alerts: list[Block], found: list[Track], runbook: str, *, written: bool
) -> Iterator[str]:
    """Whom a model's alerts would not call, or without need, or without saying what to do."""
    name, stays = found[0].model.id, not all(track.may_go for track in _live(found))
    pages = written and stays
    missing = _needed(found) - {alert["alert"] for alert in alerts}
    yield from (f"has no alert {one}" for one in sorted(missing))
    wanted = {(severity if pages else "ticket", window) for severity, window in _BURNS}
    burns = {
        (alert["labels"].get("severity"), alert["labels"].get("window"))
        for alert in alerts
        if alert["alert"] == "ModelBudgetBurning"
    }
    if burns and wanted - burns:
        lost = ", ".join(f"{severity} over {window}" for severity, window in sorted(wanted - burns))
        yield f"has no burn rate of {lost}"
    for alert in alerts:
        labels = alert.get("labels") or {}
        may_page = stays if alert["alert"] == _OF_CALLERS else pages
        if labels.get("severity") == "page" and not may_page:
            yield f"pages by {alert['alert']} for a request that nobody wrote, or pods that may go"
        if f"{labels.get('project')}/{labels.get('model')}" != name:
            yield f"calls for another model by {alert['alert']}"
        if not str((alert.get("annotations") or {}).get("runbook_url", "")).startswith(runbook):
            yield f"does not say by {alert['alert']} what to do"


@whole("P31", "burn-alerts")
def _burn_alerts(estate: Estate) -> Iterator[Fault]:
    """Every endpoint calls people when its probe fails or is missing, when its error budget burns,
    fast and slow, and when a gateway answers its callers with errors; every alert links to what to
    do. A page needs a replica that is neither preemptible nor on spot nodes, and by the probe a
    request that the spec wrote; else all are tickets."""
    groups, runbook = _groups(estate), estate.facts.profile.runbook_url
    kind = "PrometheusRule" if _has_operator(estate) else "ConfigMap"
    for name, found in estate.once(by_model).items():
        if name not in groups:
            missing = _named(found[0], kind, found[0].model.name)
            yield Fault(missing, "is not made: nobody is called", _MEND, "slo")
            continue
        holder, rows = groups[name]
        alerts = [rule for group in rows for rule in group.get("rules") or () if "alert" in rule]
        written = found[0].model.spec.probe.request is not None
        for what in _silences(alerts, found, runbook, written=written):
            yield Fault(holder, what, "render the model's promise as alerts", "slo")


def _noted(workload: Resource, metrics: Metrics) -> bool:
    """Whether a plain Prometheus finds the pods' metrics by their annotations."""
    notes = (template(workload).get("metadata") or {}).get("annotations") or {}
    path = notes.get("prometheus.io/path") or _DEFAULT_PATH
    found = (path, notes.get("prometheus.io/port")) == (metrics.path, str(metrics.port))
    return found and _NOTED.items() <= notes.items()


def _has_endpoint(monitor: Resource, ports: Ports, metrics: Metrics) -> bool:
    """Whether a monitor reads the pods' metrics: by a declared port's name, or else its number."""
    wanted = (metrics.port, TCP)
    for endpoint in monitor.spec.get("podMetricsEndpoints") or ():
        by_name, number = endpoint.get("port"), endpoint.get("portNumber")
        named = ports.get(by_name, ()) if by_name else chain(*ports.values())
        path = endpoint.get("path") or _DEFAULT_PATH
        if path == metrics.path and wanted in named and (by_name or number == metrics.port):
            return True
    return False


def _reads_proxies(monitor: Resource, gateway: Resource, facts: Facts) -> bool:
    """Whether a monitor selects the proxies that Envoy Gateway makes for a Gateway."""
    own = {
        f"{_OWNING_GATEWAY}-name": gateway.metadata["name"],
        f"{_OWNING_GATEWAY}-namespace": gateway.namespace,
    }
    named = (monitor.spec.get("namespaceSelector") or {}).get("matchNames") or [monitor.namespace]
    ports = {"metrics": frozenset({(_OF_PROXY.port, TCP)})}
    return (
        _has_endpoint(monitor, ports, _OF_PROXY)
        and takes(monitor.spec.get("selector") or {}, own)
        and set(named) >= {*facts.profile.proxy_namespaces}
    )


def _selected(objects: Iterable[Resource], estate: Estate) -> list[Resource]:
    """Those that carry the labels by which the profile's Prometheus selects its objects."""
    wanted = estate.facts.profile.prometheus_labels.items()
    return [one for one in objects if wanted <= one.labels.items()]


def _measured(estate: Estate) -> Iterator[tuple[Resource, Metrics]]:
    """Every workload that has metrics, and where."""
    for track in chain(*estate.once(by_model).values()):
        runtime = track.model.spec.contract_of(track.model.spec.image)  # the candidate's too
        yield track.deployment, Metrics(runtime.metrics_path, runtime.metrics_port)
    for deployment in estate.of("Deployment"):
        if deployment.labels.get(LABEL_ROLE) == PROBER:
            yield deployment, _OF_PROBER
    for agent in estate.of("DaemonSet"):
        if agent.labels.get(LABEL_ROLE) == _AGENT:
            yield agent, _OF_AGENT


def _is_let_in(reach: Reach, pods: PodSet, metrics: Metrics) -> bool:
    """Whether the NetworkPolicies of the pods let Prometheus in to their metrics."""
    scraper = reach.estate.facts.profile.scraper_namespace
    sender = Sender(scraper, {LABEL_NAMESPACE: scraper}, {}, "")
    return admits(reach.walls(pods), pods, sender, metrics.port, TCP)


@whole("P31", "metrics-scraped")
def _metrics_scraped(estate: Estate) -> Iterator[Fault]:
    """The metrics of every server, prober, cache agent and gateway are read at their path and port:
    by a PodMonitor with the labels that Prometheus selects by where the operator runs, else by
    their pods' annotations; and NetworkPolicies let it in. What is not read cannot scale, burn or
    call."""
    selected = _selected(estate.of("PodMonitor"), estate)
    monitors, reach = takers(selected), estate.once(Reach)
    for one, metrics in _measured(estate):
        pods = pod_set(one)
        read = any(_has_endpoint(m, pods.ports, metrics) for m in taking(monitors, one))
        if not (read if _has_operator(estate) else _noted(one, metrics)):
            fix = f"render its PodMonitor, or its annotations, for {metrics}"
            yield Fault(one, "has metrics that nobody reads", fix, "slo")
        if not _is_let_in(reach, pods, metrics):
            space = estate.facts.profile.scraper_namespace
            what = f"lets Prometheus, in {space}, not in to its metrics"
            fix = f"let {space} in at {metrics.port}/TCP in its NetworkPolicy"
            yield Fault(one, what, fix, "slo")
    for gateway in estate.of("Gateway") if _has_operator(estate) else ():
        if not any(_reads_proxies(one, gateway, estate.facts) for one in selected):
            fix = f"render the PodMonitor of its proxies, for {_OF_PROXY}"
            yield Fault(gateway, "has proxies whose metrics nobody reads", fix, "proxy_namespaces")


@whole("P31", "dashboard")
def _dashboard(estate: Estate) -> Iterator[Fault]:
    """Every endpoint has a dashboard that Grafana loads: whom an alert calls looks there first."""
    loaded = [c for c in estate.of("ConfigMap") if c.labels.get(_BOARD) == "1"]
    boards = {config.model for config in loaded if len(config.values.get("data") or {}) > 0}
    for name, found in estate.once(by_model).items():
        if name not in boards:
            missing = _named(found[0], "ConfigMap", f"{found[0].model.name}-dashboard")
            yield Fault(missing, "is not made: nobody sees the model", _MEND, "slo")


RULES: Final[tuple[Rule, ...]] = (
    _synthetic_probe,
    _burn_alerts,
    _metrics_scraped,
    _dashboard,
)
