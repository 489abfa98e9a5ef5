"""ModelCache: agents that keep models on the nodes, and each project's read-only window on them.

The agent is the only pod with a hostPath; tenants see their own directory through a local volume.
Its program is told by ConfigMap what pods may need and by the API server which pods its node has,
and publishes a model by one rename, so a directory
named like a digest is complete and verified.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from components.kube import (
    ROLE,
    Object,
    head,
    namespace_named,
    resolver,
    tcp,
    ways_to_registry,
)
from components.model_cache.agent_pod import METRICS_PORT, PEER_PORT, pod
from components.model_cache.api_access import API_PORT, API_SERVICE_PORT, event_rights, pod_rights
from components.model_cache.monitor import DISCOVERY
from components.model_cache.volumes import claim_of, volume
from model_specs.names import CACHE_ACCOUNT, LABEL_MACHINE, LABEL_ROLE
from regions.plan import CachePlan


def _labels(plan: CachePlan) -> dict[str, str]:
    return {LABEL_MACHINE: plan.machine_type, LABEL_ROLE: "cache-agent"}


def _config(plan: CachePlan) -> Object:
    """What may be held; the agent re-reads it, so a new model restarts no agent."""
    wanted = {
        "disk_budget_gib": plan.disk_budget_gib,
        "disk_free_percent": plan.disk_free_percent,
        "models": [
            {
                "address": m.address,
                "bytes": m.bytes,
                "digest": m.digest,
                "pinned": m.pinned,
                "project": m.project,
            }
            for m in plan.models
        ],
    }
    return head("v1", "ConfigMap", plan.name, plan.namespace, _labels(plan), {}) | {
        "data": {"models.json": json.dumps(wanted, indent=1, sort_keys=True)}
    }


def _agent(plan: CachePlan) -> Object:
    return head("apps/v1", "DaemonSet", plan.name, plan.namespace, _labels(plan), {}) | {
        "spec": {
            "selector": {"matchLabels": _labels(plan)},
            "template": {
                "metadata": {"annotations": DISCOVERY, "labels": _labels(plan)},
                "spec": pod(plan),
            },
            "updateStrategy": {"rollingUpdate": {"maxUnavailable": "10%"}, "type": "RollingUpdate"},
        }
    }


def _peers(plan: CachePlan) -> Object:
    """The name by which agents find each other; one that lacks a model may well have another."""
    return head("v1", "Service", plan.name, plan.namespace, _labels(plan), {}) | {
        "spec": {
            "clusterIP": "None",
            "ports": [{"name": "peers", "port": PEER_PORT, "targetPort": "peers"}],
            "publishNotReadyAddresses": True,
            "selector": _labels(plan),
        }
    }


def shared(plan: CachePlan, projects: Iterable[str]) -> list[Object]:
    """What all agents have in common: their account, which on AWS may read, their wall, and their
    rights, beside themselves and in the namespaces of `projects`."""
    namespace, role_arn = plan.namespace, plan.reader_role_arn
    role = {ROLE: role_arn} if role_arn else {}
    labels = {LABEL_ROLE: "cache-agent"}
    account = head("v1", "ServiceAccount", CACHE_ACCOUNT, namespace, labels, role)
    scraper = namespace_named(plan.scraper_namespace)
    agents = namespace_named(namespace) | {"podSelector": {"matchLabels": labels}}
    spec = {
        "egress": [
            resolver(),
            {"ports": tcp(API_SERVICE_PORT, API_PORT)},
            *ways_to_registry(plan.registry_ports, plan.registry_addresses),
            {"ports": tcp(PEER_PORT), "to": [agents]},
        ],
        "ingress": [
            {"from": [scraper], "ports": tcp(METRICS_PORT)},
            {"from": [agents], "ports": tcp(PEER_PORT)},
        ],
        "podSelector": {},
        "policyTypes": ["Egress", "Ingress"],
    }
    wall = head("networking.k8s.io/v1", "NetworkPolicy", CACHE_ACCOUNT, namespace, labels, {})
    account |= {"automountServiceAccountToken": False}
    return [account, wall | {"spec": spec}, *event_rights(namespace), *pod_rights(projects)]


def objects(plan: CachePlan) -> list[Object]:
    """Agent, its name for its peers, what it holds, and one volume and claim per project."""
    windows = [made for c in plan.claims for made in (volume(plan, c), claim_of(c))]
    return [_config(plan), _agent(plan), _peers(plan), *windows]
