"""What a hand adds to our objects on a real API server: named with its manager, and taken back."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pytest

from components.gates.foreign_fields import foreign_fields, lasting, look, take_back
from components.kube import FIELD_MANAGER, Object
from components.kube_client import KubeClient
from components.parts import parts
from tests.engine.foreign_edits import ADDED, Added
from tests.engine.guarded_server import OBJECTS, REGION, Server
from tests.engine.hand_edits import Edit
from tests.engine.world import path_of
from tests.examples import Identity, plan_of

pytestmark = pytest.mark.engine

HAND: Final = "kubectl-edit"
_MOVES: Final = ("managedFields", "resourceVersion", "generation")
_COUNTERS: Final = (
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
)


_POD: Final = "/spec/template/spec"
_SENTIMENT: Final = Identity("Deployment", "search", "sentiment")
_FILTER: Final = {"requestHeaderModifier": {"set": [{"name": "x", "value": "y"}]}}
INSIDE: Final[tuple[tuple[Identity, str, Any], ...]] = (
    (_SENTIMENT, f"{_POD}/nodeSelector/kubernetes.io~1os", "linux"),
    (_SENTIMENT, f"{_POD}/tolerations/-", {"key": "x", "operator": "Exists"}),
    (
        Identity("HTTPRoute", "chat", "helper"),
        "/spec/rules/1/backendRefs/0/filters",
        [{"type": "RequestHeaderModifier", **_FILTER}],
    ),
    (
        Identity("NetworkPolicy", "search", "sentiment--8000"),
        "/spec/podSelector/matchLabels/example.com~1x",
        "y",
    ),
    (Identity("Service", "search", "sentiment"), "/spec/selector/example.com~1x", "y"),
)
"""Values that one manager owns as a whole (`+mapType=atomic`, `+listType=atomic`)."""


def asked() -> list[Mapping[str, Any]]:
    plan = plan_of(REGION)
    return [gate.asked for gate in foreign_fields(list(parts(plan)), plan)]


ASKED: Final = asked()


def differs(made: Any, live: Any) -> bool:
    """Whether something that is rendered is another live, or gone: the provider sees it."""
    if isinstance(made, dict) and isinstance(live, dict):
        return any(differs(value, live.get(key)) for key, value in made.items())
    if isinstance(made, list) and isinstance(live, list):
        if len(made) != len(live):
            return True
        return any(differs(a, b) for a, b in zip(made, live, strict=True))
    return bool(made != live and (made or live))


def named(api: KubeClient, gates: Iterable[Mapping[str, Any]] = ASKED) -> list[str]:
    return [line for gate in gates for line in look(api, gate, ())]


def about(of: Identity) -> Mapping[str, Any]:
    """What the object's gate asks, of its kind and namespace alone: each list costs time."""
    where = path_of(OBJECTS[of]).rpartition("/")[0]
    (gate,) = (one for one in ASKED if where in one["lists"])
    return {**gate, "lists": {where: gate["lists"][where]}}


def edited(made: Object, edit: Edit) -> Object:
    """The object as a hand would apply it after the edit; maps on the way are made."""
    changed = copy.deepcopy(made)
    for pointer, _ in edit.changes:
        place: Any = changed
        for step in pointer.split("/")[1:-1]:
            key = step.replace("~1", "/")
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    # A list that is not rendered begins with what is added to it.
    return edit.done_to(changed)


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
    gate = about(of)
    where = f"{of.namespace}/{of.name}" if of.namespace else of.name
    found = named(api, [gate])
    if not added.field:
        assert found == [], "an incident needs free hands"
        return
    assert f"{of.kind} {where}: {added.field} was set by {HAND}" in found
    assert all(line.startswith(f"{of.kind} {where}: ") for line in found), "and no other object"
    take_back(api, gate, ())
    after = server.live(of)
    assert bare(after) == bare(before), "nothing of it is left, and nothing of ours is lost"
    assert ours(after) == ours(before), "the engine sends the same fields the next time"
    assert named(api, [gate]) == []


@pytest.mark.parametrize("added", ADDED, ids=str)
def test_what_a_hand_applies_under_our_name_is_named_or_seen_by_the_provider(
    server: Server, api: KubeClient, added: Added
) -> None:
    of, made = added.edit.of, OBJECTS[added.edit.of]
    assert server.apply(made).ok, "all that is rendered is ours"
    before = server.live(of)
    answer = server.apply(edited(made, added.edit))
    assert answer.ok, answer.text
    gate = about(of)
    where = f"{of.namespace}/{of.name}" if of.namespace else of.name
    found = named(api, [gate])
    assert all(line.startswith(f"{of.kind} {where}: ") for line in found), "and no other object"
    assert all("set under our name" in line for line in found)
    if found:
        take_back(api, gate, ())
        assert bare(server.live(of)) == bare(before)
        assert lasting(api, gate) == []
    else:
        assert differs(made, server.live(of)), "or it would be found by nobody"
        assert server.apply(made).ok
    assert named(api, [gate]) == []


def test_what_is_added_inside_a_value_owned_as_a_whole_is_named_by_its_place(
    server: Server, api: KubeClient
) -> None:
    found: set[str] = set()
    for of, pointer, value in INSIDE:
        made = OBJECTS[of]
        assert server.apply(edited(made, Edit("", of, ((pointer, value),), ""))).ok, pointer
        gate = about(of)
        found |= {line.partition(" was set")[0] for line in named(api, [gate])}
        take_back(api, gate, ())
    assert found == {
        "Deployment search/sentiment: spec.template.spec.nodeSelector.kubernetes.io/os",
        "Deployment search/sentiment: spec.template.spec.tolerations[2]",
        "HTTPRoute chat/helper: spec.rules[1].backendRefs[0].filters",
        "NetworkPolicy search/sentiment--8000: spec.podSelector.matchLabels.example.com/x",
        "Service search/sentiment: spec.selector.example.com/x",
    }


def test_of_all_that_was_added_here_nothing_is_left_and_no_object_is_another(
    server: Server, api: KubeClient
) -> None:
    assert named(api) == []
    assert not [str(of) for of, made in OBJECTS.items() if differs(made, server.live(of))]
