"""One region in a network namespace: its control plane, its real machines, DNS and a registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import yaml

from regions.sandbox import control_plane
from regions.sandbox.control_plane import Place
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.layout import certificates_of, region_home
from regions.sandbox.node import images, machine, packages
from regions.sandbox.node.certificates import Pair, authority, issue
from regions.sandbox.node.machine import Machine
from regions.sandbox.node.network import (
    API_SERVICE,
    SERVICE_RANGE,
    Network,
    claim,
    claimed,
    enter,
    machines_of,
    make_region,
    release,
    remove,
)
from regions.sandbox.node.packages import environment
from regions.sandbox.toolchain import Say

READY_SECONDS: Final = 60.0
_DNS: Final = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_PORTS: Final = {"etcd": 2379, "etcd-peer": 2380, "kube-apiserver": 6443}
_PLURALS: Final = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "EndpointSlice": "endpointslices",
    "Namespace": "namespaces",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
}


def start(region: str, machines: Sequence[Machine], say: Say) -> Cluster:
    """Bring the region and its machines up, or complete what an interrupted run has begun.

    Raises SandboxError at the first step that fails; what runs by then stays for the next try.
    """
    packages.require()
    owner = region_home(region)
    network = claimed(owner) or claim(owner)
    make_region(network)
    place = _place(region, network)
    cluster = control_plane.start(place)
    images.serve(region, network)
    images.push_all(network, say)
    for made in _documents("rights.yaml", "dns.yaml"):
        apply(cluster, made)
    signer, begun = authority(certificates_of(region)), datetime.now(UTC)
    started = [one.name for one in machines if machine.start(one, network, signer, place.url)]
    _await(cluster, f"{', '.join(started)} to come", lambda: _renewed(cluster, started, begun))
    wanted = [(f"/api/v1/nodes/{one.name}", "Ready") for one in machines] + [(_DNS, "Available")]
    for path, kind in wanted:
        _await(cluster, f"{path} to be {kind}", partial(_has, cluster, path, kind))
    return cluster


def stop(region: str) -> None:
    """End the region and its machines, and forget its network; nothing of the host's is left.

    Raises SandboxError naming what does not end.
    """
    network = claimed(region_home(region))
    if network:
        for index in machines_of(network):
            machine.stop(region, index, network)
    control_plane.stop(region)
    images.stop(region)
    if network:
        remove(network)
        release(network)


def apply(cluster: Cluster, made: Object) -> None:
    """Server-side apply one of the kinds of `_PLURALS`."""
    group, metadata = made["apiVersion"], made["metadata"]
    base = f"/apis/{group}" if "/" in group else f"/api/{group}"
    space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    cluster.apply(f"{base}{space}/{_PLURALS[made['kind']]}/{metadata['name']}", made)


def _place(region: str, network: Network) -> Place:
    folder = certificates_of(region)
    signer = authority(folder)
    names = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{machine.CLUSTER_DOMAIN}",
    )
    serving = issue(
        signer, "apiserver", "kube-apiserver", "", (network.api_address, API_SERVICE, *names)
    )
    user = "kube-apiserver-kubelet-client"
    kubelet_client = issue(signer, "apiserver-kubelet-client", user, "", ())
    return Place(
        region=region,
        address=network.api_address,
        ports=_PORTS,
        authority=signer.certificate,
        service_range=SERVICE_RANGE,
        enter=enter(network.name),
        environment=environment(),
        arguments={
            "kube-apiserver": _tls_flags(signer, serving, kubelet_client),
            "kube-controller-manager": (f"--root-ca-file={signer.certificate}",),
        },
    )


def _tls_flags(signer: Pair, serving: Pair, kubelet_client: Pair) -> tuple[str, ...]:
    return (
        f"--client-ca-file={signer.certificate}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--kubelet-certificate-authority={signer.certificate}",
        f"--kubelet-client-certificate={kubelet_client.certificate}",
        f"--kubelet-client-key={kubelet_client.key}",
        # A kubelet may write its own Node and its own pods only.
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
    )


def _documents(*names: str) -> Iterable[Object]:
    for name in names:
        yield from yaml.safe_load(Path(__file__).with_name(name).read_text())


def _await(cluster: Cluster, what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise SandboxError(
                f"region {cluster.region}: waited {READY_SECONDS:.0f} s for {what}; "
                f"see .isoserve/log/{cluster.region}.machine-*.log"
            )
        time.sleep(0.2)


def _renewed(cluster: Cluster, names: Sequence[str], since: datetime) -> bool:
    """Whether the kubelet of each machine has said since then that it is there.

    A Node stays Ready for 40 s after its machine has ended: what it says may be of before.
    """
    for name in names:
        lease = cluster.get(f"{_LEASES}/{name}") or {}
        told = lease.get("spec", {}).get("renewTime")
        if not told or datetime.fromisoformat(told) < since:
            return False
    return True


def _has(cluster: Cluster, path: str, kind: str) -> bool:
    conditions = (cluster.get(path) or {}).get("status", {}).get("conditions", ())
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)
