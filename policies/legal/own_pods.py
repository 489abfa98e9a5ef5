"""The legal pods of the platform: a project's prober, and the cache agent of a machine type."""

from __future__ import annotations

from typing import Final

from model_specs.names import (
    CACHE_ACCOUNT,
    CACHE_NAMESPACE,
    LABEL_CAPACITY,
    LABEL_MACHINE,
    LABEL_ROLE,
    PROBER,
)
from policies.legal.asked import (
    KEYS,
    KEYS_MOUNT,
    RESTRICTED,
    USER_OF_POD,
    Plain,
    head,
    labels_of_project,
    machine_of,
    pull_secrets,
    registry_env,
    slug,
    tolerations,
)
from policies.legal.shapes import ABSENT, Asked, Subject, Text
from policies.pods import pod

_HASH: Final = Text("[0-9a-f]{64}")


def _of_prober(subject: Subject) -> Plain:
    return {**labels_of_project(subject), LABEL_ROLE: PROBER}


_PROBER_SIZE: Final = {"cpu": "100m", "ephemeral-storage": "64Mi", "memory": "128Mi"}
_PLAIN_METRICS: Final = {
    "prometheus.io/path": "/metrics",
    "prometheus.io/port": "9090",
    "prometheus.io/scrape": "true",
}


def _asks_public(subject: Subject) -> bool:
    """Whether one of the project's models is public, to which the prober shows a token.

    Whether it is served here is seen by the probes that the prober is told (`synthetic-probe`).
    """
    volumes = pod(subject.resource).get("volumes") or ()
    public = any(
        model.project == subject.resource.project and model.spec.access == "public"
        for model in subject.facts.specs.models
    )
    return public and len(volumes) > 1


def _prober_mounts(subject: Subject) -> list[Plain]:
    token = {"mountPath": "/var/run/secrets/prober", "name": "token", "readOnly": True}
    config = {"mountPath": "/etc/prober", "name": "config", "readOnly": True}
    authorities = {"mountPath": "/etc/tls-ca", "name": "tls-ca", "readOnly": True}
    found = [config, *([token] if _asks_public(subject) else [])]
    return [*found, *([authorities] if _reads_authorities(subject) else [])]


def _reads_authorities(subject: Subject) -> bool:
    """Whether it asks a gateway whose certificate is not of an authority that everybody trusts."""
    return _asks_public(subject) and bool(subject.facts.profile.tls_ca)


def _prober_env(subject: Subject) -> object:
    if not _reads_authorities(subject):
        return ABSENT
    return [{"name": "SSL_CERT_FILE", "value": "/etc/tls-ca/ca.crt"}]


def _prober_volumes(subject: Subject) -> list[Plain]:
    sign_in = subject.facts.profile.sign_in
    found: list[Plain] = [{"configMap": {"name": PROBER}, "name": "config"}]
    if _asks_public(subject) and sign_in is not None:
        token = {"audience": sign_in.audience, "expirationSeconds": 3600, "path": "token"}
        source = {"serviceAccountToken": token}
        found.append({"name": "token", "projected": {"sources": [source]}})
    if _reads_authorities(subject):
        authorities = {"name": subject.facts.profile.tls_ca}
        found.append({"configMap": authorities, "name": "tls-ca"})
    return found


def _health(path: str, failures: int, period: int) -> Plain:
    return {
        "failureThreshold": failures,
        "httpGet": {"path": path, "port": "metrics"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
    }


def _unless_operated(value: str) -> Asked:
    """A note for a plain Prometheus; the operator's needs none."""
    return Asked(
        lambda subject: (
            ABSENT if "prometheus_operator" in subject.facts.profile.all_capabilities else value
        )
    )


PROBER_DEPLOYMENT: Final[Plain] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": head(_of_prober, lambda subject: PROBER),
    "spec": {
        "replicas": 1,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": Asked(_of_prober)},
        "template": {
            "metadata": {
                "annotations": {
                    "isoserve.dev/config-sha256": _HASH,
                    **{key: _unless_operated(value) for key, value in _PLAIN_METRICS.items()},
                },
                "labels": Asked(_of_prober),
            },
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "env": Asked(_prober_env),
                        "image": Asked(lambda subject: subject.facts.profile.prober_image),
                        "imagePullPolicy": "Always",
                        "livenessProbe": _health("/healthz", 3, 10),
                        "name": PROBER,
                        "ports": [{"containerPort": 9090, "name": "metrics", "protocol": "TCP"}],
                        "readinessProbe": _health("/metrics", 1, 5),
                        "resources": {"limits": _PROBER_SIZE, "requests": _PROBER_SIZE},
                        "securityContext": RESTRICTED,
                        "startupProbe": _health("/healthz", 30, 1),
                        "volumeMounts": Asked(_prober_mounts),
                    }
                ],
                "enableServiceLinks": False,
                "imagePullSecrets": Asked(pull_secrets),
                "securityContext": USER_OF_POD,
                "serviceAccountName": PROBER,
                "terminationGracePeriodSeconds": 10,
                "volumes": Asked(_prober_volumes),
            },
        },
    },
}


def of_agent(subject: Subject) -> Plain:
    """The labels of what the cache agents of one machine type are."""
    return {LABEL_MACHINE: machine_of(subject)[0].name, LABEL_ROLE: "cache-agent"}


def agent_name(subject: Subject) -> str:
    """The name of what the cache agents of one machine type are."""
    return f"cache-{slug(machine_of(subject)[0].name)}"


def _agent_args(subject: Subject) -> list[str]:
    name = f"{agent_name(subject)}.{CACHE_NAMESPACE}.svc"
    root = "/var/lib/isoserve"
    return ["hold", "--config", "/config/models.json", "--root", root, "--peers", name]


def _agent_env(subject: Subject) -> list[Plain]:
    own = bool(subject.facts.profile.registry.credentials_secret)
    node = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    return [*registry_env(subject, own), node]


def _agent_mounts(subject: Subject) -> list[Plain]:
    keys = subject.facts.profile.registry.credentials_secret
    return [
        {"mountPath": "/config", "name": "config", "readOnly": True},
        {"mountPath": "/var/lib/isoserve", "name": "models"},
        {"mountPath": "/tmp", "name": "tmp"},
        {"mountPath": "/var/run/isoserve/api", "name": "api", "readOnly": True},
        *([KEYS_MOUNT] if keys else []),
    ]


_API: Final[Plain] = {
    "name": "api",
    "projected": {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3600, "path": "token"}},
            {
                "configMap": {
                    "items": [{"key": "ca.crt", "path": "ca.crt"}],
                    "name": "kube-root-ca.crt",
                    "optional": True,
                }
            },
            {
                "downwardAPI": {
                    "items": [
                        {"fieldRef": {"fieldPath": f"metadata.{name}"}, "path": name}
                        for name in ("name", "namespace")
                    ]
                }
            },
        ]
    },
}


def _agent_volumes(subject: Subject) -> list[Plain]:
    keys = subject.facts.profile.registry.credentials_secret
    return [
        {"configMap": {"name": agent_name(subject)}, "name": "config"},
        {"hostPath": {"path": "/var/lib/isoserve", "type": "DirectoryOrCreate"}, "name": "models"},
        {"emptyDir": {"sizeLimit": "256Mi"}, "name": "tmp"},
        _API,
        *([{"name": KEYS, "secret": {"secretName": keys}}] if keys else []),
    ]


def _agent_probe(path: str, period: int, failures: int) -> Plain:
    return {
        "failureThreshold": failures,
        "httpGet": {"path": path, "port": "metrics"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
    }


_AGENT_SIZE: Final = {"cpu": "1", "ephemeral-storage": "1Gi", "memory": "512Mi"}
CACHE_AGENT: Final[Plain] = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": head(of_agent, agent_name, lambda subject: CACHE_NAMESPACE),
    "spec": {
        "selector": {"matchLabels": Asked(of_agent)},
        "template": {
            "metadata": {
                "annotations": {**_PLAIN_METRICS, "prometheus.io/port": "9091"},
                "labels": Asked(of_agent),
            },
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "agent",
                        "image": Asked(lambda subject: subject.facts.profile.agent_image),
                        "imagePullPolicy": "Always",
                        "args": Asked(_agent_args),
                        "env": Asked(_agent_env),
                        "livenessProbe": _agent_probe("/healthz", 10, 6),
                        "ports": [
                            {"containerPort": 9091, "name": "metrics"},
                            {"containerPort": 9092, "name": "peers"},
                        ],
                        "readinessProbe": _agent_probe("/readyz", 5, 2),
                        "resources": {"limits": _AGENT_SIZE, "requests": _AGENT_SIZE},
                        "securityContext": RESTRICTED,
                        "startupProbe": _agent_probe("/healthz", 5, 24),
                        "volumeMounts": Asked(_agent_mounts),
                    }
                ],
                "imagePullSecrets": Asked(pull_secrets),
                "nodeSelector": {LABEL_MACHINE: Asked(lambda s: machine_of(s)[0].name)},
                "priorityClassName": "system-node-critical",
                "securityContext": {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}},
                "serviceAccountName": CACHE_ACCOUNT,
                "terminationGracePeriodSeconds": 30,
                "tolerations": Asked(
                    lambda subject: [
                        *tolerations(*machine_of(subject)),
                        {"key": LABEL_CAPACITY, "operator": "Exists"},
                    ]
                ),
                "volumes": Asked(_agent_volumes),
            },
        },
        "updateStrategy": {"rollingUpdate": {"maxUnavailable": "10%"}, "type": "RollingUpdate"},
    },
}
