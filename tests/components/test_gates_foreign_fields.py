"""What others have set in our objects, told from the objects alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from components.gates.foreign_fields import (
    FOREIGN,
    OTHERS,
    foreign,
    foreign_fields,
    lasting,
    look,
    packed,
    removal,
    take_back,
    unpacked,
    without,
)
from components.gates.managed_fields import in_words
from components.gates.own_fields import beyond
from components.gates.resources import ActError, _ForeignProvider
from components.kube import Object
from components.parts import parts
from regions.plan import RegionPlan
from tests.components.test_kube_client import api_server, kubeconfig
from tests.engine.world import path_of
from tests.examples import REGIONS, a_model, objects_of, plan_of, planned

OURS = "isoserve"
PORT = 'k:{"port":81,"protocol":"TCP"}'


def entry(manager: str, fields: Object, operation: str = "Update", subresource: str = "") -> Object:
    found = {"fieldsV1": fields, "manager": manager, "operation": operation}
    return {**found, "subresource": subresource} if subresource else found


def live(*entries: Object, **fields: Any) -> Object:
    """An object as an API server has it, with our own fields."""
    own: Object = {
        "f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}}}
    }
    managed = [entry(OURS, own, "Apply"), *entries]
    return {"metadata": {"managedFields": managed, "name": "a", "resourceVersion": "7"}, **fields}


def words(found: Object, kind: str) -> dict[str, list[str]]:
    return {in_words(path): managers for path, managers in foreign(found, kind).items()}


def test_what_is_added_is_named_as_a_whole_with_everybody_who_set_it() -> None:
    port: Object = {"f:spec": {"f:ports": {PORT: {".": {}, "f:name": {}, "f:port": {}}}}}
    found = live(entry("kubectl-edit", port), entry("script", port))
    assert words(found, "Service") == {
        "spec.ports[port=81,protocol=TCP]": ["kubectl-edit", "script"]
    }


def test_what_we_have_set_too_is_ours() -> None:
    both: Object = {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:port": {}}}}}
    assert words(live(entry("kubectl-edit", both)), "Service") == {}


def test_whoever_only_takes_our_name_has_not_applied() -> None:
    found = words(live(entry(OURS, {"f:spec": {"f:paused": {}}})), "Deployment")
    assert found == {"spec.paused": [OURS]}, "`kubectl edit --field-manager=isoserve`"


def test_our_name_at_a_subresource_is_not_what_we_apply() -> None:
    scale = entry(OURS, {"f:spec": {"f:replicas": {}}}, "Apply", "scale")
    assert words(live(scale), "DaemonSet") == {"spec.replicas": [OURS]}


@pytest.mark.parametrize(
    ("kind", "fields", "named"),
    [
        ("Deployment", {"f:status": {"f:replicas": {}}}, []),
        ("Deployment", {"f:spec": {"f:replicas": {}}}, []),
        ("DaemonSet", {"f:spec": {"f:replicas": {}}}, ["spec.replicas"]),
        (
            "Deployment",
            {
                "f:metadata": {
                    "f:annotations": {".": {}, "f:deployment.kubernetes.io/revision": {}, "f:x": {}}
                }
            },
            ["metadata.annotations.x"],
        ),
        ("Deployment", {"f:metadata": {"f:annotations": {".": {}}}}, []),
        ("Deployment", {"f:metadata": {"f:annotations": {}}}, ["metadata.annotations"]),
        (
            "Service",
            {"f:metadata": {"f:annotations": {".": {}, "f:x": {}}}},
            ["metadata.annotations"],
        ),
        (
            "ScaledObject",
            {
                "f:metadata": {
                    "f:finalizers": {".": {}, 'v:"finalizer.keda.sh"': {}, 'v:"example.com/x"': {}}
                }
            },
            ["metadata.finalizers[example.com/x]"],
        ),
        ("Deployment", {"f:metadata": {"f:finalizers": {'v:"finalizer.keda.sh"': {}}}},
         ["metadata.finalizers[finalizer.keda.sh]"]),
    ],
)  # fmt: skip
def test_others_may_set_what_is_listed_for_the_kind_and_nothing_beside_it(
    kind: str, fields: Object, named: list[str]
) -> None:
    assert list(words(live(entry("somebody", fields)), kind)) == named


def test_the_last_items_of_a_list_go_first_and_only_of_what_was_looked_at() -> None:
    items = [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP"}, {"port": 82}]
    theirs: Object = {
        "f:ports": {PORT: {".": {}}, 'k:{"port":82}': {".": {}}, 'k:{"port":9}': {".": {}}}
    }
    found = live(
        entry("kubectl-edit", {"f:spec": theirs, "f:metadata": {"f:labels": {"f:a/b~c": {}}}}),
        spec={"ports": items},
    )
    found["metadata"]["labels"] = {"a/b~c": "d", "kept": "e"}
    steps = removal(found, foreign(found, "Service"))
    assert steps[0] == {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}
    assert [one["path"] for one in steps[1:]] == [
        "/spec/ports/2",
        "/spec/ports/1",
        "/metadata/labels",
    ]
    assert all(one["op"] == "remove" for one in steps[1:])


def test_a_key_of_a_map_is_escaped() -> None:
    theirs: Object = {"f:metadata": {"f:labels": {"f:a/b~c": {}}}}
    found = live(entry("kubectl-label", theirs))
    found["metadata"]["labels"] = {"a/b~c": "d", "ours": "e"}
    own = found["metadata"]["managedFields"][0]["fieldsV1"]
    own["f:metadata"] = {"f:labels": {"f:ours": {}}}
    (_, step) = removal(found, foreign(found, "Service"))
    assert step["path"] == "/metadata/labels/a~1b~0c"


# -- what a region's gates are asked -------------------------------------------------------------


def gates(plan: RegionPlan) -> dict[str, dict[str, Any]]:
    found = list(foreign_fields(list(parts(plan)), plan))
    assert {gate.kind for gate in found} == {FOREIGN}
    return {gate.model: gate.asked for gate in found}


@pytest.mark.parametrize("region", REGIONS)
def test_every_object_but_nodes_is_looked_at_by_one_gate(region: str) -> None:
    asked = gates(plan_of(region))
    sent = [row["object"] for gate in asked.values() for row in unpacked(gate["rendered"])]
    made = [one for one in objects_of(region) if one["kind"] != "Node"]
    assert sorted(map(path_of, sent)) == sorted(map(path_of, made))
    for gate in asked.values():
        folders = {path_of(row["object"]).rpartition("/")[0] for row in unpacked(gate["rendered"])}
        assert set(gate["lists"]) == folders, "one question for each kind and namespace"


def test_every_row_is_of_a_kind_that_is_rendered() -> None:
    kinds = {one["kind"] for region in REGIONS for one in objects_of(region)}
    for row in OTHERS:
        assert row.kinds <= kinds, f"{row.path} of what we never make"
        assert row.who, "a reason"


# -- under our own name --------------------------------------------------------------------------


def held_as(made: Object, live_spec: Object, own: Object, **row: Any) -> list[str]:
    """What is named of a Deployment with `made` as its spec."""
    found = {"metadata": {"managedFields": [entry(OURS, {"f:spec": own}, "Apply")], "name": "a"}}
    wanted = {"left_alone": (), "object": {"kind": "Deployment", "spec": made}, **row}
    return [field for field, _ in beyond({**found, "spec": live_spec}, wanted)]


def test_a_field_of_ours_that_is_not_rendered_is_named() -> None:
    port: Object = {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}, PORT: {".": {}}}
    live_ports = [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP"}]
    own: Object = {"f:ports": port, "f:paused": {}, "f:finals": {'v:"a"': {}, 'v:"b"': {}}}
    live_spec = {"ports": live_ports, "paused": True, "finals": ["a", "b"]}
    made = {"ports": [{"port": 80}], "finals": ["a"]}
    assert held_as(made, live_spec, own) == [
        "spec.ports[port=81,protocol=TCP]",
        "spec.paused",
        "spec.finals[b]",
    ], "a key that we leave out has its default"
    assert held_as(made, live_spec, {"f:paused": {}}, left_alone=["spec.paused"]) == []


def test_what_is_more_inside_a_value_owned_as_a_whole_is_named_unless_it_is_a_default() -> None:
    own: Object = {"f:nodeSelector": {}, "f:tolerations": {}, "f:ref": {}, "f:empty": {}}
    made = {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "x"}], "ref": {"fieldPath": "f"},
            "empty": []}  # fmt: skip
    live_spec = {
        "nodeSelector": {"a": "c", "d": "e"},
        "tolerations": [{"key": "x", "operator": "Exists"}, {"key": "y"}],
        "ref": {"apiVersion": "v1", "fieldPath": "f"},
    }
    assert held_as(made, live_spec, own) == [
        "spec.nodeSelector.d",
        "spec.tolerations[0].operator",
        "spec.tolerations[1]",
    ], "another value is seen by the provider"


def test_what_the_api_server_adds_again_after_our_apply_is_no_drift_from_then_on() -> None:
    server, asked = drifted(replicas_are_ours=False)
    server.held["metadata"]["managedFields"].pop()
    assert look(server, asked, ()) == []
    server.held["spec"]["selector"]["matchLabels"]["added"] = "by a webhook"
    (line,) = look(server, asked, ())
    field = "spec.selector.matchLabels.added"
    assert line.endswith(f"{field} was set under our name, isoserve, and is not rendered")
    take_back(server, asked, ())
    stays = lasting(server, asked)
    assert look(server, asked, stays) == []
    server.held["spec"]["selector"]["matchLabels"]["added"] = "another value"
    assert look(server, asked, stays) == [line]


def test_what_an_up_holds_back_is_not_applied() -> None:
    plan = planned(a_model())
    (gate,) = (g for g in foreign_fields(list(parts(plan)), plan) if g.model == "search")
    server, _ = drifted(replicas_are_ours=False)
    made = server.held
    held = without(gate, [made])
    assert len(unpacked(held.asked["rendered"])) == len(unpacked(gate.asked["rendered"])) - 1
    assert held.asked["lists"] == gate.asked["lists"]
    assert len(look(server, held.asked, ())) == 1, "what others have set is named all the same"
    take_back(server, held.asked, ())
    assert server.applied == []
    assert without(gate, []) == gate


class Server:
    """Holds one Deployment; somebody may write before a patch."""

    def __init__(self, held: Object, conflicts: int) -> None:
        self.held, self.conflicts = held, conflicts
        self.applied: list[Object] = []
        self.removed: list[list[Object]] = []

    def get(self, path: str) -> Object | None:
        if path.endswith("/deployments"):
            return {"items": [self.held]}
        return self.held if path.endswith("/deployments/sentiment") else None

    def apply(self, path: str, body: Object) -> Object | None:
        self.applied.append(body)
        return self.held

    def patch(self, path: str, body: Object) -> Object | None:
        raise AssertionError("nothing is owned by the patch here")

    def patch_by_steps(self, path: str, steps: list[Object]) -> Object | None:
        if self.conflicts:
            self.conflicts -= 1
            return None
        self.removed.append(steps)
        return self.held


def drifted(replicas_are_ours: bool) -> tuple[Server, dict[str, Any]]:
    """An autoscaled model's Deployment with a variable that a hand has added."""
    plan = planned(a_model())
    asked = gates(plan)["search"]
    (made,) = [
        row["object"]
        for row in unpacked(asked["rendered"])
        if (row["object"]["kind"], row["object"]["metadata"]["name"]) == ("Deployment", "sentiment")
    ]
    held = json.loads(json.dumps(made))
    own: Object = {"f:metadata": {"f:name": {}}, "f:spec": {"f:selector": {}}}
    if replicas_are_ours:
        own["f:spec"]["f:replicas"] = {}
    held["spec"].update(hostnames="x", replicas=9)
    fields = [entry(OURS, own, "Apply"), entry("kubectl-edit", {"f:spec": {"f:hostnames": {}}})]
    held["metadata"].update(managedFields=fields, resourceVersion="7")
    return Server(held, 2), asked


def test_ours_is_applied_first_and_tried_again_where_somebody_writes_in_between() -> None:
    server, asked = drifted(replicas_are_ours=False)
    assert look(server, asked, ()) == [
        "Deployment search/sentiment: spec.hostnames was set by kubectl-edit"
    ]
    take_back(server, asked, ())
    (applied,) = server.applied
    assert applied["spec"]["template"] == server.held["spec"]["template"]
    assert "replicas" not in applied["spec"], "an autoscaler has them"
    (steps,) = server.removed
    assert steps[1] == {"op": "remove", "path": "/spec/hostnames"}


def test_a_field_that_only_creation_sets_stays_ours_as_it_is() -> None:
    server, asked = drifted(replicas_are_ours=True)
    take_back(server, asked, ())
    assert server.applied[0]["spec"]["replicas"] == 9, "or 1 replica would be left of 9"


def test_what_is_rendered_no_more_is_left_to_the_engine() -> None:
    server, _ = drifted(replicas_are_ours=False)
    asked = gates(planned(a_model("search", "other")))["search"]
    take_back(server, asked, ())
    assert (server.applied, server.removed) == ([], [])


# -- the resource --------------------------------------------------------------------------------


def props(folder: Path, url: str, asked: dict[str, Any], **more: Any) -> dict[str, Any]:
    where = {"context": "here", "kubeconfig": kubeconfig(folder, url)}
    told = {"asked": json.dumps(asked), "fault": "", "kind": FOREIGN, "model": "search"}
    return {**where, **told, **more}


def test_a_refresh_names_what_it_finds_and_the_next_up_is_an_update(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server, asked = drifted(replicas_are_ours=False)
    asked = {**asked, "lists": {"/apis/apps/v1/namespaces/search/deployments": "Deployment"}}
    gate = _ForeignProvider()
    with api_server(200, json.dumps({"items": [server.held]})) as url:
        wanted = props(tmp_path, url, asked)
        first = gate.create(wanted).outs
        assert first is not None
        assert first["foreign"] == [], "an `up` without a refresh asks nothing"
        assert not gate.diff("", first, wanted).changes
        seen = gate.read("a", first).outs
    assert seen is not None
    line = "Deployment search/sentiment: spec.hostnames was set by kubectl-edit"
    assert seen["foreign"] == [line]
    assert f"{line}; `pulumi up --refresh` takes it back" in capfd.readouterr().out
    assert gate.diff("", seen, wanted).changes
    others = {**asked, "rendered": packed(unpacked(asked["rendered"])[1:])}
    assert gate.diff("", first, props(tmp_path, "", others)).changes, (
        "or a look would be by old rows"
    )


def test_what_could_not_be_taken_back_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.gates.resources._BLIND_SECONDS", 0)
    _, asked = drifted(replicas_are_ours=False)
    wanted = props(tmp_path, "http://127.0.0.1:1", asked)
    olds = {**wanted, "foreign": ["a field"]}
    gate = _ForeignProvider()
    outs = gate.update("", olds, wanted).outs
    assert outs is not None
    assert "could not be taken back: the API server refuses or is away" in outs["fault"]
    assert outs["foreign"] == ["a field"]
    assert outs["taken"] == 0
    assert gate.diff("", outs, wanted).changes
    monkeypatch.setattr(sys, "tracebacklimit", None, raising=False)  # it is set for a host
    with pytest.raises(ActError, match="it is not known what others have set"):
        gate.read("", olds)
    assert sys.tracebacklimit == 0, "people need the message only"
    failed = gate.read("", {**wanted, "asked": "{}"}).outs
    assert failed is not None
    assert failed["foreign"] == [], "of a gate that failed"


def test_an_api_server_that_goes_away_after_the_act_fails_its_project_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("components.gates.resources._BLIND_SECONDS", 0)
    monkeypatch.setattr("components.gates.resources.take_back", lambda *_: None)
    _, asked = drifted(replicas_are_ours=False)
    asked = {**asked, "lists": {"/apis/apps/v1/namespaces/search/deployments": "Deployment"}}
    wanted = props(tmp_path, "http://127.0.0.1:1", asked)
    before = {"foreign": ["a field"], "stays": ["a mark"], "taken": 3}
    gate = _ForeignProvider()
    outs = gate.update("", {**wanted, **before}, wanted).outs
    assert outs is not None
    assert outs["fault"].startswith("it is not known what lasts of what others have set")
    assert {key: outs[key] for key in before} == before, "the next `up` takes it back again"
    assert gate.diff("", outs, wanted).changes
    assert "search stays as it is, all else goes on" in capfd.readouterr().out
    monkeypatch.setattr(sys, "tracebacklimit", None, raising=False)
    with pytest.raises(ActError, match="it is not known what lasts"):
        gate.update("", {**wanted, **before}, {**wanted, "model": ""})
    assert sys.tracebacklimit == 0, "the region's own stops `up`, by its message alone"
