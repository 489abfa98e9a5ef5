"""`python -m regions.sandbox.moto_server ...`: moto's server, with S3's rights read right.

moto 5.2.5 passes over the `Condition` of a bucket policy's statement, so "deny what comes without
TLS" denies everything. Here a statement that asks how the request came is left out: what stays on
this machine's loopback counts as protected. Everything else of a policy is moto's to judge.

moto asks nobody for rights, or else everybody, and then reads no condition. Here S3 asks what the
credentials of a role or a user may do; the sandbox's own keys, which moto does not know, may all.

moto gives a role to whoever asks with a web identity. Here the token must be of a region's API
server and the role must trust its account. obstore asks STS in the URL, where moto looks for no
action and takes it for a question to S3: here the host's name decides.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from moto.iam.access_control import (
    CreateAccessKeyFailure,
    IAMPolicy,
    PermissionResult,
    create_access_key,
)
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.s3.exceptions import S3AccessDeniedError
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response
from moto.server import main
from moto.sts.exceptions import STSClientError
from moto.sts.responses import TokenResponse
from moto.utilities.utils import get_partition

from regions.sandbox.control_plane import issuer_of
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import connect
from regions.sandbox.layout import AWS_REGIONS, kubeconfig_of
from regions.sandbox.s3_rights import action_of, allows
from regions.sandbox.web_identity import ACTION, subject_of, trusts

_STS: Final = r"sts\.([a-z0-9-]+\.)?amazonaws\.com"
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
    path = f"{bucket_name}/{key_name}" if key_name else bucket_name or "*"
    (prefix,) = query.get("prefix", [None])
    asked = [(action_of(request.method, key_name or "", query), path)]
    if source := str(request.headers.get("x-amz-copy-source", "")):
        # Who copies reads there, by a version of it too.
        asked.append(("s3:GetObject", unquote(source.partition("?")[0]).lstrip("/")))
    for action, path in asked:
        resource = f"arn:{get_partition(request.region)}:s3:::{path}"
        if not allows(documents, action, resource, prefix):
            raise S3AccessDeniedError


def has_bucket_in_host(request: Any) -> bool:
    """Whether the bucket is part of the host's name, as it may be of AWS's own names alone.

    moto takes every other name for a bucket's too, unless it is told never to.
    """
    host = str(request.headers.get("Host", "")).partition(":")[0]
    return host.endswith(".amazonaws.com") and not host.startswith("s3.")


_host: Final = DomainDispatcherApplication.infer_service_region_host


def asked_host(server: DomainDispatcherApplication, environ: dict[str, Any], path: str) -> Any:
    """The name of AWS's by which moto finds the service of a request."""
    host = str(environ.get("HTTP_HOST", ""))
    return host if re.fullmatch(_STS, host) else _host(server, environ, path)


def judge(role: str, token: str, account_id: str, partition: str) -> None:
    """Whether the token's account may take on the role. Raises STSClientError, as STS would."""
    try:
        found = iam_backends[account_id][partition].get_role_by_arn(role)
        document = json.loads(found.assume_role_policy_document)
    except NotFoundException:
        document = {}  # it may be made later; STS does not say that it is missing
    for region in AWS_REGIONS:
        try:
            subject = subject_of(connect(region, kubeconfig_of(region)), token)
        except SandboxError as reason:
            raise STSClientError("IDPCommunicationError", str(reason)) from reason
        if subject and trusts(document, issuer_of(region), subject):
            return
        if subject:
            raise STSClientError(
                "AccessDenied", f"{subject} is not authorized to perform: {ACTION}"
            )
    raise STSClientError("InvalidIdentityToken", "no region's API server knows this token for AWS")


_assume: Final = TokenResponse.assume_role_with_web_identity


def assume(asked: TokenResponse) -> Any:
    """moto's answer to AssumeRoleWithWebIdentity, once it is judged. Raises STSClientError."""
    role, token = asked._get_param("RoleArn"), asked._get_param("WebIdentityToken")
    judge(role, token, asked.current_account, asked.partition)
    return _assume(asked)


if __name__ == "__main__":
    S3Response.subdomain_based_buckets = staticmethod(  # type: ignore[method-assign]
        has_bucket_in_host
    )
    DomainDispatcherApplication.infer_service_region_host = (  # type: ignore[method-assign]
        asked_host  # type: ignore[assignment]
    )
    TokenResponse.assume_role_with_web_identity = (  # type: ignore[method-assign]
        assume  # type: ignore[assignment]
    )
    S3Response._authenticate_and_authorize_s3_action = (  # type: ignore[method-assign]
        authorize  # type: ignore[assignment]
    )
    FakeBucket.get_permission = permission  # type: ignore[method-assign,assignment]
    main()
