"""`python -m regions.sandbox.moto_server ...`: moto's server, with S3's rights read right.

moto 5.2.5 passes over the `Condition` of a bucket policy's statement, so "deny what comes without
TLS" denies everything. Here a statement that asks how the request came is left out: what stays on
this machine's loopback counts as protected. Everything else of a policy is moto's to judge.

moto asks nobody for rights, or else everybody, and then reads no condition. Here S3 asks what the
credentials of a role or a user may do; the sandbox's own keys, which moto does not know, may all.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from moto.iam.access_control import (
    CreateAccessKeyFailure,
    IAMPolicy,
    PermissionResult,
    create_access_key,
)
from moto.iam.exceptions import NotFoundException
from moto.s3.exceptions import S3AccessDeniedError
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response
from moto.server import main
from moto.utilities.utils import get_partition

from regions.sandbox.s3_rights import action_of, allows

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


def _documents(request: Any) -> list[dict[str, Any]] | None:
    """The policies of who asks; None for the sandbox's own keys and for no keys at all."""
    credential = str(request.headers.get("Authorization", "")).partition("Credential=")[2]
    try:
        key = create_access_key(
            account_id=request.current_account,
            partition=get_partition(request.region),
            access_key_id=credential.partition("/")[0],
            headers=request.headers,
        )
        return [IAMPolicy(policy)._policy_json for policy in key.collect_policies()]
    except CreateAccessKeyFailure:
        return None
    except NotFoundException:
        return []  # of a role that is not made yet


def authorize(request: Any, bucket_name: str | None = None, key_name: str | None = None) -> None:
    """Refuse what the credentials of a request do not allow. Raises S3AccessDeniedError."""
    documents = _documents(request)
    if documents is None:
        return
    # Not moto's `querystring`, which has headers in it.
    query = parse_qs(urlsplit(request.uri).query, keep_blank_values=True)
    action = action_of(request.method, key_name or "", query)
    path = f"{bucket_name}/{key_name}" if key_name else bucket_name or "*"
    (prefix,) = query.get("prefix", [None])
    resource = f"arn:{get_partition(request.region)}:s3:::{path}"
    if not allows(documents, action, resource, prefix):
        raise S3AccessDeniedError


if __name__ == "__main__":
    S3Response._authenticate_and_authorize_s3_action = (  # type: ignore[method-assign]
        authorize  # type: ignore[assignment]
    )
    FakeBucket.get_permission = permission  # type: ignore[method-assign,assignment]
    main()
