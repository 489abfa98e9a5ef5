"""All regions get the same objects, and the proof finds whatever breaks that."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.kube import Object
from regions.resolve import resolve
from stacks.compare import ABSENT, Key, changes
from stacks.declared import DECLARED, declared
from stacks.parity import Difference, Rendering, compare, rendering
from stacks.tree import read_tree
from tests.examples import a_model, a_profile, a_tree
from tests.stacks.conftest import ROOT, Isoserve

REFERENCE, OTHERS = "eu-central-1", ("sandbox-aws", "sandbox-onprem", "seoul-dc1", "us-east-1")


@cache
def renderings() -> dict[str, Rendering]:
    tree = read_tree(ROOT / "model_specs", ROOT / "regions", [])
    return {plan.region: rendering(plan, tree.profiles[plan.region]) for plan in tree.plans()}


def with_mutant(region: str, key: Key, mutate: Callable[[Any], None]) -> list[Difference]:
    """What is found undeclared when one object of one region is changed."""
    one = renderings()[region]
    mutant = copy.deepcopy(one.objects[key])
    mutate(mutant)
    changed = replace(one, objects={**one.objects, key: mutant})
    return compare([renderings()[REFERENCE], changed])[1]


def deployment(region: str, model: str) -> Key:
    return next(
        k for k in renderings()[region].objects if k.kind == "Deployment" and k.model == model
    )


def test_the_examples_are_the_same_everywhere(isoserve: Isoserve) -> None:
    answer = isoserve("parity", "--specs", ROOT / "model_specs", "--regions", ROOT / "regions")
    assert answer.code == 0, f"regions drift apart:\n{answer.out}"
    assert re.fullmatch(
        r"parity: \d+ objects x \d+ regions, \d+ declared differences, 0 undeclared\n", answer.out
    ), "one line that a person believes"


@pytest.mark.parametrize("region", OTHERS)
def test_an_environment_variable_of_one_region_is_found(region: str) -> None:
    def more(made: Any) -> None:
        container = made["spec"]["template"]["spec"]["containers"][0]
        container.setdefault("env", []).append({"name": "FAST", "value": "1"})

    found = with_mutant(region, deployment(region, "search/sentiment"), more)
    assert [row.path.split(".")[-1] for row in found] == ["env[FAST]"] or (
        [row.path.split(".")[-1] for row in found] == ["env"]
    ), "a variable set by hand in one region is what parity is for"
    assert set(found[0].values) == {REFERENCE, region}, "the values are listed by region"


@pytest.mark.parametrize("capacity", [{}, {"spot": True}], ids=str)
def test_a_single_run_is_the_same_object_everywhere(capacity: dict[str, Any]) -> None:
    model = a_model(name="index", batch={"command": ["index"]}, capacity=capacity)
    profiles = {region: a_profile(region) for region in (REFERENCE, *OTHERS)}
    found = [
        rendering(resolve(a_tree(model), profile, region), profile)
        for region, profile in profiles.items()
    ]
    assert compare(found)[1] == [], "a job that is named by its region can never be merged"


def test_one_region_may_know_the_networks_of_its_store() -> None:
    tree = a_tree(a_model(cache="never"))
    plain, known = (
        a_profile(registry=a_profile().registry.model_copy(update={"addresses": networks}))
        for networks in ((), ("10.0.8.0/24",))
    )
    found = [
        rendering(resolve(tree, profile, name), profile)
        for name, profile in (("one", plain), ("other", known))
    ]
    assert compare(found)[1] == [], "else no region could be the first"


def test_a_missing_object_is_found() -> None:
    one = renderings()["us-east-1"]
    key = deployment("us-east-1", "search/sentiment")
    rest = {k: made for k, made in one.objects.items() if k != key}
    found = compare([renderings()[REFERENCE], replace(one, objects=rest)])[1]
    assert [(row.key, row.path) for row in found] == [(key, "")], "a model would not be served"


def test_a_type_that_differs_is_found() -> None:
    key = next(k for k in renderings()["us-east-1"].objects if k.kind == "PodDisruptionBudget")

    def to_boolean(made: Any) -> None:
        made["spec"]["maxUnavailable"] = True

    assert with_mutant("us-east-1", key, to_boolean), "Python's 1 == True, an API server's is not"


def test_another_place_is_no_difference_but_another_value_is() -> None:
    key = next(k for k in renderings()["us-east-1"].objects if k.kind == "HTTPRoute")
    route = renderings()["us-east-1"].objects[key]
    assert route != renderings()[REFERENCE].objects[key], "the hosts differ by the region's domain"

    def foreign(made: Any) -> None:
        made["spec"]["hostnames"] = ["assistant--chat.aws.sandbox.example.com"]

    found = with_mutant("us-east-1", key, foreign)
    assert [row.path for row in found] == ["spec.hostnames[0]"], "a third region's domain is wrong"


def test_an_item_whose_name_is_a_place_is_another_item() -> None:
    here, there = (replace(renderings()[r], objects={}) for r in (REFERENCE, "us-east-1"))
    key = deployment(REFERENCE, "search/sentiment")
    named = [{"kind": "List", "items": [{"name": one.plan.region}]} for one in (here, there)]
    pair = [
        replace(one, objects={key: made}) for one, made in zip((here, there), named, strict=True)
    ]
    paths = {difference.path for difference in compare(pair)[1]}
    assert paths == {f"items[{REFERENCE}]", "items[us-east-1]"}, "names tell the items of a list"


def test_a_declared_difference_needs_its_cause() -> None:
    one = renderings()["us-east-1"]
    scaler = next(k for k in one.objects if k.kind == "ScaledObject" and not k.name.endswith("t"))
    here = renderings()[REFERENCE].plan
    assert declared(here, renderings()["sandbox-onprem"].plan, scaler, ""), "no KEDA there"
    assert not declared(here, one.plan, scaler, ""), "KEDA is in both, so it may not be missing"


def one_sided() -> list[Rendering]:
    """Two regions of which only one serves the model that a guest may call."""
    shared = a_model("owner", "shared", share_with=["guest"], regions=["one"])
    tree, profile = a_tree(a_model("guest"), a_model("owner"), shared), a_profile()
    return [rendering(resolve(tree, profile, region), profile) for region in ("one", "two")]


def test_where_nobody_shares_with_a_project_it_has_no_way_out() -> None:
    one, two = one_sided()
    walls = [key for key in one.objects if key.name == "default-callers"]
    differ = [
        key.namespace for key in walls if one.objects[key]["spec"] != two.objects[key]["spec"]
    ]
    assert differ == ["guest"], "the owner's own way is the same"
    assert compare([one, two])[1] == [], "to be let out follows from who is served there"


@pytest.mark.parametrize(
    ("name", "namespace", "path", "value"),
    [
        ("default-deny", "guest", ("spec", "egress", 0, "to"), []),
        ("default-callers", "owner", ("spec", "egress", 0, "to"), []),
        ("default-callers", "guest", ("spec", "podSelector"), {}),
        ("default-callers", "guest", ("spec", "egress", 0, "ports"), [{"port": 1}]),
    ],
)
def test_no_other_wall_may_differ_for_it(
    name: str, namespace: str, path: tuple[str | int, ...], value: Any
) -> None:
    one, two = one_sided()
    key = next(k for k in two.objects if (k.name, k.namespace) == (name, namespace))
    mutant = copy.deepcopy(two.objects[key])
    put(mutant, path, value)
    found = compare([one, replace(two, objects={**two.objects, key: mutant})])[1]
    assert {row.key for row in found} == {key}, "a wider wall of one region is drift"


def test_every_row_has_a_reason() -> None:
    assert all(row.reason for row in DECLARED), "a difference without a reason is drift"


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[str | int, ...]] = []
    for step, below in inner:
        deeper = isinstance(below, dict | list) and below
        found += leaves(below, (*path, step)) if deeper else [(*path, step)]
    return found


def put(made: Any, path: tuple[str | int, ...], value: Any) -> None:
    for step in path[:-1]:
        made = made[step]
    if value is None:
        del made[path[-1]]
    else:
        made[path[-1]] = value


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_leaf_changed_in_one_region_is_found(data: st.DataObject) -> None:
    region = data.draw(st.sampled_from(OTHERS))
    here, there = renderings()[REFERENCE], renderings()[region]
    key = data.draw(st.sampled_from(sorted({*here.objects} & {*there.objects})))
    made: Object = there.objects[key]
    path = data.draw(st.sampled_from(leaves(made)))
    value = data.draw(st.sampled_from(["mutant", 4711, True, None, {"mutant": 1}, ["mutant"]]))
    mutant = copy.deepcopy(made)
    put(mutant, path, value)
    # Inside of what only this region has, e.g. the endpoint of its store, there is nothing to hold
    # the change against.
    own = tuple(c.path for c in changes(here.objects[key], made, "") if c.old is ABSENT)
    told = [
        c
        for c in changes(made, mutant, "")
        if not c.path.startswith(own) and not declared(here.plan, there.plan, key, c.path)
    ]
    if told:
        found = with_mutant(region, key, lambda made: put(made, path, value))
        assert found, f"{key.label} {path} = {value!r} in {region} only, and nobody noticed"
