"""Decides whom a prober reaches and who reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from components.kube import ADDRESSES_V4, Object, head, namespace_named, resolver
from model_specs.names import PROBER
from regions.model_plan import ServerPlan
from regions.plan import ProberPlan

METRICS_PORT: Final = 9090


def network_policy(
    prober: ProberPlan, servers: Iterable[ServerPlan], labels: dict[str, str]
) -> Object:
    """Out to DNS, the gateways and the models of `servers`; in to the metrics."""
    schemes = {s.probe.url.split(":")[0] for s in servers if s.access.hostname}
    # The user's path leaves the cluster where the gateway's address is a load balancer's (an AWS
    # NLB has no in-cluster short cut), and that address is not known here.
    outside = [
        {
            "ports": [{"port": port, "protocol": "TCP"}],
            "to": [ADDRESSES_V4],
        }
        for scheme, port in (("http", 80), ("https", 443))
        if scheme in schemes
    ]
    scraper = namespace_named(prober.scraper_namespace)
    ingress = [{"from": [scraper], "ports": [{"port": METRICS_PORT, "protocol": "TCP"}]}]
    proxies = [namespace_named(name) for name in prober.proxy_namespaces]
    return head("networking.k8s.io/v1", "NetworkPolicy", PROBER, prober.namespace, labels, {}) | {
        "spec": {
            "egress": [
                resolver(),
                {"to": [*proxies, {"podSelector": {}}]},
                *outside,
            ],
            "ingress": ingress,
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Egress", "Ingress"],
        }
    }
