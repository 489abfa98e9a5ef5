"""Which policy decides over a rule of a route, as Envoy Gateway has it."""

from __future__ import annotations

from typing import Any

import pytest

from policies.guards import governing
from policies.resources import Resource
from tests.policies.attacks import ENVOY, GATEWAY_API, made, of_model, route

ROUTE = route("chat/assistant", "public", name="assistant")
HERE = {"group": GATEWAY_API, "kind": "HTTPRoute", "name": "assistant"}


def policy(name: str, namespace: str = "chat", **spec: Any) -> Resource:
    return made(ENVOY, "SecurityPolicy", namespace, name, {}, spec=spec)


@pytest.mark.parametrize(
    ("spec", "governs"),
    [
        ({"targetRefs": [HERE]}, True),
        ({"targetRef": HERE}, True),
        ({"targetRefs": [{**HERE, "kind": "Gateway"}]}, False),
        ({"targetRefs": [{**HERE, "name": "other"}]}, False),
        ({"targetRefs": [{**HERE, "group": ""}]}, False),
        ({"targetRefs": [{**HERE, "sectionName": "other"}]}, False),
        ({"targetRefs": [{**HERE, "sectionName": "chat"}]}, True),
        ({"targetSelectors": [{"kind": "HTTPRoute", "matchLabels": of_model("chat/assistant")}]},
         True),
        ({"targetSelectors": [{"kind": "HTTPRoute", "matchLabels": {"a": "1"}}]}, False),
        ({"targetSelectors": [{"kind": "Gateway", "matchLabels": {}}]}, False),
        ({}, False),
    ],
)  # fmt: skip
def test_a_policy_governs_what_it_names(spec: dict[str, Any], governs: bool) -> None:
    one = policy("a", **spec)
    assert governing([one], ROUTE, {"name": "chat"}) == ([one] if governs else [])


def test_a_policy_of_another_namespace_governs_nothing() -> None:
    assert governing([policy("a", "search", targetRefs=[HERE])], ROUTE, {}) == []


def test_one_for_a_rule_hides_one_for_the_whole_route() -> None:
    whole = policy("whole", targetRefs=[HERE])
    section = policy("section", targetRefs=[{**HERE, "sectionName": "chat"}])
    assert governing([whole, section], ROUTE, {"name": "chat"}) == [section]
    assert governing([whole, section], ROUTE, {"name": "rest"}) == [whole]
    assert governing([whole, section], ROUTE, {}) == [whole]
