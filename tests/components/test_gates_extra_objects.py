"""Which objects in our namespaces no plan has, told from lists of an API server alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from components.gates import resources
from components.gates.claims import CLAIM, claims
from components.gates.extra_objects import (
    CONTROLLED,
    KINDS,
    MADE,
    Found,
    group_of,
    look,
    secrets_of,
)
from components.gates.resources import _ClaimProvider
from components.kube import Object
from components.kube_client import ApiError, Forbidden
from components.parts import parts
from regions.addon_objects import AddonObject
from tests.components.test_kube_client import api_server, kubeconfig
from tests.examples import REGIONS, objects_of, plan_of

NAMES = [
    ["networking.k8s.io/v1", "NetworkPolicy", "search", "default-deny"],
    ["v1", "Namespace", "", "search"],
]
ASKED: dict[str, Any] = {"names": NAMES, "region": "here", "secrets": [["search", "hub"]]}
SERVED = {
    "ConfigMap": ("", "configmaps"),
    "EndpointSlice": ("discovery.k8s.io", "endpointslices"),
    "NetworkPolicy": ("networking.k8s.io", "networkpolicies"),
    "Pod": ("", "pods"),
    "Secret": ("", "secrets"),
    "ServiceAccount": ("", "serviceaccounts"),
}


def head(name: str, **more: Any) -> Object:
    fields = [{"manager": "kubectl-create", "operation": "Update"}]
    return {"metadata": {"managedFields": fields, "name": name, **more}}


class Server:
    """Serves the kinds of SERVED; `held` by kind, and no list of what is `refused`."""

    def __init__(self, held: dict[str, list[Object]], refused: str = "") -> None:
        self.held, self.refused = held, refused
        self.forms: set[str] = set()

    def get_as(self, path: str, form: str) -> Object | None:
        if path in ("/api", "/apis"):
            return {"items": list(self._groups(path))}
        self.forms.add(form)
        (kind,) = (kind for kind, (_, name) in SERVED.items() if path.endswith(f"search/{name}"))
        if kind == self.refused:
            raise Forbidden("403 Forbidden", passes=False)
        return {"items": self.held.get(kind)}

    @staticmethod
    def _groups(root: str) -> Any:
        for kind, (group, resource) in SERVED.items():
            if bool(group) == (root == "/apis"):
                row = {"resource": resource, "responseKind": {"kind": kind}}
                versions = [{"resources": [row], "version": "v1"}]
                yield {"metadata": {"name": group} if group else {}, "versions": versions}


def extra(held: dict[str, list[Object]], **more: Any) -> list[str]:
    found = look(Server(held), {**ASKED, **more}, lambda live: False)
    assert found.unseen == []
    return [line.partition(" is in no plan")[0] for line in found.extra]


def test_an_object_that_no_plan_has_is_named_with_who_made_it_and_what_removes_it() -> None:
    held = {"NetworkPolicy": [head("default-deny"), head("open-all")]}
    server = Server(held)
    assert look(server, ASKED, lambda live: False).extra == [
        "NetworkPolicy search/open-all is in no plan, made by kubectl-create: `up` leaves it, "
        "`kubectl delete -n search networkpolicies.networking.k8s.io/open-all` removes it"
    ]
    assert all("PartialObjectMetadataList" in form for form in server.forms), "no Secret's value"
    (line,) = look(server, ASKED, lambda live: True).extra
    assert "an `up` that ends well does it where this region made it" in line, "left by a failed up"


def test_a_namespace_of_both_plans_is_looked_at_once() -> None:
    held = {"NetworkPolicy": [head("open-all")]}
    found = extra(held, names=[*NAMES, *NAMES])
    assert found == ["NetworkPolicy search/open-all"], "`up` asks by the names of before and now"


def test_what_the_cluster_makes_what_is_named_and_what_is_being_deleted_is_not() -> None:
    mine = {"ownerReferences": [{"controller": True, "kind": "ReplicaSet", "name": "a"}]}
    forged = {"ownerReferences": [{"controller": False, "kind": "ReplicaSet", "name": "a"}]}
    assert extra({
        "ConfigMap": [head("kube-root-ca.crt"), head("mine")],
        "Pod": [
            head("a", **mine), head("b", deletionTimestamp="now"), head("c"), head("d", **forged),
        ],
        "Secret": [head("hub"), head("token")],
        "ServiceAccount": [head("default")],
    }) == [
        "ConfigMap search/mine", "Pod search/c", "Pod search/d", "Secret search/token",
    ]  # fmt: skip


def test_what_an_add_on_of_the_profile_makes_is_not_named_and_nothing_like_it() -> None:
    held = {
        "ConfigMap": [head("company-certificates"), head("company-certificates-2")],
        "Secret": [head("company-certificates")],
    }
    assert extra(held, addons=[["ConfigMap", "company-certificates"]]) == [
        "ConfigMap search/company-certificates-2", "Secret search/company-certificates",
    ]  # fmt: skip
    plan = plan_of("sandbox-aws")
    listed = replace(plan, addon_objects=(("ConfigMap", "company-certificates"),))
    assert {json.dumps(gate.asked["addons"]) for gate in claims(parts(listed), listed)} == {
        '[["ConfigMap", "company-certificates"]]'
    }, "of the region and of each project"
    assert all("addons" not in gate.asked for gate in claims(parts(plan), plan)), (
        "a profile without any asks no gate anew"
    )


def test_what_grants_runs_or_opens_a_way_is_of_no_add_on() -> None:
    (kinds,) = [get_args(AddonObject.model_fields["kind"].annotation)]
    why = {kind: row.why for row in KINDS for kind in row.kinds}
    for kind in kinds:
        for does in ("opens a way", "runs pods", "grants", "leads", "let in", "replicas"):
            assert does not in why[kind], f"{kind}: one by a hand must be told"


def test_an_owner_that_makes_no_such_object_hides_nothing() -> None:
    service = {"ownerReferences": [{"controller": True, "kind": "Service", "name": "sentiment"}]}
    by = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    assert extra({
        "EndpointSlice": [head("a", **service, labels=by), head("b", **service)],
        "NetworkPolicy": [head("c", **service)],
    }) == ["EndpointSlice search/b", "NetworkPolicy search/c"]  # fmt: skip


def test_a_namespace_that_we_do_not_make_is_not_looked_at() -> None:
    server = Server({"Pod": [head("a")]})
    assert look(server, {**ASKED, "names": NAMES[:1]}, lambda live: False) == Found(
        extra=[], unseen=[]
    )
    assert server.forms == set(), "its owner may add to it"
    seoul = plan_of("seoul-dc1")
    kinds = {name[1] for gate in claims(parts(seoul), seoul) for name in gate.asked["names"]}
    assert "Namespace" not in kinds, "namespace rights only"


def test_a_kind_without_the_right_to_list_it_is_said_and_no_finding() -> None:
    found = look(Server({"Pod": [head("a")]}, "Secret"), ASKED, lambda live: False)
    assert found.unseen == ["Secret in search: no right to list secrets"]
    assert len(found.extra) == 1


def test_a_state_of_before_names_no_secret_a_stranger() -> None:
    before = {name: told for name, told in ASKED.items() if name != "secrets"}
    found = look(Server({"Secret": [head("hub")], "Pod": [head("a")]}), before, lambda live: False)
    assert found.unseen == ["Secrets: the next `up` knows which of them are named"]
    assert len(found.extra) == 1, "a person would have been told to delete what pods mount"


def test_a_server_that_does_not_tell_its_kinds_is_an_error() -> None:
    class Old(Server):
        def get_as(self, path: str, form: str) -> Object | None:
            return {"kind": "APIGroupList"}

    with pytest.raises(ApiError, match="its version tells not in one answer"):
        look(Old({}), ASKED, lambda live: False)


def test_every_kind_that_we_render_in_a_namespace_is_looked_for() -> None:
    looked = {(row.group, kind) for row in KINDS for kind in row.kinds}
    for region in REGIONS:
        for made in objects_of(region):
            if "namespace" in made["metadata"]:
                assert (group_of(made["apiVersion"]), made["kind"]) in looked
    kinds = {kind for _, kind in looked}
    assert {"Endpoints", "Event", "Lease"}.isdisjoint(kinds), "controllers write them all the time"
    assert {row.kind for row in MADE} | {k for row in CONTROLLED for k in row.kinds} <= kinds
    opens = {"NetworkPolicy", "Role", "RoleBinding", "HTTPRoute", "Ingress", "ReferenceGrant"}
    assert not opens & {kind for row in CONTROLLED for kind in row.kinds}, "no owner excuses these"


def test_a_secret_that_an_object_of_ours_names_is_no_extra_one() -> None:
    plan = plan_of("sandbox-aws")
    told = [tuple(one) for gate in claims(parts(plan), plan) for one in gate.asked["secrets"]]
    assert ("isoserve-gateway", plan.gateways[0].tls_secret or plan.gateways[1].tls_secret) in told
    pod = {"volumes": [{"secret": {"secretName": "a"}}, {"projected": {"sources": [
        {"secret": {"name": "b"}}]}}], "imagePullSecrets": [{"name": "c"}]}  # fmt: skip
    policy = {"spec": {"apiKeyAuth": {"credentialRefs": [{"group": "", "name": "d"}]}}}
    assert sorted(secrets_of([pod, policy])) == ["a", "b", "c", "d"]


def test_a_pull_secret_is_no_extra_one_where_no_pod_names_it_either() -> None:
    plan = replace(plan_of("sandbox-aws"), pull_secret="hub", servers=(), jobs=(), caches=())
    told = {tuple(one) for gate in claims(parts(plan), plan) for one in gate.asked["secrets"]}
    spaces = {*plan.system_namespaces, *(project.namespace for project in plan.projects)}
    assert {(space, "hub") for space in spaces} <= told, "people are asked for it there"


# -- the resource --------------------------------------------------------------------------------


def test_a_refresh_says_what_it_finds_and_it_is_said_until_it_is_gone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[list[list[str]]] = []
    found = [Found(extra=["Pod search/a is in no plan"], unseen=["Secret in search: no right"])] * 2

    def answer(api: object, asked: dict[str, Any], ours: object) -> Found:
        looks.append(asked["names"])
        return found.pop() if found else Found(extra=[], unseen=[])

    monkeypatch.setattr(resources, "look_for_extra", answer)
    gate = _ClaimProvider()
    with api_server(200, json.dumps({"items": []})) as url:
        where = {"context": "here", "kubeconfig": kubeconfig(tmp_path, url)}
        told = {"asked": json.dumps(ASKED), "fault": "", "kind": CLAIM, "model": "search"}
        wanted = {**where, **told}
        first = gate.create(wanted).outs
        assert first is not None
        assert (first["extra"], looks) == ([], []), "an `up` without a refresh asks nothing"
        assert not gate.diff("", first, wanted).changes
        seen = gate.read("a", first).outs
        assert seen is not None
        said = capfd.readouterr().out
        assert "Pod search/a is in no plan" in said
        assert "not looked at: Secret in search: no right" in said
        assert gate.diff("", seen, wanted).changes, "drift"
        others = json.dumps({**ASKED, "names": [NAMES[1], ["v1", "Pod", "search", "new"]]})
        again = gate.update("", seen, {**wanted, "asked": others}).outs
        assert again is not None
        assert again["extra"], "still there"
        assert NAMES[0] in looks[-1], "what this `up` will delete"
        assert ["v1", "Pod", "search", "new"] in looks[-1], "and what it makes has a name"
        last = gate.update("", again, wanted).outs
    assert last is not None
    assert last["extra"] == []
    assert not gate.diff("", last, wanted).changes


def test_objects_that_cannot_be_looked_for_again_fail_their_project_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_BLIND_SECONDS", 0)

    def away(*_: object) -> Found:
        raise ApiError("connection refused", passes=True)

    monkeypatch.setattr(resources, "look_for_extra", away)
    gate = _ClaimProvider()
    with api_server(200, json.dumps({"items": []})) as url:
        where = {"context": "here", "kubeconfig": kubeconfig(tmp_path, url)}
        told = {"asked": json.dumps(ASKED), "fault": "", "kind": CLAIM, "model": "search"}
        wanted = {**where, **told}
        outs = gate.update("", {**wanted, "extra": ["Pod search/a"]}, wanted).outs
    assert outs is not None
    assert outs["fault"] == (
        "it is not known which objects in our namespaces no plan has: the API server refuses or is "
        "away: connection refused; run `up` again"
    )
    assert outs["extra"] == ["Pod search/a"], "what was found before is still to be said"
    assert gate.diff("", outs, wanted).changes
