"""Which pods take a Service's traffic: those that run here, are ready, and stay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address

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
    """What stands behind one Service: by its port its ready pods' targets."""

    ports: Mapping[int, tuple[Target, ...]]


def endpoints(
    services: Mapping[Key, Object], pods: Iterable[Object], network: IPv4Network
) -> dict[Key, Endpoints]:
    """The endpoints in `network` of every Service that stands for pods (an ExternalName doesn't).

    Simulated pods have addresses elsewhere, and nobody listens there.
    """
    ready: dict[str, list[Object]] = defaultdict(list)
    for pod in pods:
        if _takes_traffic(pod, network):
            ready[pod["metadata"]["namespace"]].append(pod)
    for found in ready.values():
        found.sort(key=lambda pod: str(pod["metadata"]["name"]))
    return {
        key: _of(service["spec"], ready.get(key[0], []))
        for key, service in services.items()
        if service["spec"].get("type") != "ExternalName"
    }


def _takes_traffic(pod: Object, network: IPv4Network) -> bool:
    """Whether the pod has an address in the network, is ready, and isn't ending."""
    status = pod.get("status", {})
    address = status.get("podIP")
    return (
        "deletionTimestamp" not in pod["metadata"]
        and bool(address)
        and ip_address(address) in network
        and any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in status.get("conditions", ())
        )
    )


def _of(spec: Object, pods: list[Object]) -> Endpoints:
    selector = spec.get("selector") or {}
    chosen = [pod for pod in pods if selector and _has_labels(pod, selector)]
    return Endpoints(
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
