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
_GROUP: Final = "gateway.networking.k8s.io"
_REDIRECT: Final = "redirect"


def objects(plan: GatewayPlan, region: RegionPlan) -> list[Object]:
    """The Gateway; with TLS its redirect, and its certificate where an issuer issues it; and the
    scrape of its proxies where an operator reads it."""
    secure = [_redirect(plan)] if plan.tls_secret else []
    issued = [_certificate(plan)] if plan.tls_issuer else []
    monitored = [_monitor(plan, region)] if "prometheus_operator" in region.capabilities else []
    return [_gateway(plan), *secure, *issued, *monitored]


def _gateway(plan: GatewayPlan) -> Object:
    """TLS where it has a certificate, any project's routes; without it only the redirect."""
    selector = {"matchExpressions": [{"key": "isoserve.dev/project", "operator": "Exists"}]}
    tls = {"certificateRefs": [{"kind": "Secret", "name": plan.tls_secret}], "mode": "Terminate"}
    secure: Object = {"port": 443, "protocol": "HTTPS", "tls": tls}
    listener: Object = {
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": selector}},
        "hostname": plan.hostname,
        "name": "models",
        **(secure if plan.tls_secret else {"port": 80, "protocol": "HTTP"}),
    }
    plain: Object = {
        "allowedRoutes": {"namespaces": {"from": "Same"}},
        "hostname": plan.hostname,
        "name": _REDIRECT,
        "port": 80,
        "protocol": "HTTP",
    }
    listeners = [listener, *([plain] if plan.tls_secret else [])]
    balancer: Object = (
        {"infrastructure": {"annotations": plan.annotations}} if plan.annotations else {}
    )
    return head(f"{_GROUP}/v1", "Gateway", plan.name, plan.namespace, {}, {}) | {
        "spec": {**balancer, "gatewayClassName": plan.gateway_class, "listeners": listeners}
    }


def _redirect(plan: GatewayPlan) -> Object:
    """Whoever asks without TLS is told the address with it, and reaches no model.

    301 is the most lasting code that Gateway API 1.4 knows (HTTPRequestRedirectFilter.statusCode).
    """
    told = {"requestRedirect": {"scheme": "https", "statusCode": 301}, "type": "RequestRedirect"}
    parent = {"kind": "Gateway", "name": plan.name, "sectionName": _REDIRECT}
    everything = {"path": {"type": "PathPrefix", "value": "/"}}
    return head(f"{_GROUP}/v1", "HTTPRoute", _REDIRECT, plan.namespace, {}, {}) | {
        "spec": {
            "hostnames": [plan.hostname],
            "parentRefs": [parent],
            "rules": [{"filters": [told], "matches": [everything]}],
        }
    }


def _certificate(plan: GatewayPlan) -> Object:
    """What cert-manager writes the gateway's Secret from, and renews it by."""
    kind, _, name = plan.tls_issuer.partition("/")
    issuer = {"group": "cert-manager.io", "kind": kind, "name": name}
    made = head("cert-manager.io/v1", "Certificate", plan.tls_secret, plan.namespace, {}, {})
    return made | {
        "spec": {
            "dnsNames": [plan.hostname],
            "issuerRef": issuer,
            "secretName": plan.tls_secret,
        }
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
