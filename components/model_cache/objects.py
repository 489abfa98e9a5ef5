"""ModelCache: agents that keep models on the nodes, and each project's read-only window on them.

The agent is the only pod with a hostPath; tenants see their own directory through a local volume.
Its program is told by ConfigMap what to hold and publishes a model by one rename, so a directory
named like a digest is complete and verified.
"""

from __future__ import annotations

import json
from typing import Final

from components.kube import (
    RESTRICTED_CONTAINER,
    Object,
    head,
    namespace_named,
    resolver,
    tolerations,
)
from components.model_cache.volumes import ROOT, claim_of, volume
from model_specs.names import CACHE_ACCOUNT, LABEL_MACHINE, LABEL_ROLE, SCRAPER_NAMESPACE
from regions.plan import CachePlan

_METRICS_PORT: Final = 9091


def _labels(plan: CachePlan) -> dict[str, str]:
    return {LABEL_MACHINE: plan.machine_type, LABEL_ROLE: "cache-agent"}


def _config(plan: CachePlan) -> Object:
    """What to hold; the agent re-reads it, so a new model restarts no agent."""
    wanted = {
        "disk_budget_gib": plan.disk_budget_gib,
        "models": [
            {
                "address": m.address,
                "bytes": m.bytes,
                "digest": m.digest,
                "project": m.project,
            }
            for m in plan.models
        ],
    }
    return head("v1", "ConfigMap", plan.name, plan.namespace, _labels(plan), {}) | {
        "data": {"models.json": json.dumps(wanted, indent=1, sort_keys=True)}
    }


def _environment(plan: CachePlan) -> list[Object]:
    values = {
        "AWS_REGION": plan.registry_region,
        "ISOSERVE_REGISTRY": plan.registry_url,
        "ISOSERVE_REGISTRY_ENDPOINT": plan.registry_endpoint,
    }
    fixed = [{"name": name, "value": value} for name, value in values.items() if value]
    return [
        *fixed,
        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ]


def _probe(path: str, period_seconds: int, failures: int) -> Object:
    return {
        "failureThreshold": failures,
        "httpGet": {"path": path, "port": "metrics"},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 3,
    }


def _container(plan: CachePlan) -> Object:
    size = {"cpu": "1", "ephemeral-storage": "1Gi", "memory": "512Mi"}
    return {
        "name": "agent",
        "image": plan.image,
        "imagePullPolicy": "Always",
        "args": ["hold", "--config", "/config/models.json", "--root", ROOT],
        "env": _environment(plan),
        "livenessProbe": _probe("/healthz", 10, 6),
        "ports": [{"containerPort": _METRICS_PORT, "name": "metrics"}],
        "readinessProbe": _probe("/readyz", 5, 2),
        "resources": {"limits": size, "requests": size},
        "securityContext": {
            **RESTRICTED_CONTAINER,
            # Root, without any capability but to write and hand over files under ROOT.
            "capabilities": {"add": ["CHOWN", "FOWNER"], "drop": ["ALL"]},
        },
        "startupProbe": _probe("/healthz", 5, 24),
        "volumeMounts": [
            {"mountPath": "/config", "name": "config", "readOnly": True},
            {"mountPath": ROOT, "name": "models"},
            {"mountPath": "/tmp", "name": "tmp"},
        ],
    }


def _agent(plan: CachePlan) -> Object:
    pod: Object = {
        "automountServiceAccountToken": False,
        "containers": [_container(plan)],
        "nodeSelector": plan.node_selector,
        "priorityClassName": "isoserve-node",
        "securityContext": {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        "serviceAccountName": CACHE_ACCOUNT,
        "terminationGracePeriodSeconds": 30,
        # Any capacity type: the agent goes wherever its models' pods may go.
        "tolerations": [
            *tolerations(plan.tolerations),
            {"key": "isoserve.dev/capacity", "operator": "Exists"},
        ],
        "volumes": [
            {"configMap": {"name": plan.name}, "name": "config"},
            {"hostPath": {"path": ROOT, "type": "DirectoryOrCreate"}, "name": "models"},
            {"emptyDir": {"sizeLimit": "256Mi"}, "name": "tmp"},
        ],
    }
    return head("apps/v1", "DaemonSet", plan.name, plan.namespace, _labels(plan), {}) | {
        "spec": {
            "selector": {"matchLabels": _labels(plan)},
            "template": {"metadata": {"labels": _labels(plan)}, "spec": pod},
            "updateStrategy": {"rollingUpdate": {"maxUnavailable": "10%"}, "type": "RollingUpdate"},
        }
    }


def shared(namespace: str, role_arn: str) -> list[Object]:
    """What all agents have in common: their account, which on AWS may read, and their wall."""
    role = {"eks.amazonaws.com/role-arn": role_arn} if role_arn else {}
    labels = {LABEL_ROLE: "cache-agent"}
    account = head("v1", "ServiceAccount", CACHE_ACCOUNT, namespace, labels, role)
    scraper = namespace_named(SCRAPER_NAMESPACE)
    registry = [{"port": port, "protocol": "TCP"} for port in (443, 9000)]
    spec = {
        "egress": [resolver(), {"ports": registry}],
        "ingress": [{"from": [scraper], "ports": [{"port": _METRICS_PORT, "protocol": "TCP"}]}],
        "podSelector": {},
        "policyTypes": ["Egress", "Ingress"],
    }
    wall = head("networking.k8s.io/v1", "NetworkPolicy", CACHE_ACCOUNT, namespace, labels, {})
    return [account | {"automountServiceAccountToken": False}, wall | {"spec": spec}]


def objects(plan: CachePlan) -> list[Object]:
    """Agent, what it holds, and one volume and claim per project."""
    windows = [made for c in plan.claims for made in (volume(plan, c), claim_of(c))]
    return [_config(plan), _agent(plan), *windows]
