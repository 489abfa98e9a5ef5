"""Attacks by kind on what is rendered: each is refused by the rule that the tables name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from policies.catalogue import RULES
from policies.facts import Facts
from policies.judge import Finding, judge
from policies.resources import Resource
from tests.policies.attack_additions import ADDITIONS
from tests.policies.attack_changes import CHANGES
from tests.policies.attacks import MANAGED
from tests.policies.cases import setting
from tests.policies.estate import NO_WAIVERS, REGION, added, changed, facts, good, named

_PROVIDERS = {"aws": "account", "kubernetes": "cluster"}


@cache
def _facts() -> Facts:
    return facts()


def _findings(resources: Iterable[Resource]) -> tuple[Finding, ...]:
    return judge(tuple(resources), _facts(), RULES, NO_WAIVERS).findings


def _thing(what: str, fields: dict[str, Any]) -> Resource:
    """An addition as its row says it, labelled as isoserve would and through our provider."""
    first, *kind, last = what.split()
    if not kind:
        provider = _PROVIDERS.get(first.partition(":")[0], "")
        return Resource(first, last, fields, protected=False, provider=provider)
    namespace, _, name = last.rpartition("/")
    labels = {**MANAGED, "isoserve.dev/project": namespace or "search"}
    metadata = {"name": name, "labels": labels} | ({"namespace": namespace} if namespace else {})
    return added({"apiVersion": first, "kind": kind[0], "metadata": metadata, **fields})


def refused_by(label: str, instead: Resource | None) -> set[str]:
    """The rules that refuse `instead` in the place of a good resource, or that it is gone."""
    others = [one for one in good(REGION) if str(one) != label]
    found = _findings(others if instead is None else [*others, instead])
    failed = [str(one) for one in found if "the rule failed" in str(one)]
    assert not failed, "refused, but by a rule that fell over: it helps nobody to mend the object"
    return {one.rule for one in found}


@pytest.mark.parametrize("kind", CHANGES)
def test_every_change_of_a_kind_is_refused(kind: str) -> None:
    for label, path, value, rule in CHANGES[kind]:
        instead = changed(named(label), setting(path, value)) if path else None
        assert rule in refused_by(label, instead), f"{label}: {path} = {value}"


@pytest.mark.parametrize("kind", ADDITIONS)
def test_every_addition_of_a_kind_is_refused(kind: str) -> None:
    for what, fields, rule in ADDITIONS[kind]:
        thing = _thing(what, fields)
        assert rule in refused_by(str(thing), thing), what


def test_a_thing_of_another_type_than_it_says_is_refused() -> None:
    for label, type_ in (
        ("ConfigMap search/prober", "kubernetes:core/v1:Service"),
        ("Deployment search/sentiment", "kubernetes:core/v1:ConfigMap"),
        ("Deployment search/sentiment", "kubernetes:apps.example/v1:Deployment"),
        ("Role chat/project-admin", "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"),
        ("Deployment search/sentiment", "kubernetes:apps/v1:DeploymentList"),
        ("aws:s3/bucket:Bucket models", "aws:s3/bucketV2:BucketV2"),
        ("aws:iam/role:Role nodes", "aws:iam/user:User"),
    ):
        other = dataclasses.replace(named(label), type=type_)
        assert "known-kinds" in refused_by(label, other), f"{label} as {type_}"


def test_only_a_node_is_registered_as_a_patch_of_what_is_there() -> None:
    region = "sandbox-onprem"
    (node, *_) = [one for one in good(region) if one.kind == "Node"]
    patch = dataclasses.replace(node, type=f"{node.type}Patch")
    others = [one for one in good(region) if one is not node]
    assert judge([*others, patch], facts(region), RULES, NO_WAIVERS).findings == ()
    server = named("Deployment search/sentiment")
    other = dataclasses.replace(server, type=f"{server.type}Patch")
    assert "known-kinds" in refused_by(str(server), other)


def test_the_tables_hold_the_attacks_of_every_kind_with_two_siblings_at_least() -> None:
    for kind, rows in (*CHANGES.items(), *ADDITIONS.items()):
        assert len(rows) >= 3, kind
        assert len({repr(row) for row in rows}) == len(rows), f"{kind}: a row twice proves nothing"
