"""The rules that the API server holds itself: their shape, and that the policies say the same."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import pytest

from components.admission_guard import ROWS, objects
from components.admission_row import Row
from components.kube import Object
from policies.by_hand import AWS, NOT_REFUSED
from policies.catalogue import RULES
from policies.judge import Finding
from policies.resources import of_object
from policies.rule import MANDATORY, Rule
from tests.builders import a_region_plan
from tests.engine.hand_edits import BAD, HARMLESS, MADE, Edit
from tests.examples import by_identity, identity, objects_of, of_kind, plan_of
from tests.policies.estate import said

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
CATALOGUE = {f"P{number:02}" for number in range(1, 37)}
ADVISORY = {"P12", "P30"}
"""Rows of the catalogue that do not forbid: what they find stops nobody."""
LONGEST_MESSAGE = 1024
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@cache
def rules() -> dict[str, Rule]:
    return {rule.name: rule for rule in RULES}


def said_of(edit: Edit, name: str) -> list[Finding]:
    """What a rule says of the examples when somebody has edited one object."""
    good = by_identity(objects_of("sandbox-aws"))[edit.of]
    return said(rules()[name], of_object(edit.done_to(good), "cluster"))


def made() -> list[Object]:
    return objects(plan_of("sandbox-aws"))


def policy_of(row: Row) -> Object:
    (found,) = (p for p in of_kind(POLICY, made()) if identity(p).name == f"isoserve-{row.name}")
    return found


# -- shape -----------------------------------------------------------------------------------


def test_every_policy_is_put_into_force_by_denying() -> None:
    bindings = {identity(b).name: b["spec"] for b in of_kind(BINDING, made())}
    assert set(bindings) == {identity(p).name for p in of_kind(POLICY, made())}
    for name, spec in bindings.items():
        assert spec == {"policyName": name, "validationActions": ["Deny"]}, (
            "a policy that only warns is undone by who does not read"
        )


def test_a_guest_of_the_cluster_guards_nothing() -> None:
    guest = plan_of("seoul-dc1")
    assert "cluster_scope" not in guest.capabilities
    assert objects(guest) == [], "policies are the cluster's, not a namespace's"
    told = [d.outcome for d in guest.downgrades if d.feature == "admission guard"]
    assert told == ["a hand edit is undone by the next `up`, not refused"]


def test_the_guard_follows_nothing_that_an_up_may_change_but_the_domain() -> None:
    other = a_region_plan(
        capabilities=("cluster_scope",),
        domain="aws.sandbox.example.com",
        reachable=plan_of("sandbox-aws").reachable,
    )
    assert objects(other) == made(), (
        "a policy that follows the plan would refuse the very objects that follow it too, as both "
        "change in one `up`; and what a cluster lacks is never sent to it"
    )


def test_callers_may_go_wherever_the_regions_proxies_stand() -> None:
    plan = replace(plan_of("sandbox-aws"), proxy_namespaces=("kube-system", "edge"))
    (policy,) = (
        made
        for made in objects(plan)
        if identity(made).name == "isoserve-egress-allow-list"
        if made["kind"] == POLICY
    )
    values = {v["name"]: v["expression"] for v in policy["spec"]["variables"]}
    assert values["proxies"] == "['kube-system', 'edge']", "the callers' own wall names them"


@every_row
def test_a_row_looks_at_objects_of_ours_only(row: Row) -> None:
    constraints = policy_of(row)["spec"]["matchConstraints"]
    ours = ("isoserve.dev/project", "app.kubernetes.io/managed-by")
    chosen = str(constraints["namespaceSelector"]) + str(constraints["objectSelector"])
    assert any(label in chosen for label in ours), "strangers in the cluster are not ours to judge"
    for kinds in constraints["resourceRules"]:
        assert "*" not in kinds["resources"], "a rule names what it has been tried on"
        assert kinds["operations"] == ["CREATE", "UPDATE"], (
            "`pulumi destroy` deletes one by one, as the same person does by hand"
        )


@every_row
def test_a_row_fails_closed_and_sees_every_version(row: Row) -> None:
    spec = policy_of(row)["spec"]
    assert spec["failurePolicy"] == "Fail", "an expression that fails has judged nothing"
    assert spec["matchConstraints"]["matchPolicy"] == "Equivalent", (
        "an object sent as an older version is the same object"
    )


@every_row
def test_status_and_scale_are_left_to_their_controllers(row: Row) -> None:
    parts = {r for kinds in row.kinds for r in kinds.resources if "/" in r}
    assert parts <= {"pods/ephemeralcontainers"}, "kubelets and autoscalers write the others"


@every_row
def test_a_message_says_what_is_wrong_and_what_to_do(row: Row) -> None:
    for validation in policy_of(row)["spec"]["validations"]:
        message = validation["message"]
        fault, _, cure = message.partition("; ")
        assert fault[0].islower(), "it stands in the middle of the API server's sentence"
        assert cure.endswith(": change the spec, not the cluster"), "the next `up` undoes the rest"
        assert len(message) < LONGEST_MESSAGE, "the API server takes no longer one"


@every_row
def test_an_expression_is_one_line_and_uses_only_what_is_there(row: Row) -> None:
    spec = policy_of(row)["spec"]
    variables = spec.get("variables", ())
    known = {variable["name"] for variable in variables}
    texts = [v["expression"] for v in (*spec["validations"], *variables)]
    for text in texts:
        assert not {"\t", "\n"} & set(text), "`kubectl get -o yaml` would show it escaped"
        assert set(re.findall(r"variables\.(\w+)", text)) <= known
    used = set(re.findall(r"variables\.(\w+)", " ".join(texts)))
    assert known <= used, "a variable that nobody reads costs every request"


# -- the same as the policies ----------------------------------------------------------------


@every_row
def test_a_row_is_a_mandatory_one_of_the_catalogue(row: Row) -> None:
    assert row.rule in CATALOGUE - ADVISORY, "what may be is not refused"
    rule = rules()[row.name]
    assert (rule.row, rule.level) == (row.rule, MANDATORY), "one name, one rule, two judges"


def test_every_rule_is_refused_by_hand_too_or_says_why_not() -> None:
    guarded = {row.name for row in ROWS}
    assert set(rules()) == guarded | set(NOT_REFUSED)
    assert not guarded & set(NOT_REFUSED), "what is refused needs no reason"


def test_what_is_said_to_be_of_aws_judges_no_object_of_the_cluster() -> None:
    for name, why in NOT_REFUSED.items():
        kinds = rules()[name].kinds
        of_aws = {kind for kind in kinds if kind.startswith("aws:")}
        if why == AWS:
            assert kinds == of_aws, name
        elif kinds:
            assert kinds != of_aws, f"{name} has another reason"


def test_every_row_is_tried_by_hand_edits() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS), "a name is a policy's in the cluster"
    assert {edit.rule for edit in BAD} == {row.name for row in ROWS}, (
        "tests/engine/hand_edits.py has an edit for each, tried on the real API server"
    )


@pytest.mark.parametrize("edit", [e for e in BAD if e.judge], ids=str)
def test_what_the_guard_refuses_the_policies_refuse_too(edit: Edit) -> None:
    assert said_of(edit, edit.judge), (
        f"{edit.judge} passes what the API server refuses: the two have drifted apart"
    )


@pytest.mark.parametrize("edit", [*HARMLESS, *MADE], ids=str)
def test_what_the_guard_lets_pass_the_policies_do_not_mind(edit: Edit) -> None:
    for name in sorted(row.name for row in ROWS):
        assert not said_of(edit, name), f"{name} would let nobody act in an incident"
