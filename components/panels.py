"""What a dashboard can show: a panel is a function, a selector is a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from components.charts import Panel, lines, number
from model_specs.gpu_kinds import GPU_KINDS
from model_specs.runtimes import CUSTOM, RUNTIMES

METRICS: Final[dict[str, str]] = {
    "ALERTS": "Prometheus",
    "envoy_cluster_upstream_rq_xx": "the gateways' Envoys",
    "isoserve_cache_budget_bytes": "the cache agent of each node",
    "isoserve_cache_held_bytes": "the cache agent of each node, by project and model",
    "isoserve_cache_models": "the cache agent of each node, by state",
    "isoserve_cache_unknown_projects": "the cache agent of each node",
    "kube_deployment_spec_replicas": "kube-state-metrics",
    "kube_deployment_status_replicas_ready": "kube-state-metrics",
    "kube_node_labels": "kube-state-metrics with nodes=[isoserve.dev/machine-type] allowed",
    "kube_node_status_allocatable": "kube-state-metrics",
    "kube_node_status_condition": "kube-state-metrics",
    "kube_pod_container_resource_requests": "kube-state-metrics",
    "kube_pod_container_status_restarts_total": "kube-state-metrics",
    "probe_duration_seconds": "the prober",
    "probe_failures_in_a_row": "the prober",
    "probe_last_timestamp_seconds": "the prober",
    "probe_success": "the prober",
    "model:probe_success:max": "our rules",
    **{
        f"model:probe_error:ratio{window}": "our rules"
        for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
    },
    **{
        metric: kind.exporter
        for kind in GPU_KINDS.values()
        for metric in (kind.busy_metric, kind.used_metric)
        if metric
    },
    **{
        metric: f"runtime {row.name}"
        for row in (*RUNTIMES.values(), CUSTOM)
        for metric in (row.queue_metric, row.running_metric)
        if metric
    },
}
"""Every metric that dashboards and rules read, and who exports it."""


@dataclass(frozen=True, slots=True)
class Selector:
    """One model's series; `load` is the PromQL of the requests in its servers, the next two are
    its promises.

    `probed` says in words what its probe shows. `candidate_load` is empty without a candidate, and
    the gauges of its GPUs are without a vendor's exporter.
    """

    project: str
    model: str
    namespace: str
    load: str
    availability: str
    latency_seconds: str
    probed: str
    candidate_load: str
    gpu_busy: str
    gpu_used: str

    @property
    def probe(self) -> str:
        """Matchers of the series that our rules and the cache agent export."""
        return f'{{project="{self.project}",model="{self.model}"}}'

    def probed_at(self, track: str) -> str:
        """Matchers of what the prober exports: of the user's way, or of the candidate's own."""
        return f'{{project="{self.project}",model="{self.model}",track="{track}"}}'

    @property
    def deployments(self) -> str:
        """Matchers of the Deployments of every track."""
        name = f"{self.model}(-spot|-candidate)?"
        return f'{{namespace="{self.namespace}",deployment=~"{name}"}}'

    def pods(self, prefix: str) -> str:
        """Matchers of their pods; `exported_` where the exporter's own pod took the plain label."""
        name = f"{self.model}(-spot|-candidate)?-[a-z0-9]+-[a-z0-9]+"
        return f'{{{prefix}namespace="{self.namespace}",{prefix}pod=~"{name}"}}'

    def requests(self, code: str) -> str:
        """The rate of requests at the gateways whose status class matches `code`."""
        cluster = f"httproute/{self.namespace}/{self.model}/.*"
        matchers = f'envoy_cluster_name=~"{cluster}",envoy_response_code_class=~"{code}"'
        return f"sum(rate(envoy_cluster_upstream_rq_xx{{{matchers}}}[5m]))"


def probe(of: Selector) -> Panel:
    """Whether the last probe was answered rightly, or only that the model is ready."""
    return number(of.probed, "percentunit", f"model:probe_success:max{of.probe}")


def candidate(of: Selector) -> Panel:
    """Whether the candidate, asked by itself, answered its last probe rightly."""
    last = f"max(probe_success{of.probed_at('candidate')})"
    return number("Candidate answered rightly", "percentunit", last)


def budget(of: Selector) -> Panel:
    """What is left of 28 days' error budget; of hourly means, since scrapes are 600 000."""
    lost = f"avg_over_time(model:probe_error:ratio1h{of.probe}[28d:1h])"
    left = f"1 - {lost} / (1 - {of.availability})"
    return number("Error budget left, 28 days", "percentunit", left)


def held(of: Selector) -> Panel:
    """Bytes of the model on the nodes' caches, all nodes together."""
    return number("Held by caches", "bytes", f"sum(isoserve_cache_held_bytes{of.probe})")


def latency(of: Selector) -> Panel:
    """How long probes take, and the promise."""
    took = f"max(probe_duration_seconds{of.probed_at('')})"
    promise = (f"vector({of.latency_seconds})", "promise")
    return lines("Probe latency", "s", (took, "probe"), promise)


def replicas(of: Selector) -> Panel:
    """Replicas wanted and ready."""
    wanted = f"sum(kube_deployment_spec_replicas{of.deployments})"
    ready = f"sum(kube_deployment_status_replicas_ready{of.deployments})"
    return lines("Replicas", "short", (wanted, "wanted"), (ready, "ready"))


def load(of: Selector) -> Panel:
    """What the autoscaler acts on, each version by itself."""
    candidate = [(of.candidate_load, "candidate")] if of.candidate_load else []
    return lines(
        "Requests in the servers, running and waiting", "short", (of.load, "stable"), *candidate
    )


def requests(of: Selector) -> Panel:
    """Requests a second at the gateways; a private model has none there."""
    return lines("Requests at the gateway", "reqps", (of.requests(".*"), "requests"))


def errors(of: Selector) -> Panel:
    """The share of those requests that the server failed."""
    share = f"{of.requests('5')} / {of.requests('.*')}"
    return lines("Share of 5xx at the gateway", "percentunit", (share, "5xx"))


def restarts(of: Selector) -> Panel:
    """Containers that were started again within the hour."""
    count = f"sum by (pod) (increase(kube_pod_container_status_restarts_total{of.pods('')}[1h]))"
    return lines("Restarts within an hour", "short", (count, "{{pod}}"))


def gpu_utilisation(of: Selector) -> Panel:
    """How busy each replica's GPUs are."""
    busy = f"avg by (exported_pod) ({of.gpu_busy}{of.pods('exported_')})"
    return lines("GPU utilisation", "percent", (busy, "{{exported_pod}}"))


def gpu_memory(of: Selector) -> Panel:
    """How much memory of its GPUs each replica holds, in MiB."""
    used = f"sum by (exported_pod) ({of.gpu_used}{of.pods('exported_')})"
    return lines("GPU memory", "decmbytes", (used, "{{exported_pod}}"))


MODEL: Final = (probe, budget, held, latency, replicas, load, requests, errors, restarts)
CANDIDATE: Final = (candidate,)
GPU: Final = (gpu_utilisation, gpu_memory)
"""Where the vendor's exporter is known (model_specs.gpu_kinds)."""
