"""What a region's probers say of its models, read from where Prometheus would read it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import requests
from prometheus_client.parser import text_string_to_metric_families

from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object, own_session

Model = tuple[str, str]
"""Project and name."""
_PODS: Final = "/api/v1/pods?labelSelector=isoserve.dev%2Frole%3D"
_METRICS_PORT: Final = 9090
_POLL_SECONDS: Final = 0.5


def served(cluster: Cluster) -> set[Model]:
    """The models of which a pod runs on a process node; nothing answers for the others."""
    return {
        (labels["isoserve.dev/project"], labels["isoserve.dev/model"])
        for pod in _running(cluster, "model-server")
        if (labels := pod["metadata"]["labels"])
    }


def results(cluster: Cluster) -> dict[Model, bool]:
    """Whether each model's last probe got a right answer; without those not probed yet."""
    found: dict[Model, bool] = {}
    for pod in _running(cluster, "prober"):
        for family in text_string_to_metric_families(_text(pod["status"]["podIP"])):
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
                f"{timeout_seconds:.0f} s; see the logs below .isoserve/{cluster.region}/nodes"
            )
        time.sleep(_POLL_SECONDS)


def _running(cluster: Cluster, role: str) -> Iterator[Object]:
    for pod in (cluster.get(_PODS + role) or {}).get("items", []):
        # Simulated pods have addresses too, but nobody listens there.
        if pod.get("status", {}).get("podIP", "").startswith("127."):
            yield pod


def _text(address: str) -> str:
    try:
        return own_session().get(f"http://{address}:{_METRICS_PORT}/metrics", timeout=2).text
    except requests.RequestException:
        return ""  # one that starts or stops has nothing to say
