"""The Prometheus operator and its Prometheus on a region's first machine, and their images."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import requests

from regions.addons import ADDONS
from regions.sandbox import crds
from regions.sandbox.crds import PROMETHEUS_OPERATOR
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object, own_session
from regions.sandbox.layout import BIN
from regions.sandbox.node import images, region
from regions.sandbox.node.images import Image
from regions.sandbox.node.network import Network, network_of

PORT: Final = 9090
VERSION: Final = f"v{ADDONS['kube-prometheus-stack'].version}"
"""Of the operator, and of what it puts beside Prometheus."""
PROMETHEUS_VERSION: Final = "v3.13.1"
"""Which that operator starts unless it is told otherwise."""
IMAGES: Final = (
    f"quay.io/prometheus/prometheus:{PROMETHEUS_VERSION}",
    f"quay.io/prometheus-operator/prometheus-config-reloader:{VERSION}",
    f"quay.io/prometheus-operator/prometheus-operator:{VERSION}",
)
"""As the operator and its Deployment name them; each holds the program of its own name."""
_NAMESPACE: Final = "monitoring"
_OPERATOR: Final = replace(PROMETHEUS_OPERATOR, folder="example/rbac/prometheus-operator")
_RIGHTS: Final = replace(PROMETHEUS_OPERATOR, folder="example/rbac/prometheus")
_OF_CLUSTER: Final = ("ClusterRole", "ClusterRoleBinding")
_PATIENCE_SECONDS: Final = 120.0  # a machine may have the images to fetch


def made_images() -> tuple[Image, ...]:
    """The images of the operator, of Prometheus and of what has it read its files anew."""
    return tuple(map(_image, IMAGES))


def install(cluster: Cluster, network: Network) -> None:
    """Put the operator onto the first machine, and the Prometheus that it is to start there.

    Raises SandboxError where that machine has not come, or the operator's objects are not to be
    had.
    """
    machine = region.name_of(cluster, network.machine_address(1))
    # The operator's own example of a Prometheus is left out: it reads other monitors.
    rights = [one for one in crds.objects(_RIGHTS) if one["kind"] != "Prometheus"]
    made = region.documents("prometheus.yaml", machine=machine)
    made += [placed(one, machine) for one in (*rights, *crds.objects(_OPERATOR))]
    # A pod without its ServiceAccount is refused, and tried again seconds later.
    for one in sorted(made, key=lambda one: bool(one["kind"] == "Deployment")):
        region.apply(cluster, one)


def await_ready(cluster: Cluster) -> str:
    """Wait until the region's Prometheus answers; its address. Raises SandboxError."""
    network = network_of(cluster.region)
    assert network is not None, "only regions on real machines have a Prometheus of ours"
    url = f"http://{network.machine_address(1)}:{PORT}"
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _is_ready(url):
        if time.monotonic() > deadline:
            kubectl = f"kubectl --kubeconfig .isoserve/{cluster.region}/kubeconfig -n {_NAMESPACE}"
            raise SandboxError(
                f"region {cluster.region}: Prometheus is not ready after {_PATIENCE_SECONDS:.0f} s;"
                f" see `{kubectl} describe prometheus,pods` and `{kubectl} logs "
                "deployment/prometheus-operator`"
            )
        time.sleep(0.2)
    return url


def placed(made: Object, machine: str) -> Object:
    """An object of the operator's examples, for our namespace and our machine."""
    if made["kind"] not in _OF_CLUSTER:
        made["metadata"]["namespace"] = _NAMESPACE
    for subject in made.get("subjects", ()):
        subject["namespace"] = _NAMESPACE
    if made["kind"] == "Deployment":
        pod = made["spec"]["template"]["spec"]
        pod |= region.on_machine(machine)
        (container,) = pod["containers"]
        # No CPU: where a machine is as small as its agent and one server, these have all of it.
        container["args"] += ["--config-reloader-cpu-limit=0", "--config-reloader-cpu-request=0"]
        container["resources"] = {"requests": {"memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    return made


def _image(name: str) -> Image:
    program = BIN / name.rpartition("/")[2].partition(":")[0]
    # The operator calls programs by these paths.
    layer, entrypoint = images.layer_of(program, "bin"), (f"/bin/{program.name}",)
    return Image(name, "", layer, entrypoint, "65534:65534", "/")


def _is_ready(url: str) -> bool:
    try:
        with own_session() as session:
            return session.get(f"{url}/-/ready", timeout=2).status_code == 200
    except requests.RequestException:
        return False
