"""The scrape of the cache agents: what each node holds, and what it could not fetch."""

from __future__ import annotations

from typing import Final

from components.kube import Object, operator_head
from components.model_cache.agent_pod import METRICS_PORT
from model_specs.names import CACHE_ACCOUNT, LABEL_ROLE

# Without the operator a plain Prometheus finds pods by these, as its own example config does.
DISCOVERY: Final = {
    "prometheus.io/path": "/metrics",
    "prometheus.io/port": str(METRICS_PORT),
    "prometheus.io/scrape": "true",
}


def monitor(namespace: str, selected_by: dict[str, str]) -> Object:
    """The scrape of all agents, whatever their machine type, where an operator reads it."""
    labels = {LABEL_ROLE: "cache-agent"}
    made = operator_head("PodMonitor", CACHE_ACCOUNT, namespace, labels, selected_by)
    endpoint = {"interval": "30s", "path": "/metrics", "port": "metrics"}
    return made | {"spec": {"podMetricsEndpoints": [endpoint], "selector": {"matchLabels": labels}}}
