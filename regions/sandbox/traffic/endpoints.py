"""Which pods take a Service's traffic: those that run here, are ready, and stay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from regions.sandbox.kube import Object
from regions.sandbox.traffic.watch import Key


@dataclass(frozen=True, slots=True)
class Target:
    """One pod's listening address."""

    pod: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What stands behind one Service: its ready pods' addresses, and by its port their targets."""

    headless: bool
    addresses: tuple[str, ...]
    ports: Mapping[int, tuple[Target, ...]]


def endpoints(services: Mapping[Key, Object], pods: Iterable[Object]) -> dict[Key, Endpoints]:
    """The endpoints of every Service that stands for pods (an ExternalName doesn't)."""
    ready: dict[str, list[Object]] = defaultdict(list)
    for pod in pods:
        if takes_traffic(pod):
            ready[pod["metadata"]["namespace"]].append(pod)
    for found in ready.values():
        found.sort(key=lambda pod: str(pod["metadata"]["name"]))
    return {
        key: _of(service["spec"], ready.get(key[0], []))
        for key, service in services.items()
        if service["spec"].get("type") != "ExternalName"
    }


def takes_traffic(pod: Object) -> bool:
    """Whether a process of this machine stands behind the pod, is ready, and isn't ending.

    Simulated pods have addresses outside loopback, and nobody listens there.
    """
    status = pod.get("status", {})
    return (
        "deletionTimestamp" not in pod["metadata"]
        and str(status.get("podIP", "")).startswith("127.")
        and any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in status.get("conditions", ())
        )
    )


def _of(spec: Object, pods: list[Object]) -> Endpoints:
    selector = spec.get("selector") or {}
    chosen = [pod for pod in pods if selector and _has_labels(pod, selector)]
    return Endpoints(
        headless=spec.get("clusterIP") == "None",
        addresses=tuple(pod["status"]["podIP"] for pod in chosen),
        ports={
            one["port"]: tuple(target for pod in chosen if (target := _target(pod, one)))
            for one in spec.get("ports", ())
            if one.get("protocol", "TCP") == "TCP"
        },
    )


def _has_labels(pod: Object, selector: Mapping[str, str]) -> bool:
    return bool(selector.items() <= pod["metadata"].get("labels", {}).items())


def _target(pod: Object, service_port: Object) -> Target | None:
    """Where the pod listens for a Service's port; None when it has no port of the named one."""
    wanted = service_port.get("targetPort") or service_port["port"]
    if isinstance(wanted, str):
        named = [
            port["containerPort"]
            for container in pod["spec"]["containers"]
            for port in container.get("ports", ())
            if port.get("name") == wanted
        ]
        if not named:
            return None
        wanted = named[0]
    metadata = pod["metadata"]
    name = f"{metadata['namespace']}/{metadata['name']}"
    return Target(name, pod["status"]["podIP"], wanted)
