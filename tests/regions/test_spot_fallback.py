"""Spot pods fall back to on-demand nodes where the spec allows, and nowhere else."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.model_server import deployment
from model_specs.errors import SpecErrors
from model_specs.names import LABEL_CAPACITY, LABEL_MACHINE
from regions.pools import PRIORITIES
from regions.profile import RegionProfile
from regions.resolve import resolve
from regions.sandbox.autoscaler import wanted_sizes
from stacks.reviewing.sizes import total, uses
from stacks.show_plan import _fallbacks
from tests.examples import a_model, a_profile, a_tree, an_offer, planned, profiles

FALLS = {"spot": True, "spot_fallback": "on_demand"}
ROOM = {"gpu.l4.1": an_offer(20, 20), "cpu.4": an_offer(20, 20)}
AFFINITY = {
    "preferredDuringSchedulingIgnoredDuringExecution": [
        {
            "preference": {
                "matchExpressions": [{"key": LABEL_CAPACITY, "operator": "In", "values": ["spot"]}]
            },
            "weight": 100,
        }
    ],
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [
            {
                "matchExpressions": [
                    {"key": LABEL_CAPACITY, "operator": "In", "values": ["on_demand", "spot"]}
                ]
            }
        ]
    },
}


def without_autoscaler(**over: Any) -> RegionProfile:
    cluster = a_profile().cluster.model_copy(update={"node_autoscaler": None})
    return a_profile(cluster=cluster, **over)


def test_the_spot_track_prefers_spot_and_the_base_stays_on_demand() -> None:
    model = a_model(scaling={"min": 2, "max": 4}, capacity=FALLS)
    (server,) = planned(model, profile=a_profile(machines=ROOM)).servers
    base, spot = server.tracks
    assert base.placement.fallback_seconds == 0
    assert base.placement.node_selector[LABEL_CAPACITY] == "on_demand", "the base never moves"
    assert spot.placement.fallback_seconds == 900, "the wait is the profile's"
    assert spot.placement.node_selector == {LABEL_MACHINE: "gpu.l4.1"}, (
        "a selector of one capacity would exclude the other"
    )
    assert spot.guaranteed == 0, "a pod waits for its node before it falls back: none is sure"
    pod = deployment(server, spot)["spec"]["template"]["spec"]
    assert pod["affinity"]["nodeAffinity"] == AFFINITY
    assert "podAntiAffinity" in pod["affinity"], "it still keeps away from other replicas"
    told = "\n".join(_fallbacks(planned(model, profile=a_profile(machines=ROOM))))
    assert "900 s" in told, "the plan states the wait"
    assert "--expander=priority --max-node-provision-time=900s" in told


def test_a_job_falls_back_too() -> None:
    plan = planned(
        a_model(batch={"command": ["score"]}, capacity=FALLS), profile=a_profile(machines=ROOM)
    )
    (job,) = plan.jobs
    assert job.placement.fallback_seconds == 900
    assert LABEL_CAPACITY not in job.placement.node_selector


@given(falls=st.booleans(), spot=st.integers(0, 20), adds=st.booleans(), base=st.integers(0, 3))
def test_every_region_has_exactly_one_outcome(
    falls: bool, spot: int, adds: bool, base: int
) -> None:
    capacity: dict[str, Any] = {"spot": True, "on_demand_base": base}
    capacity |= {"spot_fallback": "on_demand"} if falls else {}
    machines = {"gpu.l4.1": an_offer(20, spot)}
    profile = a_profile(machines=machines) if adds else without_autoscaler(machines=machines)
    plan = planned(a_model(scaling={"min": 1, "max": 4}, capacity=capacity), profile=profile)
    if plan.gaps:
        assert 4 - base > spot > 0, "only more replicas than spot nodes hold are refused"
        return
    falling = [t for t in plan.servers[0].tracks if t.placement.fallback_seconds]
    told = {row.feature for row in plan.downgrades}
    assert bool(falling) == (falls and adds and spot > 0)
    assert ("spot nodes" in told) == (spot == 0), "without spot all stand on demand, and it is said"
    assert ("spot fallback" in told) == (falls and not adds and spot > 0)


def test_a_fallback_without_spot_is_an_error() -> None:
    jobs: tuple[dict[str, Any], ...] = ({}, {"batch": {"command": ["score"]}})
    for job in jobs:
        with pytest.raises(SpecErrors) as refused:
            a_model(capacity={"spot_fallback": "on_demand"}, **job)
        (error,) = refused.value.errors
        assert (error.path, error.code) == ("capacity.spot_fallback", "E353")


def test_own_nodes_are_added_by_nothing() -> None:
    whole = profiles()["seoul-dc1"].model_dump()
    whole["cluster"]["node_autoscaler"] = {"provision_timeout_seconds": 900}
    with pytest.raises(ValidationError, match="nothing adds nodes"):
        RegionProfile.model_validate(whole)


def test_on_demand_nodes_hold_one_models_replicas_if_all_fall_back() -> None:
    profile = a_profile(machines={"gpu.l4.1": an_offer(5, 20)})
    plan = planned(a_model(scaling={"max": 6}, capacity=FALLS), profile=profile)
    (gap,) = plan.gaps
    assert (gap.path, gap.code) == ("capacity.spot_fallback", "E302")
    assert "6 pods" in gap.reason
    assert "holds 5" in gap.reason
    assert planned(a_model(scaling={"max": 5}, capacity=FALLS), profile=profile).gaps == ()


def test_on_demand_nodes_hold_all_models_least_if_all_fall_back() -> None:
    profile = a_profile(machines={"gpu.l4.1": an_offer(5, 20)})
    models = [
        a_model(name=name, scaling={"min": 3, "max": 4}, capacity=FALLS) for name in ("one", "two")
    ]
    with pytest.raises(SpecErrors) as refused:
        resolve(a_tree(*models), profile, "test-region")
    (error,) = refused.value.errors
    assert (error.code, error.path) == ("E381", "machines.gpu.l4.1")
    assert "keep 6 replicas" in error.message
    assert "room for 5" in error.message


def test_what_has_fallen_back_leaves_no_room_for_a_surge_on_demand() -> None:
    scaling, machines = {"min": 2, "max": 4}, {"gpu.l4.1": an_offer(4, 20)}
    profile = a_profile(machines=machines)
    surges = [
        planned(a_model(scaling=scaling, capacity=capacity), profile=profile)
        .servers[0]
        .tracks[0]
        .surge
        for capacity in ({"spot": True}, FALLS)
    ]
    assert surges == [1, 0], "three guests and the base fill the four nodes"


def test_the_cost_at_most_is_that_of_on_demand_nodes() -> None:
    profile = a_profile(machines=ROOM)
    sums = [
        total(uses(planned(a_model(scaling={"max": 4}, capacity=c), profile=profile), profile))
        for c in ({"spot": True}, FALLS, {})
    ]
    assert sums[0].dollars[0] == sums[1].dollars[0], "at the least nobody has fallen back"
    assert sums[1].dollars[2] == pytest.approx(sums[2].dollars[2]), "at most everybody has"


def test_the_expander_puts_spot_groups_first_and_knows_ours_alone() -> None:
    ranks = yaml.safe_load(PRIORITIES)
    plan = planned(a_model(scaling={"max": 4}, capacity=FALLS), profile=a_profile(machines=ROOM))
    for pool in plan.pools:
        for group in pool.groups:
            name = f"eks-{group.name}-0ac4a5c1"
            best = max(rank for rank, all_ in ranks.items() if any(re.match(e, name) for e in all_))
            assert (best == max(ranks)) == (group.capacity == "spot"), name


def a_group(capacity: str, size: int, most: int) -> dict[str, Any]:
    labels = {LABEL_MACHINE: "gpu.l4.1", LABEL_CAPACITY: capacity}
    scaling = {"desiredSize": size, "maxSize": most}
    return {"nodegroupName": capacity, "labels": labels, "scalingConfig": scaling}


@pytest.mark.parametrize(
    ("most_spot", "affinity", "grown"),
    [(2, AFFINITY, {"spot": 1}), (0, AFFINITY, {"on_demand": 1})],
    ids=["spot first", "spot is full"],
)
def test_the_sandbox_grows_the_spot_group_first(
    most_spot: int, affinity: dict[str, Any], grown: dict[str, int]
) -> None:
    waiting = {
        "spec": {
            "nodeSelector": {LABEL_MACHINE: "gpu.l4.1"},
            "affinity": {"nodeAffinity": affinity},
        },
        "status": {"conditions": [{"type": "PodScheduled", "reason": "Unschedulable"}]},
    }
    groups = [a_group("on_demand", 0, 5), a_group("spot", 0, most_spot)]
    assert wanted_sizes([waiting], groups, Counter()) == grown
