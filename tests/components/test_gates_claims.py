"""Whose an object is that stands under one of our names, told from the object alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from components.gates.claims import CLAIM, claims, is_ours, plural, taken, unclaimed
from components.gates.resources import _ClaimProvider
from components.kube import Object
from components.parts import parts
from components.rollout_gate import GateError
from regions.plan import RegionPlan
from tests.components.test_kube_client import api_server, kubeconfig
from tests.engine.world import path_of
from tests.examples import REGIONS, a_model, objects_of, plan_of, planned

HERE = "us-east-1"
APPLIED = {"manager": "isoserve", "operation": "Apply"}


def live(name: str, region: str | None = None, *managers: dict[str, str]) -> Object:
    """An object as an API server has it."""
    said = {} if region is None else {"annotations": {"isoserve.dev/region": region}}
    return {"metadata": {"name": name, "managedFields": [*managers], **said}}


@pytest.mark.parametrize(
    ("found", "ours"),
    [
        (live("a", HERE, APPLIED), True),
        (live("a", None, APPLIED), True),
        (live("a", HERE, {"manager": "kubectl-annotate", "operation": "Update"}), True),
        (live("a", "eu-west-1", APPLIED), False),
        (live("a", None, {"manager": "kubectl", "operation": "Update"}), False),
        (live("a", None, {"manager": "isoserve", "operation": "Update"}), False),
        (live("a"), False),
        ({"metadata": {"name": "a"}}, False),
    ],
    ids=["ours", "an earlier version's", "given to us", "another region's", "by hand",
         "a hand that takes our name", "of nobody", "bare"],
)  # fmt: skip
def test_an_object_is_ours_when_it_says_so_or_when_we_applied_it(found: Object, ours: bool) -> None:
    assert is_ours(found, HERE) == ours


def test_the_refusal_names_the_object_whose_it_is_and_what_to_do() -> None:
    lists = {
        "/api/v1/namespaces": {"items": [live("billing"), live("search", "eu-west-1")]},
        "/apis/apps/v1/namespaces/search/deployments": {"items": [live("other")]},
    }
    names = [
        ("apps/v1", "Deployment", "search", "sentiment"),
        ("keda.sh/v1alpha1", "ScaledObject", "search", "sentiment"),
        ("v1", "Namespace", "", "billing"),
        ("v1", "Namespace", "", "search"),
        ("v1", "Namespace", "", "vision"),
    ]
    asked: list[str] = []

    def get(path: str) -> Object | None:
        asked.append(path)
        return lists.get(path)

    first, second = taken(names, HERE, get)
    assert first.startswith("Namespace billing stands there already, made by somebody else: ")
    assert second.startswith("Namespace search stands there already, of region eu-west-1: ")
    assert first.endswith("the annotation isoserve.dev/region: us-east-1 to have it taken over")
    assert len(asked) == len(set(asked)) == 3, "each kind and namespace is asked for once"


def claim(plan: RegionPlan, project: str) -> dict[str, Any]:
    """What a project's claim is asked."""
    (found,) = [gate for gate in claims(parts(plan), plan) if gate.model == project]
    assert found.kind == CLAIM
    return found.asked


def test_only_names_that_the_last_up_did_not_have_are_looked_for() -> None:
    one = claim(planned(a_model()), "search")
    both = claim(planned(a_model(), a_model("search", "second")), "search")
    assert unclaimed(both, both) == unclaimed(both, one) == [], "ours may be changed by hand"
    new = {name for _, kind, _, name in unclaimed(one, both) if kind == "Deployment"}
    assert new == {"second"}
    assert len(unclaimed({}, one)) == len(one["names"]), "a region's first `up` looks for all"


@pytest.mark.parametrize("region", REGIONS)
def test_every_object_but_nodes_is_in_one_claim_and_its_path_is_the_api_servers(
    region: str,
) -> None:
    plan = plan_of(region)
    gates = list(claims(parts(plan), plan))
    found = [tuple(name) for gate in gates for name in gate.asked["names"]]
    made = [one for one in objects_of(region) if one["kind"] != "Node"]
    assert len(found) == len(set(found)) == len(made)
    for one in made:
        folder = path_of(one).rpartition("/")[0]
        assert folder.endswith(f"/{plural(one['kind'])}"), one["kind"]
    assert gates[0].model == "", "the region's own comes first"
    names = [gate.name for gate in gates]
    assert len(names) == len(set(names)), "no project takes the region's"
    assert region not in names


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_and_each_of_its_projects_say_whose_they_are(region: str) -> None:
    plan = plan_of(region)
    said = {
        part.name
        for part in parts(plan)
        for made in part.objects
        if made["metadata"]["annotations"].get("isoserve.dev/region") == region
    }
    platform = {"platform"} if "cluster_scope" in plan.capabilities else set()
    assert said == {project.name for project in plan.projects} | platform


@pytest.mark.parametrize("project", ["", "search"])
def test_the_regions_own_clash_stops_up_and_a_projects_holds_up_that_project(
    tmp_path: Path,
    project: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "tracebacklimit", None, raising=False)  # it is set for a host
    asked = {"names": [["v1", "Namespace", "", "search"]], "region": HERE}
    with api_server(200, json.dumps({"items": [live("search")]})) as url:
        where = {"kubeconfig": kubeconfig(tmp_path, url), "context": "here"}
        wanted = {**where, "asked": json.dumps(asked), "kind": CLAIM, "model": project}
        provider = _ClaimProvider()
        if project:
            outs = provider.create(wanted).outs
            assert outs is not None
            assert outs["fault"].startswith("Namespace search stands there already")
            assert "search stays as it is" in capfd.readouterr().out
        else:
            with pytest.raises(GateError, match="Namespace search stands there already"):
                provider.create(wanted)
