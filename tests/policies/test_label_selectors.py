"""Label selectors mean what the API server means by them."""

from __future__ import annotations

from typing import Any

import pytest

from policies.label_selectors import only_values, takes, takes_none_with


def wants(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "labels", "taken"),
    [
        ({}, {}, True),
        ({"matchLabels": {}}, {"a": "1"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchLabels": {"a": "1"}}, {}, False),
        (wants("a", "In", "1", "2"), {"a": "2"}, True),
        (wants("a", "In", "1"), {}, False),
        (wants("a", "NotIn", "1"), {"a": "2"}, True),
        (wants("a", "NotIn", "1"), {}, True),
        (wants("a", "NotIn", "1"), {"a": "1"}, False),
        (wants("a", "Exists"), {"a": ""}, True),
        (wants("a", "Exists"), {}, False),
        (wants("a", "DoesNotExist"), {}, True),
        (wants("a", "DoesNotExist"), {"a": ""}, False),
        ({"matchLabels": {"a": "1"}, **wants("b", "Exists")}, {"a": "1"}, False),
    ],
)
def test_a_selector_takes_what_kubernetes_would(
    selector: dict[str, Any], labels: dict[str, str], taken: bool
) -> None:
    assert takes(selector, labels) is taken


@pytest.mark.parametrize("selector", [{"matchLabel": {"a": "1"}}, wants("a", "Like", "1")])
def test_what_no_selector_has_is_not_guessed(selector: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a label selector has no"):
        takes(selector, {})


@pytest.mark.parametrize(
    ("selector", "values"),
    [
        ({"matchLabels": {"n": "a"}}, {"a"}),
        (wants("n", "In", "a", "b"), {"a", "b"}),
        ({"matchLabels": {"n": "a"}, **wants("n", "In", "b")}, set()),
        ({"matchLabels": {"other": "a"}}, None),
        (wants("n", "NotIn", "a"), None),
        ({}, None),
    ],
)
def test_only_a_list_of_values_bounds_a_label(
    selector: dict[str, Any], values: set[str] | None
) -> None:
    assert only_values(selector, "n") == values


@pytest.mark.parametrize(
    ("selector", "none"),
    [
        (wants("n", "DoesNotExist"), True),
        ({"matchLabels": {"other": "a"}, **wants("n", "DoesNotExist")}, True),
        (wants("n", "Exists"), False),
        (wants("n", "NotIn", "a"), False),
        (wants("other", "DoesNotExist"), False),
        ({"matchLabels": {"other": "a"}}, False),
        ({}, False),
    ],
)
def test_only_a_condition_on_the_label_itself_keeps_it_out(
    selector: dict[str, Any], none: bool
) -> None:
    assert takes_none_with(selector, "n") is none
    assert not (none and takes(selector, {"n": "a", "other": "a"}))
