"""Resources say whose they are, and a value that is not known yet cannot be taken for good."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from policies.resources import NotKnown, Resource, Unknown
from tests.policies.estate import named

USES: dict[str, Callable[[Any], object]] = {
    "equals": lambda value: value == "aws:kms",
    "differs": lambda value: value != "",
    "contains": lambda value: "*" in value,
    "starts": lambda value: value.startswith("arn:"),
    "indexes": lambda value: value["Statement"],
    "iterates": lambda value: list(value),
    "measures": lambda value: len(value),
    "prints": lambda value: f"{value}",
    "parses": json.loads,
    "is of a type": lambda value: isinstance(value, str),
    "orders": lambda value: value > 3,
    "is in a table": lambda value: {"a": 1}.get(value),
}


@pytest.mark.parametrize("use", USES)
def test_a_rule_that_needs_an_unknown_value_cannot_go_on(use: str) -> None:
    with pytest.raises(NotKnown, match=r"rule\.kmsKey is not known"):
        USES[use](Unknown("rule.kmsKey"))


def test_that_an_unknown_value_is_there_can_be_seen() -> None:
    assert Unknown("key"), "a key that is made in the same run is a key"


def test_an_object_is_called_as_people_call_it() -> None:
    assert str(named("Deployment search/embedder")) == "Deployment search/embedder"
    assert named("Deployment search/embedder").model == "search/embedder"
    assert named("Namespace search").namespace == ""
    assert named("Namespace search").project == "search"


def test_a_patch_of_an_object_is_of_the_objects_kind() -> None:
    node = Resource("kubernetes:core/v1:NodePatch", "gpu-01", {}, False, "cluster")
    assert node.kind == "Node"


def test_what_is_no_object_has_no_metadata() -> None:
    bucket = Resource(
        "aws:s3/bucket:Bucket", "models", {"metadata": {"labels": {"a": "b"}}}, True, "account"
    )
    assert (bucket.kind, bucket.labels) == ("aws:s3/bucket:Bucket", {}), "it is an AWS input"
