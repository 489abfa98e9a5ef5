"""Reads AWS policy documents, JSON in a string, whatever short forms their statements use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

Block = Mapping[str, Any]

_KEYS: Final = frozenset({"Action", "Condition", "Effect", "Principal", "Resource", "Sid"})


def listed(value: Any) -> list[Any]:
    """AWS takes one value for a list of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def is_on(value: Any) -> bool:
    """Some of the provider's flags are booleans, some are words."""
    return value is True or value == "true"


def statements(document: Any) -> list[Block]:
    """The statements of a document, none where it has none. Raises for what is no JSON."""
    found = {} if document is None else json.loads(document)
    return listed(found.get("Statement")) if isinstance(found, dict) else []


def allowing(document: Any) -> list[Block]:
    """Statements that grant something: all that do not plainly deny."""
    return [one for one in statements(document) if one.get("Effect") != "Deny"]


def principals(statement: Block) -> list[str]:
    """Who a statement is about; `*` is everyone."""
    who = statement.get("Principal")
    groups = who.values() if isinstance(who, Mapping) else [who]
    return [str(one) for group in groups for one in listed(group)]


def faults_of_form(document: Any) -> Iterator[str]:
    """What makes a statement mean more than it says, such as NotAction."""
    found = statements(document)
    if not found:
        yield "has a policy without a statement"
    for statement in found:
        if statement.get("Effect") not in ("Allow", "Deny"):
            yield f"has a statement whose effect is {statement.get('Effect')!r}"
        for key in sorted(statement.keys() - _KEYS):
            yield f"has a statement with {key}, which says less than it does"


def faults_of_people(document: Any, partition: str, account_id: str) -> Iterator[tuple[str, str]]:
    """Whom a document lets in beside roles of its own account, and the cure."""
    for why in faults_of_form(document):
        yield why, "say plainly what is allowed, and to whom"
    for statement in allowing(document):
        if not principals(statement):
            yield "allows without saying whom", "name the account or its roles"
        for who in principals(statement):
            if not who.startswith(f"arn:{partition}:iam::{account_id}:"):
                yield f"lets in {who!r}", f"name roles of {account_id} only"
