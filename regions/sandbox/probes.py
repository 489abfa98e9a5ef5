"""What a region's probers say of its models, read from where Prometheus would read it.

NetworkPolicies let Prometheus alone in there, and it comes once an interval: so a prober is asked
from within its container.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from regions.sandbox.control_plane import SIMULATED_PODS
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object, execute
from regions.sandbox.layout import kubeconfig_of

Model = tuple[str, str]
"""Project and name."""
_PODS: Final = "/api/v1/pods?labelSelector=isoserve.dev%2Frole%3D"
_METRICS_PORT: Final = 9090
_POLL_SECONDS: Final = 0.5
_READ: Final = f"""
import urllib.request
told = urllib.request.urlopen("http://127.0.0.1:{_METRICS_PORT}/metrics", timeout=10)
print(told.read().decode())
"""


def served(cluster: Cluster) -> set[Model]:
    """The models of which a pod runs for real; nothing answers for the others."""
    return {
        (labels["isoserve.dev/project"], labels["isoserve.dev/model"])
        for pod in _running(cluster, "model-server")
        if (labels := pod["metadata"]["labels"])
    }


def results(cluster: Cluster) -> dict[Model, bool]:
    """Whether each model's last probe got a right answer; without those not probed yet."""
    found: dict[Model, bool] = {}
    for pod in _running(cluster, "prober"):
        for family in text_string_to_metric_families(_text(cluster.region, pod)):
            if family.name == "probe_success":
                for sample in family.samples:
                    if sample.labels.get("track"):
                        continue  # a candidate's, which is asked by itself
                    found[sample.labels["project"], sample.labels["model"]] = sample.value == 1
    return found


def await_right_answers(cluster: Cluster, timeout_seconds: float) -> str:
    """Wait until every served model's probe passes; a note of how many do.

    Raises SandboxError naming those that don't in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        models, known = served(cluster), results(cluster)
        wrong = sorted("/".join(one) for one in models if not known.get(one))
        if not wrong:
            return f"{len(models)} of {len(models)} models that run here answer rightly"
        if time.monotonic() > deadline:
            raise SandboxError(
                f"region {cluster.region}: no right answer to the probe of {', '.join(wrong)} in "
                f"{timeout_seconds:.0f} s; see {_logs(cluster.region, wrong[0])}"
            )
        time.sleep(_POLL_SECONDS)


def _running(cluster: Cluster, role: str) -> Iterator[Object]:
    simulated = IPv4Network(SIMULATED_PODS)
    for pod in (cluster.get(_PODS + role) or {}).get("items", []):
        address = pod.get("status", {}).get("podIP")
        if address and ip_address(address) not in simulated:
            yield pod


def _text(region: str, pod: Object) -> str:
    metadata = pod["metadata"]
    place = (metadata["namespace"], metadata["name"])
    try:
        return execute(kubeconfig_of(region), *place, "python", "-c", _READ)
    except SandboxError:
        return ""  # one that starts or stops has nothing to say


def _logs(region: str, model: str) -> str:
    """Where the model's servers and the prober say what is wrong."""
    return (
        f"`kubectl --kubeconfig .isoserve/{region}/kubeconfig -n {model.partition('/')[0]} logs "
        "--prefix --all-containers -l 'isoserve.dev/role in (model-server,prober)'`"
    )
