"""Replicas are taken over from whatever autoscaler is live, and nobody owns them then.

Against objects in memory that a merge patch changes; a real API server is asked by
tests/engine/both_regions/test_ownership.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.gates.handover import Handover, give_back, take
from components.kube import Object
from components.kube_client import MANAGER

DEPLOYMENT = "/apis/apps/v1/namespaces/search/deployments/sentiment"
HPAS = "/apis/autoscaling/v2/namespaces/search/horizontalpodautoscalers"
SCALED = "/apis/keda.sh/v1alpha1/namespaces/search/scaledobjects"
WHAT = Handover("search", "sentiment", 3)
PAUSED = "autoscaling.keda.sh/paused-replicas"


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    found = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


class Memory:
    """Objects by path. Every patch is recorded; a scale is a Deployment's `spec.replicas`."""

    def __init__(self, objects: dict[str, Object]) -> None:
        self.objects = objects
        self.patched: list[str] = []
        self.conflicts = 0

    def get(self, path: str) -> Object | None:
        below = [o for p, o in self.objects.items() if p.rpartition("/")[0] == path]
        return {"items": below} if below else self.objects.get(path)

    def patch(self, path: str, body: Object) -> Object | None:
        where = path.removesuffix("/scale")
        assert where in self.objects, path
        version = body.get("metadata", {}).get("resourceVersion")
        if version is not None and self.conflicts:
            self.conflicts -= 1
            return None
        self.patched.append(path)
        self.objects[where] = merged(self.objects[where], body)
        if "managedFields" not in body.get("metadata", {}):
            entry = {"fieldsV1": {"f:spec": {"f:replicas": {}}}, "manager": MANAGER}
            self.objects[where]["metadata"]["managedFields"] += [entry]
        return self.objects[where]


def a_deployment(replicas: int) -> Object:
    fields: Object = {"f:spec": {"f:replicas": {}, "f:template": {}}}
    owners = [
        {"fieldsV1": json.loads(json.dumps(fields)), "manager": "pulumi-kubernetes-1"},
        {"fieldsV1": {"f:spec": {"f:replicas": {}}}, "manager": "keda", "subresource": "scale"},
    ]
    metadata = {"managedFields": owners, "name": "sentiment", "resourceVersion": "7"}
    return {"metadata": metadata, "spec": {"replicas": replicas}}


def an_autoscaler(target: str = "sentiment", name: str = "sentiment") -> Object:
    metadata = {"managedFields": [], "name": name, "resourceVersion": "3"}
    return {"metadata": metadata, "spec": {"scaleTargetRef": {"name": target}}}


def no_time(seconds: float) -> None:
    assert seconds > 0


@pytest.mark.parametrize("path", [HPAS, SCALED])
@pytest.mark.parametrize("live", [0, 2, 3, 9])
def test_the_autoscaler_is_stopped_before_the_number_is_set(path: str, live: int) -> None:
    api = Memory({DEPLOYMENT: a_deployment(live), f"{path}/sentiment": an_autoscaler()})
    take(api, WHAT, no_time)
    assert api.objects[DEPLOYMENT]["spec"]["replicas"] == 3
    assert api.patched[0] == f"{path}/sentiment", "else it would set another number afterwards"
    owners = json.dumps(api.objects[DEPLOYMENT]["metadata"]["managedFields"])
    assert "f:replicas" not in owners, "whoever owns it would be in conflict with the next `up`"
    assert "f:template" in owners, "all else stays whose it was"


def test_a_stopped_autoscaler_is_left_as_the_engine_may_set_it_again() -> None:
    api = Memory({DEPLOYMENT: a_deployment(3), f"{HPAS}/sentiment": an_autoscaler()})
    take(api, WHAT, no_time)
    stopped = api.objects[f"{HPAS}/sentiment"]
    assert stopped["spec"]["scaleTargetRef"]["name"] != "sentiment"
    assert MANAGER not in json.dumps(stopped["metadata"]["managedFields"])


@pytest.mark.parametrize("path", [HPAS, SCALED])
def test_what_was_stopped_goes_on_as_before_when_it_is_given_back(path: str) -> None:
    api = Memory({DEPLOYMENT: a_deployment(3), f"{path}/sentiment": an_autoscaler()})
    take(api, WHAT, no_time)
    give_back(api, WHAT)
    found = api.objects[f"{path}/sentiment"]
    assert found["spec"]["scaleTargetRef"]["name"] == "sentiment"
    assert PAUSED not in found["metadata"].get("annotations", {})
    patches = len(api.patched)
    give_back(api, WHAT)
    assert len(api.patched) == patches, "where nothing is stopped nothing is written"


def test_a_hand_over_that_was_killed_is_done_again() -> None:
    api = Memory({DEPLOYMENT: a_deployment(5), f"{SCALED}/sentiment": an_autoscaler()})
    take(api, WHAT, no_time)
    take(api, WHAT, no_time)
    assert api.objects[DEPLOYMENT]["spec"]["replicas"] == 3


def test_somebody_who_writes_in_between_is_borne() -> None:
    api = Memory({DEPLOYMENT: a_deployment(5)})
    api.conflicts = 3
    take(api, WHAT, no_time)
    owners = json.dumps(api.objects[DEPLOYMENT]["metadata"]["managedFields"])
    assert "f:replicas" not in owners


def test_autoscalers_of_others_are_nobodys_business() -> None:
    other = an_autoscaler(target="ranker", name="ranker")
    api = Memory({DEPLOYMENT: a_deployment(3), f"{HPAS}/ranker": other})
    take(api, WHAT, no_time)
    give_back(api, WHAT)
    assert api.objects[f"{HPAS}/ranker"] == an_autoscaler(target="ranker", name="ranker")


def test_a_deployment_that_is_not_there_yet_is_left_to_be_made() -> None:
    api = Memory({})
    take(api, WHAT, no_time)
    assert api.patched == []
