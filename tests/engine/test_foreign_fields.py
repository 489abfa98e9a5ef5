"""What a hand adds to our objects on a real API server: named with its manager, and taken back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

import pytest
import yaml

from components.gates.foreign_fields import foreign_fields, look, take_back
from components.kube import FIELD_MANAGER, Object
from components.kube_client import KubeClient
from components.parts import parts
from tests.engine.foreign_edits import ADDED, Added
from tests.engine.guarded_server import OBJECTS, REGION, Server
from tests.engine.world import path_of
from tests.examples import plan_of

pytestmark = pytest.mark.engine

HAND: Final = "kubectl-edit"
_MOVES: Final = ("managedFields", "resourceVersion", "generation")
_COUNTERS: Final = (
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
)


def asked() -> list[Mapping[str, Any]]:
    plan = plan_of(REGION)
    return [gate.asked for gate in foreign_fields(list(parts(plan)), plan)]


ASKED: Final = asked()


@pytest.fixture(scope="module")
def api(server: Server) -> KubeClient:
    """As the gates ask it."""
    told = yaml.safe_load(server.kubeconfig.read_text(encoding="utf-8"))
    return KubeClient(str(server.kubeconfig), told["current-context"])


def named(api: KubeClient) -> list[str]:
    return [line for gate in ASKED for line in look(api, gate)]


def bare(live: Object) -> Object:
    """What a person would call the object, without what counts its changes."""
    found = copy.deepcopy({key: value for key, value in live.items() if key != "status"})
    for key in _MOVES:
        found["metadata"].pop(key, None)
    for key in _COUNTERS:
        found["metadata"].get("annotations", {}).pop(key, None)
    return found


def ours(live: Object) -> list[Object]:
    fields = live["metadata"]["managedFields"]
    return [entry["fieldsV1"] for entry in fields if entry["manager"] == FIELD_MANAGER]


def test_what_controllers_write_is_no_drift(server: Server, api: KubeClient) -> None:
    assert len(ASKED) == 4, "the region's own, and three projects"
    assert named(api) == [], "every object is applied, bound, scheduled and reported on"


@pytest.mark.parametrize("added", ADDED, ids=str)
def test_what_a_hand_adds_is_named_and_taken_back(
    server: Server, api: KubeClient, added: Added
) -> None:
    of, before = added.edit.of, server.live(added.edit.of)
    path = f"{path_of(OBJECTS[of])}?fieldManager={HAND}"
    answer = server.send("PATCH", path, added.edit.patch(), "json-patch+json")
    assert answer.ok, answer.text
    where = f"{of.namespace}/{of.name}" if of.namespace else of.name
    found = named(api)
    if not added.field:
        assert found == [], "an incident needs free hands"
        return
    assert f"{of.kind} {where}: {added.field} was set by {HAND}" in found
    assert all(line.startswith(f"{of.kind} {where}: ") for line in found), "and no other object"
    for gate in ASKED:
        take_back(api, gate)
    after = server.live(of)
    assert bare(after) == bare(before), "nothing of it is left, and nothing of ours is lost"
    assert ours(after) == ours(before), "the engine sends the same fields the next time"
    assert named(api) == []
