"""One region in a network namespace: its control plane, its real machines, DNS and a registry."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import yaml

from regions.sandbox import control_plane
from regions.sandbox.control_plane import Place
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.layout import certificates_of, region_home, write_atomically
from regions.sandbox.node import images, machine, packages
from regions.sandbox.node.certificates import Pair, authority, issue
from regions.sandbox.node.machine import Machine
from regions.sandbox.node.network import (
    API_SERVICE,
    NUMBERS,
    SERVICE_RANGE,
    Network,
    enter,
    make_region,
    remove,
    used_numbers,
)
from regions.sandbox.toolchain import Say

READY_SECONDS: Final = 60.0
_DNS: Final = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
_PORTS: Final = {"etcd": 2379, "etcd-peer": 2380, "kube-apiserver": 6443}
_PLURALS: Final = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
}


def start(region: str, machines: Sequence[Machine], say: Say) -> Cluster:
    """Bring the region and its machines up, or complete what an interrupted run has begun.

    Raises SandboxError at the first step that fails; what runs by then stays for the next try.
    """
    packages.require()
    network = _network(region)
    make_region(network)
    place = _place(region, network)
    cluster = control_plane.start(place)
    images.serve(region, network)
    images.push_all(network, say)
    for made in _documents("rights.yaml", "dns.yaml"):
        apply(cluster, made)
    for one in machines:
        machine.start(one, network, authority(certificates_of(region)), place.url)
    nodes = [f"/api/v1/nodes/{one.name}" for one in machines]
    _await(cluster, [(path, "Ready") for path in nodes] + [(_DNS, "Available")])
    return cluster


def stop(region: str, machines: Iterable[Machine]) -> None:
    """End the region and its machines, and forget its network; nothing of the host's is left."""
    network, stopped = _network(region), list(machines)
    for one in stopped:
        machine.stop(one, network)
    control_plane.stop(region)
    images.stop(region)
    remove(network, [one.index for one in stopped])
    _number_file(region).unlink(missing_ok=True)


def network_of(region: str) -> Network:
    """The network of a region that has one.

    Raises SandboxError where there is none.
    """
    try:
        return Network(int(_number_file(region).read_text()))
    except (FileNotFoundError, ValueError) as reason:
        raise SandboxError(f"region {region} has no network of its own") from reason


def apply(cluster: Cluster, made: Object) -> None:
    """Server-side apply one of the kinds of `_PLURALS`."""
    group, metadata = made["apiVersion"], made["metadata"]
    base = f"/apis/{group}" if "/" in group else f"/api/{group}"
    space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    cluster.apply(f"{base}{space}/{_PLURALS[made['kind']]}/{metadata['name']}", made)


def _network(region: str) -> Network:
    try:
        return network_of(region)
    except SandboxError:
        free = sorted(set(NUMBERS) - used_numbers())
        if not free:
            raise SandboxError("all 254 regions of this host are taken; end one") from None
        # By chance: two sandboxes that start at the same moment should not meet.
        chosen = random.choice(free)
        write_atomically(_number_file(region), f"{chosen}\n")
        return Network(chosen)


def _number_file(region: str) -> Path:
    return region_home(region) / "network"


def _place(region: str, network: Network) -> Place:
    folder = certificates_of(region)
    signer = authority(folder)
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    served = issue(
        signer, "apiserver", "kube-apiserver", "", (network.api_address, API_SERVICE, *names)
    )
    asking = issue(signer, "apiserver-kubelet-client", "kube-apiserver-kubelet-client", "", ())
    return Place(
        region=region,
        address=network.api_address,
        ports=_PORTS,
        authority=signer.certificate,
        service_range=SERVICE_RANGE,
        enter=enter(network.name),
        arguments={
            "kube-apiserver": _shown(signer, served, asking),
            "kube-controller-manager": (f"--root-ca-file={signer.certificate}",),
        },
    )


def _shown(signer: Pair, served: Pair, asking: Pair) -> tuple[str, ...]:
    return (
        f"--client-ca-file={signer.certificate}",
        f"--tls-cert-file={served.certificate}",
        f"--tls-private-key-file={served.key}",
        f"--kubelet-certificate-authority={signer.certificate}",
        f"--kubelet-client-certificate={asking.certificate}",
        f"--kubelet-client-key={asking.key}",
        # A kubelet may write its own Node and its own pods only.
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
    )


def _documents(*names: str) -> Iterable[Object]:
    for name in names:
        yield from yaml.safe_load(Path(__file__).with_name(name).read_text())


def _await(cluster: Cluster, wanted: Sequence[tuple[str, str]]) -> None:
    """Wait until each object at an API path has the condition."""
    deadline = time.monotonic() + READY_SECONDS
    waiting = list(wanted)
    while waiting:
        waiting = [one for one in waiting if not _has(cluster, *one)]
        if waiting and time.monotonic() > deadline:
            names = ", ".join(f"{path.rpartition('/')[2]} is not {kind}" for path, kind in waiting)
            raise SandboxError(
                f"region {cluster.region}: after {READY_SECONDS:.0f} s {names}; "
                f"see .isoserve/log/{cluster.region}.machine-*.log"
            )
        time.sleep(0.2)


def _has(cluster: Cluster, path: str, kind: str) -> bool:
    conditions = (cluster.get(path) or {}).get("status", {}).get("conditions", ())
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)
