"""What IAM policies allow at S3: as much of the language as roles of the registry speak.

moto 5.2.5 judges no conditions of an identity's policies but those of trust (its access_control.py
says so), and a role that may list one prefix is known by nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
        for statement in _listed(document["Statement"])
        if _matches(_listed(statement.get("Action", ())), action)
        and _matches(_listed(statement.get("Resource", ())), resource)
        and _holds(statement.get("Condition", {}), prefix)
    ]
    return "Allow" in found and "Deny" not in found


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _matches(patterns: Iterable[str], text: str) -> bool:
    """Whether one of IAM's patterns is of the text: `*` is any characters, `?` is one."""
    forms = (re.escape(one).replace(r"\*", ".*").replace(r"\?", ".") for one in patterns)
    return any(re.fullmatch(form, text, re.DOTALL) for form in forms)


def _holds(condition: Mapping[str, Any], prefix: str | None) -> bool:
    """Whether all tests hold; one that is not known here does not."""
    return all(
        test in ("StringEquals", "StringLike")
        and key == PREFIX
        and prefix is not None
        and _matches(_listed(wanted), prefix)
        for test, keys in condition.items()
        for key, wanted in keys.items()
    )
