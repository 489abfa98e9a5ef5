"""A workload is ready when its newest template serves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.kube import Object
from components.parts import parts
from components.readiness import Target, digest, is_ready, targets
from regions.plan import RegionPlan
from tests.examples import (
    REGIONS,
    a_model,
    a_profile,
    an_offer,
    identity,
    objects_of,
    parts_of,
    plan_of,
    planned,
)

SERVER = Target("Deployment", "search", "sentiment", 2, 600, "search", "", 0)
AGENT = Target("DaemonSet", "isoserve-cache", "cache-gpu-l4-1", 1, 600, "", "", 0)


def live(generation: int = 3, **status: Any) -> Object:
    seen = {"observedGeneration": generation, **status}
    return {"metadata": {"generation": 3, "name": "sentiment"}, "status": seen}


def serving(**status: Any) -> Object:
    whole = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **status}
    return live(**whole)


# -- what is watched -------------------------------------------------------------------------


@pytest.mark.parametrize("region", REGIONS)
def test_every_deployment_and_daemonset_is_watched(region: str) -> None:
    wanted = {
        f"{kind} {namespace}/{name}"
        for kind, namespace, name in map(identity, objects_of(region))
        if kind in ("DaemonSet", "Deployment")
    }
    found = list(targets(parts_of(region), plan_of(region)))
    assert {target.id for target in found} == wanted, "what is not watched need not serve"
    assert len(found) == len(wanted)


@pytest.mark.parametrize("region", REGIONS)
def test_a_server_has_the_time_and_the_least_of_its_plan(region: str) -> None:
    plan = plan_of(region)
    found = {(t.namespace, t.name): t for t in targets(parts_of(region), plan)}
    for server in plan.servers:
        for track in server.tracks:
            target = found[server.workload.namespace, track.name]
            assert target.least == track.scaler.min
            assert target.timeout_seconds == track.startup.gate_timeout_seconds
            assert (target.project, target.may_lack, target.fallback_seconds) == (
                server.workload.project,
                track.interruption,
                track.placement.fallback_seconds,
            )
            assert target.timeout_seconds > track.startup.progress_deadline_seconds, (
                "the Deployment's own reason comes first"
            )


@pytest.mark.parametrize("region", REGIONS)
def test_a_part_of_the_platform_has_as_long_as_the_slowest_server(region: str) -> None:
    plan = plan_of(region)
    slowest = max(t.startup.gate_timeout_seconds for s in plan.servers for t in s.tracks)
    own = [t for t in targets(parts_of(region), plan) if t.name == "prober"]
    assert own
    assert {(t.least, t.timeout_seconds) for t in own} == {(1, slowest)}


def test_what_is_no_projects_belongs_to_the_region() -> None:
    found = {t.name: t for t in targets(parts_of("us-east-1"), plan_of("us-east-1"))}
    agents = [t for name, t in found.items() if name.startswith("cache-")]
    assert agents
    assert {(t.project, t.may_lack, t.fallback_seconds) for t in agents} == {("", "", 0)}


def test_a_model_on_spot_nodes_may_lack_them_and_its_base_may_not() -> None:
    spot = {
        t.name: t.may_lack
        for t in targets(parts_of("us-east-1"), plan_of("us-east-1"))
        if t.project
    }
    assert spot["helper-spot"] == "spot"
    assert spot["helper"] == ""


def test_a_fallback_s_wait_is_told_of_the_pods_that_fall_back() -> None:
    falls = {"spot": True, "spot_fallback": "on_demand"}
    model = a_model(scaling={"min": 2, "max": 4}, capacity=falls)
    plan = planned(model, profile=a_profile(machines={"gpu.l4.1": an_offer(20, 20)}))
    waits = {t.name: t.fallback_seconds for t in targets(parts(plan), plan) if t.project}
    assert (waits["sentiment"], waits["sentiment-spot"]) == (0, 900), "as the profile says"


def with_track(plan: RegionPlan, **over: Any) -> RegionPlan:
    """The plan with its first server's first track changed."""
    first, *others = plan.servers
    track, *tracks = first.tracks
    changed = replace(first, tracks=(replace(track, **over), *tracks))
    return replace(plan, servers=(changed, *others))


def test_the_digest_follows_the_pod_templates_and_nothing_else() -> None:
    plan = plan_of("sandbox-aws")
    whole = digest(parts(plan))
    assert digest(parts(plan)) == whole, "the gate would run at every `up`"
    surge = with_track(plan, surge=1 - plan.servers[0].tracks[0].surge)
    assert digest(parts(surge)) == whole, "another strategy starts no pod"
    other = f"registry.example.com/other@sha256:{'0' * 64}"
    container = replace(plan.servers[0].tracks[0].container, image=other)
    image = with_track(plan, container=container)
    assert digest(parts(image)) != whole, "another image starts every pod anew"
    priced = replace(plan, priority_classes=(*plan.priority_classes, ("isoserve-more", 5)))
    assert digest(parts(priced)) == whole


# -- ready or not ----------------------------------------------------------------------------


def test_a_workload_that_serves_its_newest_template_is_ready() -> None:
    assert is_ready(SERVER, serving())
    assert is_ready(SERVER, serving(replicas=5, updatedReplicas=5, availableReplicas=3)), (
        "the autoscaler may be starting more; what was promised serves"
    )


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"generation": 2}, "the controller has not seen the new template"),
        ({"availableReplicas": 1}, "one of two serves"),
        ({"updatedReplicas": 1}, "an old pod still answers"),
        ({"replicas": 3}, "an old pod is still there"),
        ({"availableReplicas": 0}, "nothing serves"),
    ],
)
def test_a_workload_that_does_not_serve_is_not_ready(status: dict[str, Any], why: str) -> None:
    assert not is_ready(SERVER, serving(**status)), why


def test_a_workload_that_no_controller_has_seen_is_not_ready() -> None:
    fresh = {"metadata": {"generation": 1, "name": "sentiment"}}
    assert not is_ready(SERVER, fresh)
    assert not is_ready(replace(SERVER, least=0), fresh), "least 0 is no excuse either"


def test_a_model_at_zero_is_ready_without_a_pod_and_not_with_an_old_one() -> None:
    asleep = replace(SERVER, least=0)
    assert is_ready(asleep, live()), "Kubernetes leaves zeros out of the status"
    assert not is_ready(asleep, live(replicas=1)), "an old pod would answer the next request"


@pytest.mark.parametrize(
    ("updated", "available", "ready"), [(3, 3, True), (2, 3, False), (3, 2, False)]
)
def test_a_daemonset_is_ready_on_all_its_nodes(updated: int, available: int, ready: bool) -> None:
    status = {"desiredNumberScheduled": 3, "updatedNumberScheduled": updated}
    assert is_ready(AGENT, live(**status, numberAvailable=available)) is ready


def test_a_daemonset_without_nodes_is_ready() -> None:
    assert is_ready(AGENT, live(desiredNumberScheduled=0)), "a pool may be at zero nodes"
