"""Objects that somebody might add by hand or by mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from policies.judge import Finding
from policies.resources import Resource
from tests.policies.estate import REGION, added, changed, named

GATEWAY_API: Final = "gateway.networking.k8s.io"
ENVOY: Final = "gateway.envoyproxy.io/v1alpha1"
MANAGED: Final = {"app.kubernetes.io/managed-by": "isoserve"}


def messages(found: list[Finding]) -> str:
    return "\n".join(finding.place.message for finding in found)


def made(
    api: str, kind: str, namespace: str, name: str, labels: dict[str, str], **body: Any
) -> Resource:
    """An object as isoserve would label it, so that only what a test is about is wrong with it."""
    metadata: dict[str, Any] = {"name": name, "labels": {**MANAGED, **labels}}
    if namespace:
        metadata["namespace"] = namespace
    return added({"apiVersion": api, "kind": kind, "metadata": metadata, **body})


def of_model(model: str) -> dict[str, str]:
    project, name = model.split("/")
    return {"isoserve.dev/project": project, "isoserve.dev/model": name}


def service(model: str, name: str, **spec: Any) -> Resource:
    """A Service that selects all pods of a model."""
    labels = of_model(model)
    ports = [{"port": 80, "targetPort": "http", "protocol": "TCP"}]
    spec = {"selector": labels, "ports": ports, **spec}
    return made("v1", "Service", model.split("/")[0], name, labels, spec=spec)


def route(
    model: str, to: str, name: str = "backdoor", kind: str = "HTTPRoute", **spec: Any
) -> Resource:
    """A route that leads to a Service of the model's namespace, through a gateway of ours."""
    project, own = model.split("/")
    sub = "internal." if to == "internal" else ""
    body = {
        "parentRefs": [{"kind": "Gateway", "name": to, "namespace": "isoserve-gateway"}],
        "hostnames": [f"{own}--{project}.{sub}aws.sandbox.example.com"],
        "rules": [{"backendRefs": [{"kind": "Service", "name": own, "port": 80}]}],
        **spec,
    }
    return made(f"{GATEWAY_API}/v1", kind, project, name, of_model(model), spec=body)


def wall(model: str, name: str, *ingress: Any, **spec: Any) -> Resource:
    """One more NetworkPolicy around a model's pods."""
    labels = of_model(model)
    body = {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Ingress"],
        "ingress": list(ingress),
        **spec,
    }
    kind = "NetworkPolicy"
    return made("networking.k8s.io/v1", kind, model.split("/")[0], name, labels, spec=body)


def edited(label: str, change: Callable[[Any], object], region: str = REGION) -> Resource:
    """A good resource after one change."""
    return changed(named(label, region), change)
