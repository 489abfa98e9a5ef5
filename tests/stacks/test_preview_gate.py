"""What holds state is not deleted because a program forgot it: the steps of a preview are read."""

from __future__ import annotations

import pytest

from stacks.preview_gate import PreviewStep, Refusal, refusals

BUCKET = "aws:s3/bucket:Bucket"
KEY = "aws:kms/key:Key"
GROUP = "aws:eks/nodeGroup:NodeGroup"
SPACE = "kubernetes:core/v1:Namespace"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
SERVER = "kubernetes:apps/v1:Deployment"
NOBODY: frozenset[tuple[str, str, str]] = frozenset()


def gate(
    operation: str,
    kind: str,
    protect: bool = False,
    asked: frozenset[tuple[str, str, str]] = NOBODY,
) -> list[Refusal]:
    return list(refusals([PreviewStep(operation, kind, "search/thing", protect)], asked))


@pytest.mark.parametrize("kind", [BUCKET, "aws:s3/bucketV2:BucketV2", KEY, GROUP, SPACE, CLAIM])
@pytest.mark.parametrize(
    "operation", ["delete", "replace", "create-replacement", "delete-replaced", "discard"]
)
def test_what_holds_state_is_neither_deleted_nor_replaced(kind: str, operation: str) -> None:
    found = gate(operation, kind)
    assert [row.is_final for row in found] == [True], "nothing in the specs asked for it"


@pytest.mark.parametrize("operation", ["delete", "replace"])
def test_what_the_state_protects_is_refused_whatever_it_is(operation: str) -> None:
    found = gate(operation, "aws:s3/bucketPolicy:BucketPolicy", protect=True)
    assert [row.is_final for row in found] == [True], (
        "a program that drops `protect` and replaces passes `up`"
    )


@pytest.mark.parametrize("kind", [BUCKET, KEY])
def test_no_spec_can_ask_for_the_models_to_go(kind: str) -> None:
    asked = frozenset({("delete", kind.rsplit(":", 1)[1], "search/thing")})
    assert gate("delete", kind, asked=asked)[0].is_final, "undoing protection is a human's act"


def test_what_the_specs_ask_for_waits_for_a_person() -> None:
    asked = frozenset({("delete", "Namespace", "search/thing")})
    assert not gate("delete", SPACE, asked=asked)[0].is_final, "a project that goes must be able to"
    assert gate("replace", SPACE, asked=asked)[0].is_final, "they asked for something else"


@pytest.mark.parametrize("operation", ["same", "create", "update", "read", "refresh", "import"])
def test_what_keeps_a_thing_passes(operation: str) -> None:
    assert not gate(operation, BUCKET, protect=True), "a gate that cries wolf is taken down"


def test_servers_may_be_replaced() -> None:
    assert not gate("replace", SERVER), "pods hold nothing; the review flags the outage"


def test_an_unknown_operation_counts_as_the_worst() -> None:
    assert gate("obliterate", SPACE), "a newer engine must not slip through"


def test_the_halves_of_a_replacement_are_each_named_once() -> None:
    step = PreviewStep("replace", SPACE, "search", False)
    assert len(list(refusals([step, step], NOBODY))) == 1, "one step, one refusal"
