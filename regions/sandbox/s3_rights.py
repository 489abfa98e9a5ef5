"""What IAM policies allow at S3: as much of the language as roles of the registry speak.

moto 5.2.5 judges no conditions of an identity's policies but those of trust (its access_control.py
says so), and a role that may list one prefix is known by nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

PREFIX: Final = "s3:prefix"
_OF_KEYS: Final = {
    "DELETE": "s3:DeleteObject",
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "POST": "s3:PutObject",
    "PUT": "s3:PutObject",
}


def action_of(method: str, key: str, query: Mapping[str, Any]) -> str:
    """The action of a request at a bucket (no `key`) or at an object.

    What is asked of a bucket beside its listing is an action that no pod has.
    """
    if key:
        gives_up = method == "DELETE" and "uploadId" in query
        return "s3:AbortMultipartUpload" if gives_up else _OF_KEYS.get(method, f"s3:{method}")
    listing = {"", "delimiter", "list-type", "max-keys", "prefix", "start-after"}
    listing |= {"continuation-token", "encoding-type", "fetch-owner", "marker"}
    lists = method in ("GET", "HEAD") and {*query} <= listing
    return "s3:ListBucket" if lists else f"s3:{method}Bucket"


def allows(
    documents: Iterable[Mapping[str, Any]], action: str, resource: str, prefix: str | None
) -> bool:
    """Whether a statement allows it and none denies it; `prefix` is what a listing asks for."""
    found = [
        statement["Effect"]
        for document in documents
        for statement in listed(document["Statement"])
        if matches(listed(statement.get("Action", ())), action)
        and matches(listed(statement.get("Resource", ())), resource)
        and holds(statement, {PREFIX: prefix})
    ]
    return "Allow" in found and "Deny" not in found


def listed(value: Any) -> list[Any]:
    """A policy's value as a list: one alone may stand without."""
    return list(value) if isinstance(value, list | tuple) else [value]


def matches(patterns: Iterable[str], text: str) -> bool:
    """Whether one of IAM's patterns is of the text: `*` is any characters, `?` is one."""
    forms = (re.escape(one).replace(r"\*", ".*").replace(r"\?", ".") for one in patterns)
    return any(re.fullmatch(form, text, re.DOTALL) for form in forms)


def holds(statement: Mapping[str, Any], known: Mapping[str, str | None]) -> bool:
    """Whether all tests of a statement's conditions hold, for the values that are known by key.

    A test that is not known here holds where it denies, and does not where it allows.
    """
    unknown = statement["Effect"] == "Deny"
    return all(
        _passes(test, listed(wanted), known[key]) if test in _TESTS and key in known else unknown
        for test, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _passes(test: str, wanted: list[str], value: str | None) -> bool:
    return value is not None and _TESTS[test](wanted, value)


_TESTS: Final[Mapping[str, Callable[[list[str], str], bool]]] = {
    "StringEquals": lambda wanted, value: value in wanted,
    "StringLike": matches,
}
