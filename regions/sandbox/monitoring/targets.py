"""Turns pods into Prometheus targets, as its own discovery of pods does.

Debian builds Prometheus without that discovery, so the targets reach it through a file. Only pods
that run are among them: a simulated one has an address that may be somebody's outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, ip_address
from typing import Any, Final

Object = dict[str, Any]

META: Final = "__meta_kubernetes_"
"""How the labels begin that relabelings choose by, and no series keeps."""


def target_groups(pods: Iterable[Object], pod_range: IPv4Network) -> list[Object]:
    """Every port of every container of the pods that run, which have an address of the range."""
    return [group for pod in pods if _runs(pod, pod_range) for group in _groups(pod)]


def sanitised(label: str) -> str:
    """A Kubernetes label's name as Prometheus can have it."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", label)


def _runs(pod: Object, pod_range: IPv4Network) -> bool:
    address = pod["status"].get("podIP")
    return bool(address) and ip_address(address) in pod_range


def _groups(pod: Object) -> Iterator[Object]:
    address, about = pod["status"]["podIP"], _about(pod)
    for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())):
        named = about | {f"{META}pod_container_name": container["name"]}
        for port in container.get("ports", ()):
            number = str(port["containerPort"])
            yield {
                "labels": named
                | {
                    f"{META}pod_container_port_name": port.get("name", ""),
                    f"{META}pod_container_port_number": number,
                },
                "targets": [f"{address}:{number}"],
            }


def _about(pod: Object) -> dict[str, str]:
    metadata = pod["metadata"]
    labels = sorted((metadata.get("labels") or {}).items())
    return {
        f"{META}namespace": metadata["namespace"],
        f"{META}pod_name": metadata["name"],
        f"{META}pod_phase": pod["status"]["phase"],
        **{f"{META}pod_label_{sanitised(name)}": value for name, value in labels},
        **{f"{META}pod_labelpresent_{sanitised(name)}": "true" for name, _ in labels},
    }
