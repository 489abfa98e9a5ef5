"""The doctor matches pods with nodes as the scheduler does."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.doctor.scheduling import Place, Taint, lasting_taints, selects, tolerates, untolerated

TAINT = Taint(key="gpu", value="present", effect="NoSchedule")
PLACE = Place(name="node-1", labels={"zone": "a", "gpus": "4"}, taints=(TAINT,))


@pytest.mark.parametrize(
    ("toleration", "matches"),
    [
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "gpu", "value": "present"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "present"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "other"}, False),
        ({"key": "gpu"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"operator": "Exists"}, True),
        ({"key": "", "operator": "Exists", "effect": ""}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
        ({"value": "present"}, False),
        ({"key": "gpu", "operator": "Gt", "value": "1"}, False),
    ],
)
def test_a_toleration_matches_by_key_operator_value_and_effect(
    toleration: dict[str, str], matches: bool
) -> None:
    assert tolerates(toleration, TAINT) is matches, f"{toleration} against {TAINT}"


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


@pytest.mark.parametrize(
    ("row", "takes"),
    [
        (expression("zone", "In", "a", "b"), True),
        (expression("zone", "In", "b"), False),
        (expression("rack", "In", "a"), False),
        (expression("zone", "NotIn", "a"), False),
        (expression("rack", "NotIn", "a"), True),
        (expression("zone", "Exists"), True),
        (expression("rack", "Exists"), False),
        (expression("rack", "DoesNotExist"), True),
        (expression("zone", "DoesNotExist"), False),
        (expression("gpus", "Gt", "3"), True),
        (expression("gpus", "Gt", "4"), False),
        (expression("gpus", "Lt", "5"), True),
        (expression("gpus", "Lt", "4"), False),
        (expression("zone", "Gt", "3"), False),
        (expression("rack", "Lt", "3"), False),
        (expression("gpus", "Gt", "1", "2"), False),
        (expression("zone", "Matches", "a"), False),
    ],
)
def test_an_expression_takes_a_node_by_its_labels(row: dict[str, Any], takes: bool) -> None:
    assert selects(required({"matchExpressions": [row]}), PLACE) is takes, f"{row}"


def required(*terms: dict[str, Any]) -> dict[str, Any]:
    chosen = {"nodeSelectorTerms": list(terms)}
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": chosen}
    return {"affinity": {"nodeAffinity": affinity}}


def test_one_term_is_enough_and_all_of_its_expressions_are_needed() -> None:
    here, away = expression("zone", "In", "a"), expression("zone", "In", "b")
    assert selects(required({"matchExpressions": [away]}, {"matchExpressions": [here]}), PLACE)
    assert not selects(required({"matchExpressions": [here, away]}), PLACE), "both are conditions"


def test_no_term_and_an_empty_term_take_no_node() -> None:
    assert not selects(required(), PLACE), "an affinity without a term takes nothing"
    assert not selects(required({}), PLACE), "an empty term takes nothing"
    assert selects({}, PLACE), "no affinity takes everything"
    assert selects({"affinity": {"podAntiAffinity": {}}}, PLACE), "pods' affinity is another thing"


def test_a_field_is_the_name_of_the_node() -> None:
    mine = {"matchFields": [expression("metadata.name", "In", "node-1")]}
    other = {"matchFields": [expression("metadata.name", "In", "node-2")]}
    assert selects(required(mine), PLACE), "a DaemonSet's own pods are bound so"
    assert not selects(required(other), PLACE), "of another node"


def test_a_node_selector_and_an_affinity_are_both_conditions() -> None:
    pod = required({"matchExpressions": [expression("zone", "Exists")]})
    assert selects({**pod, "nodeSelector": {"zone": "a"}}, PLACE), "both are met"
    assert not selects({**pod, "nodeSelector": {"zone": "b"}}, PLACE), "the selector is not met"


def test_every_taint_needs_a_toleration() -> None:
    more = Taint(key="team", value="", effect="NoExecute")
    place = Place(name="", labels={}, taints=(TAINT, more))
    gpu, team = {"key": "gpu", "operator": "Exists"}, {"key": "team"}
    assert untolerated({"tolerations": [gpu]}, place) == more, "of the second taint"
    assert untolerated({"tolerations": [gpu, team]}, place) is None, "an empty value is equal"
    assert untolerated({}, place) == TAINT, "a pod without tolerations"


def test_taints_that_only_prefer_and_those_of_a_nodes_state_keep_no_daemon_away() -> None:
    rows = [
        {"key": "gpu", "value": "present", "effect": "NoSchedule"},
        {"key": "soft", "effect": "PreferNoSchedule"},
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
    ]
    assert lasting_taints({"spec": {"taints": rows}}) == (TAINT,), "the vendor's alone"
    assert lasting_taints({"spec": {}}) == (), "a node without taints"
