"""Replicas change owners and none is lost: counted on the real API server at every step.

In sandbox-onprem the autoscaler is Kubernetes' own HorizontalPodAutoscaler, in sandbox-aws it is
KEDA. The GPU model's pods are simulated by kwok and measure nothing, so both keep the bounds and
else what runs, KEDA by the fallback; where it is to be another number, the test sets the scale.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from components.gates.handover import Handover, give_back, take
from components.kube import Object
from components.kube_client import KubeClient
from tests.engine.site import until
from tests.engine.world import World

pytestmark = pytest.mark.engine

MODEL: Final = "search/sentiment"
PATH: Final = "/apis/apps/v1/namespaces/search/deployments/sentiment"
HPA: Final = "/apis/autoscaling/v2/namespaces/search/horizontalpodautoscalers/sentiment"
SCALED: Final = "/apis/keda.sh/v1alpha1/namespaces/search/scaledobjects/sentiment"
ONPREM, AWS = "sandbox-onprem", "sandbox-aws"
_PERIOD_SECONDS: Final = 0.25


@dataclass
class Counts:
    """What was asked for and what was ready, at every look."""

    asked: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)


def live(world: World, region: str, path: str) -> Object | None:
    """An object of the region's API server."""
    return world.cluster(region).get(path)


def deployment(world: World, region: str) -> Object:
    """The model's Deployment."""
    found = live(world, region, PATH)
    assert found is not None
    return found


@contextmanager
def counting(world: World, region: str) -> Iterator[Counts]:
    """Look at the Deployment all the time."""
    counts, ended = Counts(), threading.Event()

    def look() -> None:
        while not ended.is_set():
            found = deployment(world, region)
            counts.asked.append(found["spec"]["replicas"])
            counts.ready.append(found["status"].get("readyReplicas", 0))
            time.sleep(_PERIOD_SECONDS)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield counts
    finally:
        ended.set()
        thread.join()


def up(world: World, region: str, **fields: Any) -> None:
    """Change the spec and bring the region up, without taking foreign fields by force."""
    world.edit_spec(MODEL, **fields)
    env = {**world.engine_env(), "PULUMI_K8S_ENABLE_PATCH_FORCE": "false"}
    done = world.run("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "-s", region,
                     env=env)  # fmt: skip
    told = [line for line in done.stdout.splitlines() if "rror" in line]
    assert done.returncode == 0, "\n".join(told) + done.stderr[-4000:]


def serve(world: World, region: str, replicas: int) -> None:
    """Wait until just so many serve."""

    def so_many() -> bool:
        found = deployment(world, region)
        ready = found["status"].get("readyReplicas", 0)
        return bool(found["spec"]["replicas"] == ready == replicas)

    until(f"{replicas} serve", so_many)


def put_back(world: World, region: str) -> Iterator[World]:
    """The spec and the region as they were, afterwards."""
    text = world.spec(MODEL).read_text()
    try:
        yield world
    finally:
        world.spec(MODEL).write_text(text)
        world.must_apply(region)


@pytest.fixture
def onprem(world: World) -> Iterator[World]:
    """The world, for a test that changes sandbox-onprem alone."""
    yield from put_back(world, ONPREM)


@pytest.fixture
def aws(world: World) -> Iterator[World]:
    """The world, for a test that changes sandbox-aws alone."""
    yield from put_back(world, AWS)


def autoscaled(world: World, region: str, replicas: int) -> None:
    """What an autoscaler does: write the scale, under its own name."""
    cluster = world.cluster(region)
    answer = cluster.session.patch(
        f"{cluster.url}{PATH}/scale?fieldManager=keda",
        data=json.dumps({"spec": {"replicas": replicas}}),
        headers={"Content-Type": "application/merge-patch+json"},
        timeout=30,
    )
    assert answer.ok, answer.text


def test_no_replica_is_lost_from_fixed_to_scaled_and_back(onprem: World) -> None:
    up(onprem, ONPREM, scaling={"min": 2, "max": 2})
    serve(onprem, ONPREM, 2)
    with counting(onprem, ONPREM) as counts:
        up(onprem, ONPREM, scaling={"min": 1, "max": 3})
    assert min(counts.asked) == min(counts.ready) == 2, "the autoscaler begins from what runs"
    assert live(onprem, ONPREM, HPA) is not None, "and is there"
    with counting(onprem, ONPREM) as counts:
        up(onprem, ONPREM, scaling={"min": 3, "max": 4})
        serve(onprem, ONPREM, 3)
    assert min(counts.ready) == 2, "what it adds, it adds"
    with counting(onprem, ONPREM) as counts:
        up(onprem, ONPREM, scaling={"min": 2, "max": 2})
        serve(onprem, ONPREM, 2)
    assert min(counts.asked) == min(counts.ready) == 2, "never below what is asked for now"
    assert live(onprem, ONPREM, HPA) is None, "and nobody else sets them any more"
    with counting(onprem, ONPREM) as counts:
        up(onprem, ONPREM, scaling={"min": 3, "max": 3})
        serve(onprem, ONPREM, 3)
    assert min(counts.ready) == 2, "the number is ours to change, without force"


def test_an_autoscaler_that_was_stopped_goes_on_when_it_is_wanted_after_all(onprem: World) -> None:
    up(onprem, ONPREM, scaling={"min": 2, "max": 2})
    up(onprem, ONPREM, scaling={"min": 2, "max": 4})
    serve(onprem, ONPREM, 2)
    api = KubeClient(str(onprem.root / ".isoserve" / ONPREM / "kubeconfig"), ONPREM)
    what = Handover("search", "sentiment", 3)
    take(api, what, time.sleep)
    serve(onprem, ONPREM, 3)
    stopped, owned = live(onprem, ONPREM, HPA), deployment(onprem, ONPREM)
    assert stopped is not None, "`up` was killed before it came to delete it"
    assert stopped["spec"]["scaleTargetRef"]["name"] != "sentiment", "it scales nothing"
    fields = [one["fieldsV1"].get("f:spec", {}) for one in owned["metadata"]["managedFields"]]
    assert not any("f:replicas" in one for one in fields), "and owns nothing"
    give_back(api, what)
    up(onprem, ONPREM, scaling={"min": 1, "max": 3})
    found = live(onprem, ONPREM, HPA)
    assert found is not None
    assert found["spec"]["scaleTargetRef"]["name"] == "sentiment", "it scales what it should"
    assert found["spec"]["maxReplicas"] == 3, "and what was written to stop it is in nobody's way"


def test_no_replica_is_lost_to_and_from_a_scaled_object(aws: World) -> None:
    up(aws, AWS, scaling={"min": 3, "max": 3})
    serve(aws, AWS, 3)
    with counting(aws, AWS) as counts:
        up(aws, AWS, scaling={"min": 2, "max": 4})
    assert min(counts.asked) == min(counts.ready) == 3
    autoscaled(aws, AWS, 4)
    with counting(aws, AWS) as counts:
        up(aws, AWS, scaling={"min": 2, "max": 4}, env={"CHANGED": "yes"})
        serve(aws, AWS, 4)
    assert min(counts.asked) == 4, "what KEDA has set is KEDA's"
    with counting(aws, AWS) as counts:
        up(aws, AWS, scaling={"min": 3, "max": 3}, env={"CHANGED": "yes"})
        serve(aws, AWS, 3)
    assert min(counts.asked) == min(counts.ready) == 3, "no conflict, and no detour over one"
    assert live(aws, AWS, SCALED) is None


@contextmanager
def keda_lost(world: World) -> Iterator[None]:
    """The profile of sandbox-aws says that the region has no KEDA."""
    path = world.root / "regions" / f"{AWS}.yaml"
    text = path.read_text()
    assert text.count("keda: provided") == 1, "it is one of its add-ons"
    try:
        path.write_text(text.replace("keda: provided", "keda: absent"))
        yield
    finally:
        path.write_text(text)


def test_no_replica_is_lost_when_a_region_loses_keda_and_gains_it(aws: World) -> None:
    """The HorizontalPodAutoscaler of the time between is Kubernetes' own."""
    up(aws, AWS, scaling={"min": 2, "max": 4})
    autoscaled(aws, AWS, 3)
    serve(aws, AWS, 3)
    with counting(aws, AWS) as counts:
        with keda_lost(aws):
            up(aws, AWS)
        assert live(aws, AWS, SCALED) is None, "the autoscaler of before is gone"
        assert live(aws, AWS, HPA) is not None, "and there is the other one"
        up(aws, AWS)
    assert live(aws, AWS, SCALED) is not None, "and back"
    assert live(aws, AWS, HPA) is None
    assert min(counts.asked) == min(counts.ready) == 3, "what one has set, the other begins from"


def test_a_model_that_sleeps_is_awake_once_its_replicas_are_fixed(aws: World) -> None:
    sleeps = {"access": "permissive", "scaling": {"min": 1, "max": 4, "scale_to_zero": True}}
    up(aws, AWS, **sleeps)
    autoscaled(aws, AWS, 0)
    until("it sleeps", lambda: deployment(aws, AWS)["status"].get("replicas", 0) == 0)
    up(aws, AWS, scaling={"min": 2, "max": 2})
    serve(aws, AWS, 2)
    assert live(aws, AWS, SCALED) is None, "and nobody puts it to sleep again"


def test_spot_pods_are_there_before_on_demand_ones_go_and_the_other_way_round(
    aws: World,
) -> None:
    both = f"{PATH.rpartition('/')[0]}?labelSelector=isoserve.dev/model%3Dsentiment"
    ready: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            found = live(aws, AWS, both)
            assert found is not None
            ready.append(sum(d["status"].get("readyReplicas", 0) for d in found["items"]))
            time.sleep(_PERIOD_SECONDS)

    thread = threading.Thread(target=look)
    up(aws, AWS, scaling={"min": 3, "max": 4})
    serve(aws, AWS, 3)
    thread.start()
    try:
        up(aws, AWS, capacity={"spot": True, "on_demand_base": 1})
        serve(aws, AWS, 1)
        on_spot = len(ready)
        up(aws, AWS, capacity={"spot": False})
    finally:
        ended.set()
        thread.join()
    assert min(ready[:on_spot]) >= 3, "it adds before it removes"
    assert min(ready) >= 2, "and the way back, one of three moves at a time at most"
