"""Real KEDA scales a real Deployment by what a region's real Prometheus reads, as isoserve asks it.

ScaledObjects are rendered, with windows that a test can wait for. The pods of their Deployments are
idle: what runs in them, and what callers meet, one pod tells Prometheus as the test says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import pytest
import requests

from components import replica_autoscaler
from components.gates.foreign_fields import foreign
from components.kube import FIELD_MANAGER, Object
from regions.model_plan import ServerPlan
from tests.engine.real_region import RealRegion, eventually, python_pod, real_region
from tests.engine.site import has_condition
from tests.engine.world import body, path_of
from tests.examples import a_model, plan_of, planned, profiles

pytestmark = pytest.mark.engine

LIMIT_SECONDS: Final = 180.0
"""The longest that anything may take; nothing is decided by how long it took."""
LOAD: Final = "rest_server_requests_in_progress"
CALLS: Final = "envoy_cluster_upstream_cx_none_healthy"
PORT: Final[Object] = {"name": "metrics", "containerPort": 8000}
AWAKE, SLEEPER, OTHERS = "ranker", "sleeper", "others"
_BEFORE: Final = """
from regions.sandbox import object_store, ports
ports.choose_ports(anything_runs=False)
object_store.start()
"""
_DEFINED: Final = """
from regions.sandbox import crds
from regions.sandbox.kube import connect
from regions.sandbox.layout import kubeconfig_of
crds.install(connect("{region}", kubeconfig_of("{region}")))
"""
_WITH_KEDA: Final = """
from regions.sandbox.kube import connect
from regions.sandbox.layout import kubeconfig_of
from regions.sandbox.node import images, keda, prometheus
from regions.sandbox.node.network import network_of
cluster = connect("{region}", kubeconfig_of("{region}"))
network = network_of("{region}")
keda.install(cluster, network)
for image in prometheus.made_images():
    images.push(image, network)
prometheus.install(cluster, network)
keda.await_serving(cluster)
prometheus.await_ready(cluster)
"""
_END: Final = """
from regions.sandbox import object_store
object_store.stop()
"""
_TOLD: Final = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Told(BaseHTTPRequestHandler):
    said = b""
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(Told.said)
    def do_PUT(self):
        Told.said = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
HTTPServer(("", 8000), Told).serve_forever()
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


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegion]:
    """One machine with KEDA and Prometheus, and two models that nobody calls."""
    root = tmp_path_factory.mktemp("keda") / "tree"
    with real_region(root, ("machine-1",), "sandbox-aws", _BEFORE) as made:
        try:
            made.run("search", "told", _TOLD, container={"ports": [PORT]})
            made.run_program(_DEFINED)
            # Before Prometheus comes: what is added later it reads a minute later.
            made.make("podmonitors", monitor("told"))
            made.run_program(_WITH_KEDA)
            made.running("search", "told")
            tell(made, load(0), calls(0))
            for plan in (awake(), sleeper()):
                made.make("deployments", idle(plan.tracks[0].name))
                assert applied(made, rendered(plan)).ok
            yield made
        finally:
            made.run_program(_END)


def monitor(name: str) -> Object:
    """A PodMonitor of the pod that has this label."""
    endpoint = {"port": PORT["name"], "interval": "1s", "scrapeTimeout": "1s", "honorLabels": True}
    spec = {"selector": {"matchLabels": {"app": name}}, "podMetricsEndpoints": [endpoint]}
    return body("monitoring.coreos.com/v1", "PodMonitor", name, "search", spec=spec)


def changed(plan: ServerPlan, **fields: Any) -> ServerPlan:
    """The plan of a model that has one track, with other fields in what scales it."""
    (track,) = plan.tracks
    return replace(plan, tracks=(replace(track, scaler=replace(track.scaler, **fields)),))


def awake() -> ServerPlan:
    """The plan of search/ranker, whose pods may go as soon as they are too many."""
    (plan,) = (s for s in plan_of("sandbox-aws").servers if s.workload.id == f"search/{AWAKE}")
    return changed(plan, max=2, scale_down_seconds=0)


def sleeper() -> ServerPlan:
    """The plan of a model that sleeps as soon as nobody calls it."""
    scaling = {"max": 2, "scale_to_zero": True}
    model = a_model(name=SLEEPER, access="permissive", scaling=scaling)
    (plan,) = planned(model, profile=profiles()["sandbox-aws"]).servers
    return changed(plan, idle_seconds=1)


def rendered(plan: ServerPlan) -> Object:
    """The plan's ScaledObject."""
    (made,) = replica_autoscaler.objects(plan)
    assert made["kind"] == "ScaledObject"
    return made


def applied(region: RealRegion, made: Object, **options: str) -> requests.Response:
    """What the API server, with KEDA's webhook, says of an object that is applied as by `up`."""
    cluster = region.cluster
    return cluster.session.patch(
        f"{cluster.url}{path_of(made)}",
        params={"fieldManager": FIELD_MANAGER, "force": "true", **options},
        data=json.dumps(made),
        headers={"Content-Type": "application/apply-patch+yaml"},
        timeout=30,
    )


def idle(name: str) -> Object:
    """A Deployment whose pods do nothing."""
    pod = python_pod("search", name, "import time; time.sleep(1e6)", restartPolicy="Always")
    labels = pod["metadata"]["labels"]
    template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return body("apps/v1", "Deployment", name, "search", spec=spec)


def load(requests: int) -> str:
    """How many requests are in the servers of the model that is awake."""
    marks = {"project": "search", "model": AWAKE, "track": "stable"}
    labels = ",".join(f'isoserve_dev_{key}="{said}"' for key, said in marks.items())
    return f"{LOAD}{{{labels}}} {requests}\n"


def calls(number: int) -> str:
    """How many calls the gateway had no pod for, of the model that sleeps."""
    return f'{CALLS}{{envoy_cluster_name="httproute/search/{SLEEPER}/rule/1"}} {number}\n'


def tell(region: RealRegion, *said: str) -> None:
    """Have Prometheus read this from now on, and nothing else."""
    region.execute("search", "told", "python3", "-c", _TELL, "".join(said))


def await_replicas(region: RealRegion, name: str, wanted: int) -> None:
    """Wait until just so many pods of the model serve."""

    def so_many() -> bool | None:
        found = region.cluster.get(f"{APPS}/{name}")
        assert found is not None
        told = found["status"]
        ready = (told.get("readyReplicas", 0), told.get("replicas", 0))
        return (found["spec"]["replicas"], *ready) == (wanted, wanted, wanted) or None

    eventually(so_many, f"{wanted} replicas of {name} serve", seconds=LIMIT_SECONDS)


def await_condition(region: RealRegion, path: str, kind: str, wanted: bool) -> None:
    """Wait until an object has a condition, or no longer has it."""

    def is_so() -> bool | None:
        found = region.cluster.get(path)
        return (found is not None and has_condition(found, kind) is wanted) or None

    eventually(is_so, f"{path}: {kind} is {wanted}", seconds=LIMIT_SECONDS)


def metric(region: RealRegion) -> list[str]:
    """What the API server says that the autoscaler is told, by KEDA's metrics server."""
    found = region.cluster.get(f"{SCALED}/{AWAKE}")
    assert found is not None
    (name,) = found["status"]["externalMetricNames"]
    told = region.cluster.get(
        f"{EXTERNAL}/{name}?labelSelector=scaledobject.keda.sh%2Fname%3D{AWAKE}"
    )
    return [one["value"] for one in told["items"]] if told else []


def test_replicas_follow_the_load_and_stay_when_nobody_says_what_it_is(region: RealRegion) -> None:
    path, hpa = f"{SCALED}/{AWAKE}", f"{HPAS}/keda-hpa-{AWAKE}"
    await_condition(region, path, "Ready", True)
    await_replicas(region, AWAKE, 1)
    full = 2 * awake().tracks[0].scaler.threshold
    tell(region, load(full), calls(0))
    await_replicas(region, AWAKE, 2)
    assert metric(region) == [str(full)], "by way of the API server itself"

    tell(region, calls(0))
    await_condition(region, hpa, "ScalingActive", False)
    await_condition(region, path, "Fallback", True)
    await_condition(region, hpa, "ScalingActive", True)
    found = region.cluster.get(hpa)
    assert found is not None
    assert found["status"]["desiredReplicas"] == 2, "what is lost is not 0: what runs goes on"
    assert rendered(awake())["spec"]["fallback"]["replicas"] == 1, "or this shows nothing"
    await_replicas(region, AWAKE, 2)

    tell(region, load(0), calls(0))
    await_condition(region, path, "Fallback", False)
    await_replicas(region, AWAKE, 1)


def test_a_model_sleeps_until_somebody_calls_it(region: RealRegion) -> None:
    assert rendered(sleeper())["spec"]["minReplicaCount"] == 0, "or it need not be woken"
    await_replicas(region, SLEEPER, 0)
    tell(region, load(0), calls(1))
    await_replicas(region, SLEEPER, 1)


@pytest.mark.parametrize("name", [AWAKE, SLEEPER])
def test_keda_adds_nothing_that_a_refresh_would_tell_of(region: RealRegion, name: str) -> None:
    def written() -> Object | None:
        live = region.cluster.get(f"{SCALED}/{name}")
        assert live is not None
        return live if "scaledobject.keda.sh/name" in live["metadata"]["labels"] else None

    live = eventually(written, "KEDA has written all of it", seconds=LIMIT_SECONDS)
    assert foreign(live, "ScaledObject") == {}


@pytest.mark.parametrize("plan", [awake, sleeper])
def test_keda_warns_of_nothing_that_is_rendered(
    region: RealRegion, plan: Callable[[], ServerPlan]
) -> None:
    answer = applied(region, rendered(plan()), dryRun="All")
    assert answer.ok, answer.text
    assert "Warning" not in answer.headers, answer.headers["Warning"]


def test_a_scaled_object_is_refused_where_somebody_elses_autoscaler_scales(
    region: RealRegion,
) -> None:
    (track,) = awake().tracks
    plan = replace(awake(), tracks=(replace(track, name=OTHERS),))
    (ours,) = replica_autoscaler.objects(changed(plan, kind="hpa_cpu"))
    annotations = ours["metadata"].pop("annotations")
    region.make("deployments", idle(OTHERS))
    region.make("horizontalpodautoscalers", ours)

    def refusal() -> str | None:
        answer = applied(region, rendered(plan), dryRun="All")
        return None if answer.ok else answer.text

    # The webhook hears of a new autoscaler a moment late.
    said = eventually(refusal, "it is refused", seconds=LIMIT_SECONDS)
    assert f"already managed by the hpa '{OTHERS}'" in said
    region.make(
        "horizontalpodautoscalers",
        {**ours, "metadata": {**ours["metadata"], "annotations": annotations}},
    )
    eventually(lambda: refusal() is None or None, "ours lets it pass", seconds=LIMIT_SECONDS)
