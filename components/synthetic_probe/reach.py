"""Decides whom a prober reaches and who reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from components.kube import GATEWAY_NAMESPACE, Object, head
from regions.model_plan import ServerPlan

METRICS_PORT: Final = 9090

_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"


def network_policy(
    name: str, namespace: str, servers: Iterable[ServerPlan], labels: dict[str, str]
) -> Object:
    """Out to DNS, the gateways and the models of `servers`; in to the metrics."""
    dns = [{"port": 53, "protocol": protocol} for protocol in ("TCP", "UDP")]
    schemes = {s.probe.url.split(":")[0] for s in servers if s.access.hostname}
    # The user's path leaves the cluster where the gateway's address is a load balancer's (an AWS
    # NLB has no in-cluster short cut), and that address is not known here. Never link-local: there
    # a cloud hands out credentials.
    outside = [
        {
            "ports": [{"port": port, "protocol": "TCP"}],
            "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}],
        }
        for scheme, port in (("http", 80), ("https", 443))
        if scheme in schemes
    ]
    gateway = {"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: GATEWAY_NAMESPACE}}}
    system = {"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: "kube-system"}}}
    ingress = [{"from": [{"namespaceSelector": {}}], "ports": [{"port": METRICS_PORT}]}]
    return head("networking.k8s.io/v1", "NetworkPolicy", name, namespace, labels, {}) | {
        "spec": {
            "egress": [
                {"ports": dns, "to": [system]},
                {"to": [gateway, {"podSelector": {}}]},
                *outside,
            ],
            "ingress": ingress,
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Egress", "Ingress"],
        }
    }
