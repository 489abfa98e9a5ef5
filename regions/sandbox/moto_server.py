"""`python -m regions.sandbox.moto_server ...`: moto's server, with bucket policies read right.

moto 5.2.5 passes over the `Condition` of a bucket policy's statement, so "deny what comes without
TLS" denies everything. Here a statement that asks how the request came is left out: what stays on
this machine's loopback counts as protected. Everything else of a policy is moto's to judge.
"""

from __future__ import annotations

import json
from typing import Any, Final

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket
from moto.server import main

_TRANSPORT: Final = ("aws:SecureTransport", "s3:TlsVersion")


def _asks_for_transport(statement: dict[str, Any]) -> bool:
    tests = statement.get("Condition", {}).values()
    return any(key in _TRANSPORT for test in tests for key in test)


def permission(bucket: Any, action: str, resource: str) -> Any:
    """What the bucket's policy says to an action on a resource, by moto's own judgement."""
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    document = json.loads(bucket.policy)
    kept = [one for one in document["Statement"] if not _asks_for_transport(one)]
    policy = IAMPolicy(json.dumps({**document, "Statement": kept}))
    return policy.is_action_permitted(action, resource)


if __name__ == "__main__":
    FakeBucket.get_permission = permission  # type: ignore[method-assign,assignment]
    main()
