"""Gateway: one of the region's two entrances, which all models' routes share."""

from __future__ import annotations

from components.kube import Object, head
from regions.plan import GatewayPlan


def objects(plan: GatewayPlan) -> list[Object]:
    """One of the region's entrances: TLS where it has a certificate, any project's routes."""
    selector = {"matchExpressions": [{"key": "isoserve.dev/project", "operator": "Exists"}]}
    tls = {"certificateRefs": [{"kind": "Secret", "name": plan.tls_secret}], "mode": "Terminate"}
    secure: Object = {"port": 443, "protocol": "HTTPS", "tls": tls}
    listener: Object = {
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": selector}},
        "hostname": plan.hostname,
        "name": "models",
        **(secure if plan.tls_secret else {"port": 80, "protocol": "HTTP"}),
    }
    return [
        head("gateway.networking.k8s.io/v1", "Gateway", plan.name, plan.namespace, {}, {})
        | {"spec": {"gatewayClassName": plan.gateway_class, "listeners": [listener]}}
    ]
