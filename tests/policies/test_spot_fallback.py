"""A pod leaves the nodes of its selector where the spec and the region say so, and only then."""

from __future__ import annotations

from typing import Any, Final

import pytest

from components.kube import spot_first
from model_specs.load import Specs
from model_specs.names import LABEL_CAPACITY
from model_specs.schema import Capacity, Slo
from policies.availability import RULES as LOSS
from policies.gpus import RULES as GPUS
from policies.tracks import falls_back, pool_of
from tests.builders import a_placement
from tests.policies.cases import respecified
from tests.policies.estate import changed, named, said

HOME: Final = "us-east-1"
SPOT: Final = "Deployment chat/helper-spot"
SHAPE, PROMISE = GPUS[0], LOSS[0]
FIRST: Final = spot_first(a_placement(fallback_seconds=900))["nodeAffinity"]


def falling(values: Any) -> None:
    spec = values["spec"]["template"]["spec"]
    del spec["nodeSelector"][LABEL_CAPACITY]
    spec["affinity"]["nodeAffinity"] = FIRST


def anywhere(values: Any) -> None:
    falling(values)
    del values["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]


def never_spot(values: Any) -> None:
    falling(values)
    values["spec"]["template"]["spec"]["affinity"]["nodeAffinity"] = {
        **FIRST,
        "preferredDuringSchedulingIgnoredDuringExecution": [],
    }


def asking() -> Specs:
    return respecified("chat/helper", capacity=Capacity(spot=True, spot_fallback="on_demand"))


def test_what_components_render_is_what_rules_know() -> None:
    made = changed(named(SPOT, HOME), falling)
    assert falls_back(made), "two rooms write the affinity, each for itself"
    assert pool_of(made) == ("gpu.l4.1", "spot"), "its limits are those of a spot pod"
    assert said(SHAPE, made, region=HOME, wished=asking()) == []


@pytest.mark.parametrize(
    ("change", "asked", "region", "says"),
    [
        (falling, False, HOME, "may fall back to on-demand nodes, the spec says none"),
        (falling, True, "sandbox-aws", "the region has no node autoscaler for it"),
        (anywhere, True, HOME, "asks for any nodes of gpu.l4.1, there are none"),
        (never_spot, True, HOME, "which no field of a spec says"),
        (lambda values: None, True, HOME, "waits for spot nodes alone"),
    ],
    ids=["not asked", "no autoscaler", "any node", "no preference", "not rendered"],
)
def test_no_pod_stands_where_nobody_asked(change: Any, asked: bool, region: str, says: str) -> None:
    made = changed(named(SPOT, region), change)
    wished = asking() if asked else None
    found = [str(one.place.message) for one in said(SHAPE, made, region=region, wished=wished)]
    assert any(says in message for message in found), found


@pytest.mark.parametrize(
    ("name", "fields", "counted", "field"),
    [
        ("chat/helper", {}, "with 1 pods", "capacity.on_demand_base"),
        ("chat/helper", {"capacity": Capacity(spot=True, spot_fallback="on_demand")},
         "with 1 pods", "capacity.on_demand_base"),
    ],
    ids=["spot", "spot that falls back"],
)  # fmt: skip
def test_a_high_promise_counts_no_pods_that_may_all_be_taken(
    name: str, fields: dict[str, Any], counted: str, field: str
) -> None:
    wished = respecified(name, slo=Slo(availability=0.999), **fields)
    made = [changed(named(SPOT, HOME), falling)] if fields else []
    (finding,) = said(PROMISE, *made, region=HOME, wished=wished)
    assert counted in finding.place.message, "of its two at least, one stands on a spot node"
    assert finding.place.path == field


def preempted(values: Any) -> None:
    values["spec"]["template"]["spec"]["priorityClassName"] = "isoserve-preemptible"


def test_a_preemptible_model_promises_nothing_high() -> None:
    name = "search/embedder"
    wished = respecified(name, slo=Slo(availability=0.999))
    made = changed(named(f"Deployment {name}", HOME), preempted)
    (finding,) = said(PROMISE, made, region=HOME, wished=wished)
    assert "with 0 pods" in finding.place.message
    assert finding.place.path == "capacity.priority"
