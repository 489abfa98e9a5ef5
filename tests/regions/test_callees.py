"""Where a project's pods may call follows from who shares with it, and from nothing else."""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_specs.load import Model, Specs
from regions.plan import RegionPlan
from regions.profile import RegionProfile
from regions.resolve import resolve
from tests.examples import REGIONS, a_model, a_profile, a_tree, plan_of

GATEWAYS: Final = "envoy-gateway-system"
JOB: Final = {"command": ["x"], "parallelism": 1, "completions": 1}
PROJECTS: Final = ("a", "b", "c")
PAIRS: Final = [(one, other) for one, other in product(PROJECTS, PROJECTS) if one != other]


def shared_by(tree: Specs, project: str, *others: str) -> Specs:
    """The tree after a project shares everything with others."""
    one = tree.projects[project]
    wider = dataclasses.replace(one, spec=one.spec.model_copy(update={"share_with": others}))
    return dataclasses.replace(tree, projects={**tree.projects, project: wider})


def callees(plan: RegionPlan) -> dict[str, list[str]]:
    """By project, where it may call but for the gateways."""
    return {p.name: [n for n in p.callee_namespaces if n != GATEWAYS] for p in plan.projects}


def planned(*models: Model, profile: RegionProfile | None = None) -> RegionPlan:
    return resolve(a_tree(*models), profile or a_profile(), "test-region")


@pytest.mark.parametrize("region", REGIONS)
def test_the_examples_call_whoever_shares_with_them(region: str) -> None:
    assert {p.name: p.callee_namespaces for p in plan_of(region).projects} == {
        "chat": ("chat", GATEWAYS),
        "search": ("chat", GATEWAYS, "search", "vision"),
        "vision": (GATEWAYS, "vision"),
    }, "chat/helper and all of vision are shared with search, by their own specs"


@pytest.mark.parametrize(
    ("fields", "may", "why"),
    [
        ({"share_with": ["guest"]}, True, "it is shared with the guest"),
        ({"share_with": ["guest"], "access": "permissive"}, True, "its own wall lets him in too"),
        ({"share_with": ["other"]}, False, "it is shared with another"),
        ({}, False, "it is private"),
        ({"access": "permissive"}, False, "the way to it is the gateway"),
        ({"batch": JOB}, False, "a job takes no requests"),
        ({"share_with": ["guest"], "regions": ["far"]}, False, "it is not served here"),
        ({"share_with": ["guest"], "machine_type": "gpu.l4.4"}, False, "it has no machine here"),
    ],
)
def test_a_guest_calls_where_a_server_lets_him_in(
    fields: dict[str, Any], may: bool, why: str
) -> None:
    homes = [a_model("guest"), a_model("owner", "plain"), a_model("other")]
    plan = planned(*homes, a_model("owner", "shared", **fields))
    assert ("owner" in callees(plan)["guest"]) is may, why
    assert callees(plan)["owner"] == ["owner"], "to share opens no way for who shares"


def test_a_project_that_shares_everything_is_called_for_any_of_its_servers() -> None:
    models = [a_model("guest"), a_model("owner")]
    shared = shared_by(a_tree(*models), "owner", "guest")
    assert callees(resolve(shared, a_profile(), "here")) == {
        "guest": ["guest", "owner"],
        "owner": ["owner"],
    }
    jobs = shared_by(a_tree(models[0], a_model("owner", batch=JOB)), "owner", "guest")
    assert callees(resolve(jobs, a_profile(), "here"))["guest"] == ["guest"], "nobody answers there"


@pytest.mark.parametrize("lost", ["gateway_api", "envoy_gateway"])
def test_where_no_model_has_a_route_nobody_is_let_out_to_gateways(lost: str) -> None:
    (project,) = planned(a_model(), profile=a_profile(without=[lost])).projects
    assert project.callee_namespaces == ("search",), "nothing of ours answers there"


def test_gateways_that_somebody_else_keeps_are_called_too() -> None:
    plan = planned(a_model(), profile=a_profile(without=["cluster_scope"]))
    assert not plan.gateways, "they must stand there already"
    assert plan.projects[0].callee_namespaces == (GATEWAYS, "search")


@given(by_model=st.sets(st.sampled_from(PAIRS)), by_project=st.sets(st.sampled_from(PAIRS)))
@settings(deadline=None, max_examples=50)
def test_a_project_may_call_exactly_those_whose_models_let_it_in(
    by_model: set[tuple[str, str]], by_project: set[tuple[str, str]]
) -> None:
    def guests(of: set[tuple[str, str]], owner: str) -> list[str]:
        return sorted(guest for one, guest in of if one == owner)

    models = [
        model
        for name in PROJECTS
        for model in (a_model(name, "own"), a_model(name, "m", share_with=guests(by_model, name)))
    ]
    tree = a_tree(*models)
    for name in PROJECTS:
        tree = shared_by(tree, name, *guests(by_project, name))
    plan = resolve(tree, a_profile(), "here")
    wished = by_model | by_project
    for project in plan.projects:
        may = {project.name, GATEWAYS} | {one for one, guest in wished if guest == project.name}
        assert project.callee_namespaces == tuple(sorted(may)), "plain, sorted and total"
        lets_in = {
            s.workload.namespace for s in plan.servers if project.name in s.access.caller_namespaces
        }
        assert may - {GATEWAYS} == lets_in, "each wall that lets in has one that lets out"
