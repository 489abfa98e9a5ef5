"""One region in a network namespace: its control plane, its real machines, DNS and a registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from string import Template
from typing import Final

import yaml

from regions.sandbox import control_plane
from regions.sandbox.control_plane import Place
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.layout import AWS_REGIONS, certificates_of, region_home
from regions.sandbox.node import aws, images, issuer, machine, packages
from regions.sandbox.node.certificates import Pair, authority, issue
from regions.sandbox.node.machine import Machine
from regions.sandbox.node.network import (
    API_SERVICE,
    INTERNAL_SERVICE,
    ISSUER_SERVICE,
    PUBLIC_SERVICE,
    SERVICE_RANGE,
    Network,
    claim,
    claimed,
    enter,
    machines_of,
    make_region,
    network_of,
    release,
    remove,
)
from regions.sandbox.node.packages import environment
from regions.sandbox.plans import plan_of, profile_of
from regions.sandbox.toolchain import Say

READY_SECONDS: Final = 600.0
_DNS: Final = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_PORTS: Final = {"etcd": 2379, "etcd-peer": 2380, "kube-apiserver": 6443}
_LEAVES_AFTER_SECONDS: Final = 10
"""How long a pod stays bound to a machine that is lost, unless it says so itself. The API server's
default of 300 s is for machines that come back; here somebody has ended it, and waits. When it
counts as lost stays the controllers' own 50 s: kwok's nodes are heard of every 25 s (stages.yaml).
"""
_PROXY_USER: Final = "front-proxy-client"
_PLURALS: Final = {
    "APIService": "apiservices",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "EndpointSlice": "endpointslices",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "Namespace": "namespaces",
    "Prometheus": "prometheuses",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "ServiceMonitor": "servicemonitors",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}


def start(region: str, machines: Sequence[Machine], say: Say) -> Cluster:
    """Bring the region and its machines up, or complete what an interrupted run has begun.

    An AWS-shaped one needs the sandbox's ports to be chosen, since AWS has one of them.
    Raises SandboxError at the first step that fails; what runs by then stays for the next try.
    """
    packages.require()
    owner = region_home(region)
    network = claimed(owner) or claim(owner)
    make_region(network)
    place = _place(region, network)
    cluster = control_plane.start(place)
    images.serve(region, network)
    digests = images.push_all(network, say)
    made = documents("rights.yaml")
    made += documents(
        "dns.yaml",
        domain=plan_of(region).domain,
        image=images.pinned(images.COREDNS_IMAGE, digests[images.COREDNS_IMAGE]),
        internal=INTERNAL_SERVICE,
        public=PUBLIC_SERVICE,
        issuer=ISSUER_SERVICE,
        issuers=" ".join(issuer.hosts(profile_of(region))),
    )
    python = images.pinned(images.PYTHON_IMAGE, digests[images.PYTHON_IMAGE])
    made += issuer.objects(cluster, python)
    if region in AWS_REGIONS:
        aws.serve(region, network)
        made += aws.objects(region, network)
    for one in made:
        apply(cluster, one)
    signer, begun = authority(certificates_of(region)), datetime.now(UTC)
    started = [one.name for one in machines if machine.start(one, network, signer, place.url)]
    await_that(cluster, f"{', '.join(started)} to come", lambda: _renewed(cluster, started, begun))
    await_condition(cluster, "Ready", *(f"/api/v1/nodes/{one.name}" for one in machines))
    await_condition(cluster, "Available", _DNS)
    return cluster


def begun(region: str) -> bool:
    """Whether the region has real machines, also where the host has forgotten its network."""
    return network_of(region) is not None or (region_home(region) / "machines").exists()


def stop(region: str) -> None:
    """End the region and its machines, and forget its network; nothing of the host's is left.

    Raises SandboxError naming what does not end.
    """
    network = network_of(region)
    if network:
        for index in machines_of(network):
            machine.stop(region, index, network)
    aws.stop(region)
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


def documents(name: str, **values: str) -> list[Object]:
    """The objects of a file that stands beside this one, with values for its `$NAME`s."""
    text = Template(Path(__file__).with_name(name).read_text()).substitute(values)
    made: list[Object] = yaml.safe_load(text)
    return made


def on_machine(name: str) -> Object:
    """The fields by which a pod of the cluster's own stands on one machine, whatever else does."""
    return {
        "nodeSelector": {"kubernetes.io/hostname": name},
        "priorityClassName": "system-cluster-critical",
        "tolerations": [{"operator": "Exists"}],
    }


def await_condition(cluster: Cluster, kind: str, *paths: str) -> None:
    """Wait until the object at each path has a true condition of that kind.

    Raises SandboxError where one has it not in time.
    """
    for path in paths:
        await_that(cluster, f"{path} to be {kind}", partial(_has, cluster, path, kind))


def await_that(cluster: Cluster, what: str, is_so: Callable[[], bool]) -> None:
    """Wait for something of the region's machines. Raises SandboxError with it where it is late."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise SandboxError(
                f"region {cluster.region}: waited {READY_SECONDS:.0f} s for {what}; "
                f"see .isoserve/log/{cluster.region}.machine-*.log"
            )
        time.sleep(0.2)


def name_of(cluster: Cluster, address: str) -> str:
    """The name of the node at an address. Raises SandboxError where none has it."""
    for node in (cluster.get("/api/v1/nodes") or {"items": []})["items"]:
        told = node.get("status", {}).get("addresses", ())
        if {"type": "InternalIP", "address": address} in told:
            return str(node["metadata"]["name"])
    raise SandboxError(
        f"region {cluster.region}: no node has the address {address}; run `up` again"
    )


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
            "kube-apiserver": (
                *_tls_flags(signer, serving, kubelet_client),
                *_aggregation_flags(folder),
                f"--default-not-ready-toleration-seconds={_LEAVES_AFTER_SECONDS}",
                f"--default-unreachable-toleration-seconds={_LEAVES_AFTER_SECONDS}",
            ),
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


def _aggregation_flags(folder: Path) -> tuple[str, ...]:
    """How the API server asks servers that stand behind it (Kubernetes' documentation, "Configure
    the Aggregation Layer", read 2026-11).

    It tells them who asks under a certificate of an authority that signs nothing else: whoever has
    one may speak for everybody.
    """
    signer = authority(folder, "front-proxy")
    client = issue(signer, "front-proxy-client", _PROXY_USER, "", ())
    return (
        # It has routes to pods and none to Services, whose addresses only machines know.
        "--enable-aggregator-routing=true",
        f"--proxy-client-cert-file={client.certificate}",
        f"--proxy-client-key-file={client.key}",
        f"--requestheader-client-ca-file={signer.certificate}",
        f"--requestheader-allowed-names={_PROXY_USER}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    )


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
