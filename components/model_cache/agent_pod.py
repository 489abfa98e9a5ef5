"""The cache agent's pod: the only one with a hostPath, and with nothing else of its node."""

from __future__ import annotations

from typing import Final

from components.kube import RESTRICTED_CONTAINER, Object, pulled_by, tolerations
from components.model_cache.api_access import FOLDER, api_volume
from components.model_cache.volumes import ROOT
from components.registry_keys import CREDENTIALS, credentials_mounts, credentials_volumes
from model_specs.names import CACHE_ACCOUNT
from regions.plan import AGENT_CPU, AGENT_DISK_GIB, AGENT_MEMORY_MIB, CachePlan

METRICS_PORT: Final = 9091
PEER_PORT: Final = 9092
_HOLD: Final = ("hold", "--config", "/config/models.json", "--root", ROOT)


def _peers_name(plan: CachePlan) -> str:
    """What the cluster's DNS calls all agents of one machine type."""
    return f"{plan.name}.{plan.namespace}.svc"


def _environment(plan: CachePlan) -> list[Object]:
    values = {
        "AWS_REGION": plan.registry_region,
        "ISOSERVE_REGISTRY": plan.registry_url,
        "ISOSERVE_REGISTRY_CREDENTIALS": CREDENTIALS if plan.registry_secret else "",
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
    size = {
        "cpu": str(AGENT_CPU),
        "ephemeral-storage": f"{AGENT_DISK_GIB}Gi",
        "memory": f"{AGENT_MEMORY_MIB}Mi",
    }
    return {
        "name": "agent",
        "image": plan.image,
        "imagePullPolicy": "Always",
        "args": [*_HOLD, "--peers", _peers_name(plan)],
        "env": _environment(plan),
        "livenessProbe": _probe("/healthz", 10, 6),
        "ports": [
            {"containerPort": METRICS_PORT, "name": "metrics"},
            {"containerPort": PEER_PORT, "name": "peers"},
        ],
        "readinessProbe": _probe("/readyz", 5, 2),
        "resources": {"limits": size, "requests": size},
        # Root, since the kubelet makes ROOT for root, but without any of root's capabilities.
        "securityContext": RESTRICTED_CONTAINER,
        "startupProbe": _probe("/healthz", 5, 24),
        "volumeMounts": [
            {"mountPath": "/config", "name": "config", "readOnly": True},
            {"mountPath": ROOT, "name": "models"},
            {"mountPath": "/tmp", "name": "tmp"},
            {"mountPath": FOLDER, "name": "api", "readOnly": True},
            *credentials_mounts(plan.registry_secret),
        ],
    }


def pod(plan: CachePlan) -> Object:
    """The pod of one node's agent."""
    return {
        "automountServiceAccountToken": False,
        "containers": [_container(plan)],
        **pulled_by(plan.pull_secrets),
        "nodeSelector": plan.node_selector,
        # The kubelet never evicts such a pod (types.IsCriticalPod in pkg/kubelet/eviction): under
        # disk pressure only the agent can free what its models take.
        "priorityClassName": "system-node-critical",
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
            api_volume(),
            *credentials_volumes(plan.registry_secret),
        ],
    }
