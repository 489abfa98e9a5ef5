"""Users are led away from a candidate by the live route and Service, and nobody owns them then.

Against objects in memory that a merge patch changes; users are counted by
tests/engine/harmed_regions/test_rollouts.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.gates.traffic_shift import Shift, shift, shifted
from components.kube import Object
from components.kube_client import MANAGER
from components.model_network import LABEL_VERSION
from components.parts import parts
from tests.components.test_gates_handover import Memory
from tests.examples import a_model, address, planned

ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/search/httproutes/sentiment"
SERVICE = "/api/v1/namespaces/search/services/sentiment"


def to(share: int) -> Shift:
    """The model's candidate keeps so many percent."""
    return Shift(
        namespace="search",
        model="sentiment",
        candidate="sentiment-candidate",
        share=share,
        settle_seconds=15,
    )


def rendered(**rollout: Any) -> dict[str, Object]:
    """The route and the model's own Service at a step, by their paths."""
    candidate = {"model": address("search", "sentiment", 9)}
    model = a_model(access="permissive", rollout={"candidate": candidate, **rollout})
    found: dict[str, Object] = {}
    for part in parts(planned(model)):
        for made in part.objects:
            path = {"HTTPRoute": ROUTE, "Service": SERVICE}.get(made["kind"])
            if path and made["metadata"]["name"] == "sentiment":
                found[path] = json.loads(json.dumps(made))
                found[path]["metadata"] |= {"managedFields": [], "resourceVersion": "7"}
    return found


def canary(step: int) -> dict[str, Object]:
    return rendered(strategy="canary", steps=[10, 50, 100], step=step)


def spec_of(objects: dict[str, Object], path: str) -> Any:
    return objects[path]["spec"]


@pytest.mark.parametrize(("before", "after"), [(1, 0), (2, 0), (2, 1)])
def test_the_live_route_becomes_what_the_plan_will_write(before: int, after: int) -> None:
    live, slept = Memory(canary(before)), list[float]()
    shift(live, to([10, 50, 100][after]), slept.append)
    assert spec_of(live.objects, ROUTE) == spec_of(canary(after), ROUTE), "both of its rules"
    assert slept == [15], "the proxies follow before the candidate has fewer pods"


def test_a_swap_back_selects_the_stable_pods() -> None:
    live = Memory(rendered(strategy="blue_green", step=1))
    shift(live, to(0), lambda _: None)
    assert spec_of(live.objects, SERVICE) == spec_of(
        rendered(strategy="blue_green", step=0), SERVICE
    )


def test_nothing_is_written_and_nobody_waits_where_the_share_is_no_less() -> None:
    live, slept = Memory(canary(0)), list[float]()
    shift(live, to(50), slept.append)
    shift(Memory({}), to(50), slept.append)
    assert (live.patched, slept) == ([], [])


def test_nobody_owns_what_was_moved() -> None:
    live = Memory(canary(2))
    live.conflicts = 2
    shift(live, to(0), lambda _: None)
    (entries,) = [live.objects[ROUTE]["metadata"]["managedFields"]]
    assert not [entry for entry in entries if entry["manager"] == MANAGER]


def test_a_candidate_s_own_service_stays_what_it_is() -> None:
    own = {"metadata": {"name": "sentiment-candidate"},
           "spec": {"selector": {LABEL_VERSION: "candidate"}}}  # fmt: skip
    assert shifted(own, to(0)) == own, "by it the candidate is asked"
