"""Real KEDA scales a real Deployment by what a region's real Prometheus reads, as isoserve asks it.

The ScaledObject is that of search/ranker as it is rendered, with windows that a test can wait for.
The pods of its Deployment are idle, and its queue is what the test says: one pod tells Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from components import replica_autoscaler
from components.gates.foreign_fields import foreign
from components.kube import Object
from regions.model_plan import ServerPlan
from regions.sandbox.kube import Refused
from regions.sandbox.plans import plan_of
from tests.engine.real_region import RealRegion, eventually, python_pod, real_region
from tests.engine.site import has_condition
from tests.engine.world import body, path_of

pytestmark = pytest.mark.engine

LIMIT_SECONDS: Final = 180.0
"""The longest that anything may take; nothing is decided by how long it took."""
METRIC: Final = "rest_server_requests_in_progress"
_BEFORE: Final = """
from regions.sandbox import object_store, ports
ports.choose_ports(anything_runs=False)
object_store.start()
"""
_WITH_KEDA: Final = """
import yaml
from regions.sandbox import crds
from regions.sandbox.kube import connect
from regions.sandbox.layout import HOME, kubeconfig_of, write_atomically
from regions.sandbox.node import keda, prometheus
from regions.sandbox.node.network import network_of
cluster = connect("{region}", kubeconfig_of("{region}"))
network = network_of("{region}")
crds.install(cluster)
keda.install(cluster, network)
target = {{"targets": ["queue.search.svc:8000"]}}
job = {{"job_name": "queue", "honor_labels": True, "static_configs": [target]}}
config = {{"global": {{"scrape_interval": "1s", "scrape_timeout": "1s"}}, "scrape_configs": [job]}}
write_atomically(HOME / "read" / "prometheus.yml", yaml.safe_dump(config))
arguments = ["--config.file=/config/prometheus.yml", "--storage.tsdb.path=/series"]
prometheus.install(cluster, network, HOME / "read", arguments)
keda.await_serving(cluster)
"""
_END: Final = """
from regions.sandbox import object_store
object_store.stop()
"""
_QUEUE: Final = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Queue(BaseHTTPRequestHandler):
    said = b""
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(Queue.said)
    def do_PUT(self):
        Queue.said = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
HTTPServer(("", 8000), Queue).serve_forever()
"""
_TELL: Final = """
import sys, urllib.request
said = sys.argv[1].encode()
urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:8000", said, method="PUT"))
"""
APPS: Final = "/apis/apps/v1/namespaces/search/deployments"
SCALED: Final = "/apis/keda.sh/v1alpha1/namespaces/search/scaledobjects"
EXTERNAL: Final = "/apis/external.metrics.k8s.io/v1beta1/namespaces/search"
HPAS: Final = "/apis/autoscaling/v2/namespaces/search/horizontalpodautoscalers"
OTHERS: Final = "others"


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegion]:
    """One machine with KEDA and Prometheus, which reads the queue of the one pod there is."""
    root = tmp_path_factory.mktemp("keda") / "tree"
    with real_region(root, ("machine-1",), "sandbox-aws", _BEFORE) as made:
        try:
            made.run("search", "queue", _QUEUE)
            made.make("services", service("queue"))
            made.run_program(_WITH_KEDA)
            made.running("search", "queue")
            yield made
        finally:
            made.run_program(_END)


def service(name: str) -> Object:
    """A Service of the pod that has this label."""
    port = {"port": 8000, "targetPort": 8000}
    return body("v1", "Service", name, "search", spec={"selector": {"app": name}, "ports": [port]})


def ranker() -> ServerPlan:
    """The plan of search/ranker, whose pods may come and go at once."""
    (plan,) = (one for one in plan_of("sandbox-aws").servers if one.workload.id == "search/ranker")
    (track,) = plan.tracks
    assert track.scaler.kind == "scaled_object", "or nothing of KEDA's is rendered"
    scaler = replace(track.scaler, min=1, max=2, scale_down_seconds=0)
    return replace(plan, tracks=(replace(track, scaler=scaler),))


def rendered(name: str = "ranker") -> Object:
    """The ScaledObject of the plan, for a Deployment of this name."""
    (made,) = replica_autoscaler.objects(ranker())
    target = {**made["spec"]["scaleTargetRef"], "name": name}
    return {
        **made,
        "metadata": {**made["metadata"], "name": name},
        "spec": {**made["spec"], "scaleTargetRef": target},
    }


def idle(name: str) -> Object:
    """A Deployment whose pods do nothing."""
    pod = python_pod("search", name, "import time; time.sleep(1e6)", restartPolicy="Always")
    labels = pod["metadata"]["labels"]
    template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return body("apps/v1", "Deployment", name, "search", spec=spec)


def tell(region: RealRegion, requests: int | None) -> None:
    """Have so many requests be in the servers of the model; None: nobody says how many."""
    marks = {"project": "search", "model": "ranker", "track": "stable"}
    labels = ",".join(f'isoserve_dev_{key}="{said}"' for key, said in marks.items())
    said = "" if requests is None else f"{METRIC}{{{labels}}} {requests}\n"
    region.execute("search", "queue", "python3", "-c", _TELL, said)


def await_replicas(region: RealRegion, wanted: int) -> None:
    """Wait until just so many pods of the model serve."""

    def so_many() -> bool | None:
        found = region.cluster.get(f"{APPS}/ranker")
        assert found is not None
        told = found["status"]
        counts = (found["spec"]["replicas"], told.get("readyReplicas"), told.get("replicas"))
        return counts == (wanted, wanted, wanted) or None

    eventually(so_many, f"{wanted} replicas serve", seconds=LIMIT_SECONDS)


def await_condition(region: RealRegion, path: str, kind: str, wanted: bool) -> None:
    """Wait until an object has a condition, or no longer has it."""

    def is_so() -> bool | None:
        found = region.cluster.get(path)
        return (found is not None and has_condition(found, kind) is wanted) or None

    eventually(is_so, f"{path}: {kind} is {wanted}", seconds=LIMIT_SECONDS)


def metric(region: RealRegion) -> list[str]:
    """What the API server says that the autoscaler is told, by KEDA's metrics server."""
    found = region.cluster.get(f"{SCALED}/ranker")
    assert found is not None
    (name,) = found["status"]["externalMetricNames"]
    chosen = "labelSelector=scaledobject.keda.sh%2Fname%3Dranker"
    told = region.cluster.get(f"{EXTERNAL}/{name}?{chosen}")
    return [one["value"] for one in told["items"]] if told else []


def desired(region: RealRegion) -> Any:
    """How many replicas KEDA's HorizontalPodAutoscaler asks for; None where it cannot tell."""
    found = region.cluster.get(f"{HPAS}/keda-hpa-ranker")
    if found is None or not has_condition(found, "ScalingActive"):
        return None
    return found["status"]["desiredReplicas"]


def test_replicas_follow_the_queue_and_stay_when_nobody_says_how_long_it_is(
    region: RealRegion,
) -> None:
    tell(region, 0)
    region.make("deployments", idle("ranker"))
    region.make("scaledobjects", rendered())
    await_condition(region, f"{SCALED}/ranker", "Ready", True)
    await_replicas(region, 1)
    live = region.cluster.get(f"{SCALED}/ranker")
    assert live is not None
    assert "scaledobject.keda.sh/name" in live["metadata"]["labels"], "KEDA has written all of it"
    assert foreign(live, "ScaledObject") == {}, "or each refresh would tell of it"

    threshold = ranker().tracks[0].scaler.threshold
    tell(region, 2 * threshold)
    await_replicas(region, 2)
    assert metric(region) == [str(2 * threshold)], "by way of the API server itself"

    tell(region, 0)
    await_replicas(region, 1)

    tell(region, 2 * threshold)
    await_replicas(region, 2)
    tell(region, None)
    await_condition(region, f"{SCALED}/ranker", "Fallback", True)
    asked = eventually(lambda: desired(region), "the fallback is asked for", seconds=LIMIT_SECONDS)
    assert asked == 2, "a metric that is lost is none of 0: what runs goes on"
    assert rendered()["spec"]["fallback"]["replicas"] == 1, "or this shows nothing"
    await_replicas(region, 2)

    tell(region, 0)
    await_condition(region, f"{SCALED}/ranker", "Fallback", False)
    await_replicas(region, 1)


def test_a_scaled_object_is_refused_where_somebody_elses_autoscaler_scales(
    region: RealRegion,
) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": OTHERS}
    spec = {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": target}
    hpa = body("autoscaling/v2", "HorizontalPodAutoscaler", OTHERS, "search", spec=spec)
    region.make("deployments", idle(OTHERS))
    region.make("horizontalpodautoscalers", hpa)

    def refusal() -> str | None:
        wanted = rendered(OTHERS)
        path = f"{path_of(wanted)}?fieldManager=isoserve&dryRun=All"
        try:
            region.cluster.send("PATCH", path, wanted, "application/apply-patch+yaml")
        except Refused as reason:
            return str(reason)
        return None

    # The webhook hears of a new autoscaler a moment late.
    said = eventually(refusal, "it is refused", seconds=LIMIT_SECONDS)
    assert f"already managed by the hpa '{OTHERS}'" in said
    (ours,) = replica_autoscaler.objects(by_hpa(ranker()))
    yields = {**hpa["metadata"], "annotations": ours["metadata"]["annotations"]}
    region.make("horizontalpodautoscalers", {**hpa, "metadata": yields})
    eventually(lambda: refusal() is None or None, "one of ours lets it in", seconds=LIMIT_SECONDS)


def test_keda_warns_of_nothing_that_is_rendered(region: RealRegion) -> None:
    cluster, wanted = region.cluster, rendered("warned")
    answer = cluster.session.post(f"{cluster.url}{SCALED}?dryRun=All", json=wanted, timeout=30)
    assert answer.ok, answer.text
    assert "Warning" not in answer.headers, answer.headers["Warning"]


def by_hpa(plan: ServerPlan) -> ServerPlan:
    """The plan of a region without KEDA."""
    (track,) = plan.tracks
    return replace(plan, tracks=(replace(track, scaler=replace(track.scaler, kind="hpa_queue")),))
