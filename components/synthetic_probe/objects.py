"""Renders the prober of one project: what it asks, how it runs, whom it reaches, who reads it.

The contract with prober.py: it reads CONFIG_PATH once, asks every `probes` row each interval, start
to start, and again after a first wrong answer, gives an answer `latency_seconds` at most, sends
PROBE_HEADER, and serves on METRICS_PORT `/healthz` (200 while it asks on time, whatever comes back)
and `/metrics`. A model's series begin with its first finished probe, and the rules read only these;
the answer to a second ask is in the three counts and nowhere else:

    probe_success                  1 or 0: the last finished probe
    probe_duration_seconds         how long it took
    probe_last_timestamp_seconds   when it finished, Unix time
    probe_failures_in_a_row        wrong answers since the last right one
    probe_attempts_total           probes finished
    probe_failures_total           those that failed, by reason (verdict.py)
    probe_first_token_seconds      of the last one, if it was a right stream
    probe_tokens_per_second        likewise, after its first token

Each has the labels `project` and `model`, and `track`: empty for the user's way, `candidate` for a
candidate's own Service. The answers of a candidate are also told in the log (see answers.py), of
the `version` that was asked, which is of nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Final

from components.kube import (
    RESTRICTED_CONTAINER,
    Object,
    head,
    operator_head,
    pulled_by,
    restricted_pod,
)
from components.synthetic_probe.answers import candidates
from components.synthetic_probe.reach import METRICS_PORT, network_policy
from model_specs.names import LABEL_PROJECT, LABEL_ROLE, PROBER
from model_specs.runtimes import SERVER_GID, SERVER_UID
from regions.model_plan import ServerPlan
from regions.plan import ProberPlan, RegionPlan

CONFIG_PATH: Final = "/etc/prober/config.json"
TOKEN_PATH: Final = "/var/run/secrets/prober/token"
TLS_CA_PATH: Final = "/etc/tls-ca/ca.crt"
# A page waits for a scrape and an evaluation: PAGE_SECONDS, which specs are held to, has both.
SCRAPE_SECONDS: Final = 4

_RESOURCES: Final = {"cpu": "100m", "ephemeral-storage": "64Mi", "memory": "128Mi"}
# Without the operator a plain Prometheus finds pods by these, as its own example config does.
_DISCOVERY: Final = {
    "prometheus.io/path": "/metrics",
    "prometheus.io/port": str(METRICS_PORT),
    "prometheus.io/scrape": "true",
}


def _row(server: ServerPlan) -> Object:
    """How a model is asked on the user's way."""
    return {
        "body": server.probe.body,
        "id": server.workload.id,
        "interval_seconds": server.probe.interval_seconds,
        "json_path": server.probe.json_path,
        "latency_seconds": server.probe.latency_seconds,
        "length": server.probe.length,
        "matches": server.probe.matches,
        "method": server.probe.method,
        "model": server.workload.model,
        "status": server.probe.status,
        "token_path": TOKEN_PATH if server.probe.needs_token else "",
        "track": "",
        "url": server.probe.url,
        "version": "",
    }


def _of_candidate(server: ServerPlan) -> list[Object]:
    """How its candidate is asked by itself: the same, at its own Service."""
    return [
        _row(server)
        | {
            "id": candidate.id,
            "interval_seconds": server.probe.candidate_interval_seconds,
            "token_path": "",
            "track": "candidate",
            "url": server.probe.candidate_url,
            "version": candidate.version,
        }
        for candidate in candidates([server])
    ]


def probe_config(project: str, servers: Iterable[ServerPlan]) -> str:
    """The prober's configuration, as JSON."""
    rows = [row for server in servers for row in (_row(server), *_of_candidate(server))]
    return json.dumps({"probes": rows, "project": project}, sort_keys=True)


def _volumes(audiences: Sequence[str], tls_ca: str) -> list[Object]:
    """Its configuration, and for public models its token and the authorities of the gateway."""
    tokens = [{"audience": a, "expirationSeconds": 3600, "path": "token"} for a in audiences]
    sources = [[{"serviceAccountToken": token}] for token in tokens]
    is_private = bool(tokens and tls_ca)
    return [
        {"configMap": {"name": PROBER}, "name": "config"},
        *({"name": "token", "projected": {"sources": one}} for one in sources),
        *([{"configMap": {"name": tls_ca}, "name": "tls-ca"}] if is_private else []),
    ]


def _container(image: str, volumes: Sequence[Object]) -> Object:
    directories = {"config": CONFIG_PATH, "tls-ca": TLS_CA_PATH, "token": TOKEN_PATH}
    is_private = any(volume["name"] == "tls-ca" for volume in volumes)
    # OpenSSL reads these authorities and no others: the prober has no other way by TLS.
    trust = {"env": [{"name": "SSL_CERT_FILE", "value": TLS_CA_PATH}]} if is_private else {}
    health = {"httpGet": {"path": "/healthz", "port": "metrics"}, "timeoutSeconds": 2}
    # It lives while its loop turns, and is ready when what it found can be read.
    readable = {"httpGet": {"path": "/metrics", "port": "metrics"}, "timeoutSeconds": 2}
    return {
        **trust,
        "image": image,
        "imagePullPolicy": "Always",
        "livenessProbe": {**health, "failureThreshold": 3, "periodSeconds": 10},
        "name": PROBER,
        "ports": [{"containerPort": METRICS_PORT, "name": "metrics", "protocol": "TCP"}],
        "readinessProbe": {**readable, "failureThreshold": 1, "periodSeconds": 5},
        "resources": {"limits": _RESOURCES, "requests": _RESOURCES},
        "securityContext": RESTRICTED_CONTAINER,
        "startupProbe": {**health, "failureThreshold": 30, "periodSeconds": 1},
        "volumeMounts": [
            {
                "mountPath": directories[volume["name"]].rsplit("/", 1)[0],
                "name": volume["name"],
                "readOnly": True,
            }
            for volume in volumes
        ],
    }


def _deployment(
    prober: ProberPlan, servers: Sequence[ServerPlan], labels: dict[str, str], operator: bool
) -> Object:
    # A region has one identity provider (RegionProfile.sign_in), so there is one audience at most.
    audiences = sorted({s.access.audience for s in servers if s.probe.needs_token})
    volumes = _volumes(audiences, prober.tls_ca)
    digest = hashlib.sha256(probe_config(prober.project, servers).encode()).hexdigest()
    # The program reads its config once: a changed config must be a changed pod template.
    annotations = {"isoserve.dev/config-sha256": digest, **({} if operator else _DISCOVERY)}
    return head("apps/v1", "Deployment", PROBER, prober.namespace, labels, {}) | {
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"annotations": annotations, "labels": labels},
                "spec": {
                    "automountServiceAccountToken": False,
                    "containers": [_container(prober.image, volumes)],
                    "enableServiceLinks": False,
                    **pulled_by(prober.pull_secrets),
                    "securityContext": restricted_pod(SERVER_UID, SERVER_GID),
                    "serviceAccountName": PROBER,
                    "terminationGracePeriodSeconds": 10,
                    "volumes": volumes,
                },
            },
        }
    }


def objects(prober: ProberPlan, servers: Sequence[ServerPlan], plan: RegionPlan) -> list[Object]:
    """The prober of one project; of `servers`, it asks those that `prober` names."""
    named = frozenset(prober.servers)
    asked = [server for server in servers if server.workload.id in named]
    labels = {LABEL_PROJECT: prober.project, LABEL_ROLE: PROBER}
    operator = "prometheus_operator" in plan.capabilities
    account = head("v1", "ServiceAccount", PROBER, prober.namespace, labels, {})
    config = head("v1", "ConfigMap", PROBER, prober.namespace, labels, {})
    selected_by = plan.prometheus.labels
    monitor = operator_head("PodMonitor", PROBER, prober.namespace, labels, selected_by)
    endpoint = {"interval": f"{SCRAPE_SECONDS}s", "path": "/metrics", "port": "metrics"}
    spec = {"podMetricsEndpoints": [endpoint], "selector": {"matchLabels": labels}}
    return [
        account | {"automountServiceAccountToken": False},
        config | {"data": {"config.json": probe_config(prober.project, asked)}},
        _deployment(prober, asked, labels, operator),
        network_policy(prober, asked, labels),
        *([monitor | {"spec": spec}] if operator else []),
    ]
