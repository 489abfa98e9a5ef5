"""Gateway: one of the region's two entrances, which all models' routes share."""

from __future__ import annotations

from typing import Final

from components.kube import Object, head, operator_head
from regions.plan import GatewayPlan, RegionPlan

_OWNER: Final = "gateway.envoyproxy.io/owning-gateway"
"""How the labels begin by which Envoy Gateway marks the proxies of a Gateway."""
_PROXY_METRICS: Final = {"path": "/stats/prometheus", "port": "metrics"}
"""Where Envoy Gateway has Envoy's own metrics served: its container port 19001 of that name."""
_SCRAPE_SECONDS: Final = 15


def objects(plan: GatewayPlan, region: RegionPlan) -> list[Object]:
    """The Gateway, and the scrape of its proxies where an operator reads it."""
    monitored = "prometheus_operator" in region.capabilities
    return [_gateway(plan), *([_monitor(plan, region)] if monitored else [])]


def _gateway(plan: GatewayPlan) -> Object:
    """TLS where it has a certificate, any project's routes."""
    selector = {"matchExpressions": [{"key": "isoserve.dev/project", "operator": "Exists"}]}
    tls = {"certificateRefs": [{"kind": "Secret", "name": plan.tls_secret}], "mode": "Terminate"}
    secure: Object = {"port": 443, "protocol": "HTTPS", "tls": tls}
    listener: Object = {
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": selector}},
        "hostname": plan.hostname,
        "name": "models",
        **(secure if plan.tls_secret else {"port": 80, "protocol": "HTTP"}),
    }
    balancer: Object = (
        {"infrastructure": {"annotations": plan.annotations}} if plan.annotations else {}
    )
    return head("gateway.networking.k8s.io/v1", "Gateway", plan.name, plan.namespace, {}, {}) | {
        "spec": {**balancer, "gatewayClassName": plan.gateway_class, "listeners": [listener]}
    }


def _monitor(plan: GatewayPlan, region: RegionPlan) -> Object:
    """Envoy itself: wake-up from zero, requests and errors at the gateway rest on its metrics."""
    labels = {f"{_OWNER}-name": plan.name, f"{_OWNER}-namespace": plan.namespace}
    name, selected_by = f"{plan.name}-proxies", region.prometheus.labels
    return operator_head("PodMonitor", name, plan.namespace, {}, selected_by) | {
        "spec": {
            "namespaceSelector": {"matchNames": list(plan.proxy_namespaces)},
            "podMetricsEndpoints": [{"interval": f"{_SCRAPE_SECONDS}s", **_PROXY_METRICS}],
            "selector": {"matchLabels": labels},
        }
    }
