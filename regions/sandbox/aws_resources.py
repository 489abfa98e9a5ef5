"""What one AWS resource type of the substitute consists of: a row, never a branch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from regions.sandbox.aws_session import Aws, Props


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One type: what its life consists of, as functions over boto3.

    `create` returns the id and adopts what exists under the same name: a killed `up` leaves such,
    and the sandbox's world is its own. The real plugin would refuse.
    `read` returns what AWS tells (under AWS's or Pulumi's names) and the computed outputs;
    None when the resource is gone.
    """

    create: Callable[[Aws, Props], str]
    read: Callable[[Aws, str, Props], tuple[Props, Props] | None]
    update: Callable[[Aws, str, Props, Props], None]
    delete: Callable[[Aws, str, Props], None]
    name_input: str | None = None
    """The input that gets a generated name when the program gives none."""
    replace_on: frozenset[str] = field(default_factory=frozenset)
    """Paths whose change can't be made in place."""
    volatile: frozenset[str] = field(default_factory=frozenset)
    """Computed outputs that an update changes: unknown in its preview."""


def is_absent(error: ClientError) -> bool:
    """Whether the error says that the thing doesn't exist."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code == "404" or "NoSuch" in code or "NotFound" in code


def exists_already(error: ClientError) -> bool:
    """Whether the error says that the name is taken."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return "Already" in code or code == "ResourceInUseException"


def or_none(call: Callable[[], Any]) -> Any:
    """The call's answer; None when what it asks for doesn't exist."""
    try:
        return call()
    except ClientError as error:
        if is_absent(error):
            return None
        raise


def or_adopt(create: Callable[[], Any], adopt: Callable[[], Any]) -> Any:
    """Create; when the name is taken, take over what is there."""
    try:
        return create()
    except ClientError as error:
        if exists_already(error):
            return adopt()
        raise
