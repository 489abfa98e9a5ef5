"""Pods, Services, Gateways and routes as an API server holds them, for the tests of the traffic."""

from __future__ import annotations

from typing import Any

from regions.sandbox.kube import Object
from regions.sandbox.traffic.watch import Change, Key, key_of

SPACE = "search"
NAMESPACES: dict[Key, Object] = {
    ("", SPACE): {"metadata": {"name": SPACE, "labels": {"isoserve.dev/project": SPACE}}},
    ("", "other"): {"metadata": {"name": "other"}},
}


def a_pod(name: str, ip: str, port: int = 8000, **over: Any) -> Object:
    """A ready pod of the model `ranker`."""
    ready = over.get("ready", "True")
    ports = [{"containerPort": port, "name": "http"}]
    return {
        "metadata": {
            "labels": over.get("labels", {"model": "ranker"}),
            "name": name,
            "namespace": over.get("namespace", SPACE),
            **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if over.get("ending") else {}),
        },
        "spec": {"containers": [{"name": "server", "ports": ports}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}], "podIP": ip},
    }


def a_service(name: str, **spec: Any) -> Object:
    """The Service of the model `ranker`, on port 80."""
    return {
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "clusterIP": "10.0.0.7",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
            "selector": {"model": "ranker"},
            "type": "ClusterIP",
            **spec,
        },
    }


def a_gateway(port: int, **listener: Any) -> Object:
    """The gateway `internal`, that takes every project's routes."""
    exists = {"key": "isoserve.dev/project", "operator": "Exists"}
    of_projects = {"from": "Selector", "selector": {"matchExpressions": [exists]}}
    return {
        "metadata": {"name": "internal", "namespace": "isoserve-gateway"},
        "spec": {
            "listeners": [
                {
                    "allowedRoutes": {"namespaces": of_projects},
                    "hostname": "*.internal.test",
                    "name": "models",
                    "port": port,
                    "protocol": "HTTP",
                    **listener,
                }
            ]
        },
    }


def a_route(name: str, *rules: Object, **over: Any) -> Object:
    """A route for `ranker--search.internal.test`."""
    parent = {"kind": "Gateway", "name": "internal", "namespace": "isoserve-gateway"}
    return {
        "metadata": {
            "creationTimestamp": over.get("created", "2026-01-01T00:00:00Z"),
            "name": name,
            "namespace": over.get("namespace", SPACE),
        },
        "spec": {
            "hostnames": over.get("hostnames", ["ranker--search.internal.test"]),
            "parentRefs": [{**parent, **over.get("parent", {})}],
            "rules": list(rules),
        },
    }


def a_rule(*matches: Object, **fields: Any) -> Object:
    """A rule whose requests all go to the Service `ranker`."""
    backends = [{"kind": "Service", "name": "ranker", "port": 80, "weight": 100}]
    return {"backendRefs": backends, **({"matches": list(matches)} if matches else {}), **fields}


def by_key(*objects: Object) -> dict[Key, Object]:
    return {key_of(one): one for one in objects}


def came(kind: str, *objects: Object, whole: bool = False) -> Change:
    """Objects that are new or changed."""
    return Change(kind, dict(by_key(*objects)), whole)


def went(kind: str, *objects: Object) -> Change:
    """Objects that are deleted."""
    return Change(kind, dict.fromkeys(by_key(*objects)), whole=False)
