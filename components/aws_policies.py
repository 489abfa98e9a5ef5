"""The policy documents of buckets and roles, as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from regions.plan import ReaderPlan

Document = dict[str, Any]


def assume(principal: dict[str, Any], action: str, condition: dict[str, Any]) -> Document:
    """A trust policy of one statement."""
    statement = {"Action": action, "Effect": "Allow", "Principal": principal}
    return {"Statement": [statement | condition], "Version": "2012-10-17"}


def assume_from_cluster(account_id: str, issuer: str, reader: ReaderPlan) -> Document:
    """The trust policy of a role for ServiceAccounts of one namespace (IRSA)."""
    who = f"system:serviceaccount:{reader.namespace}:{reader.service_account}"
    condition = {
        "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com"},
        "StringLike": {f"{issuer}:sub": who},
    }
    principal = {"Federated": f"arn:aws:iam::{account_id}:oidc-provider/{issuer}"}
    return assume(principal, "sts:AssumeRoleWithWebIdentity", {"Condition": condition})


def bucket_arn(bucket: str) -> str:
    """ARN of a bucket."""
    return f"arn:aws:s3:::{bucket}"


def tls_only(bucket: str) -> Document:
    """A bucket policy that refuses every request in the clear."""
    deny = {
        "Action": "s3:*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        "Effect": "Deny",
        "Principal": "*",
        "Resource": [bucket_arn(bucket), f"{bucket_arn(bucket)}/*"],
        "Sid": "TlsOnly",
    }
    return {"Statement": [deny], "Version": "2012-10-17"}


def may_read(bucket: str, prefix: str, key: Any) -> Document:
    """Get and list under `prefix`, and decrypt with the bucket's `key` (an ARN) if it has one."""
    objects = {
        "Action": ["s3:GetObject"],
        "Effect": "Allow",
        "Resource": f"{bucket_arn(bucket)}/{prefix}*",
    }
    listing = {
        "Action": ["s3:ListBucket"],
        "Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}},
        "Effect": "Allow",
        "Resource": bucket_arn(bucket),
    }
    decrypt = {"Action": ["kms:Decrypt"], "Effect": "Allow", "Resource": key}
    statements = [objects, listing, *([decrypt] if key is not None else [])]
    return {"Statement": statements, "Version": "2012-10-17"}


def may_replicate(source: str, targets: Iterable[str]) -> Document:
    """What S3 itself needs to copy from the home bucket into the others."""
    read = {
        "Action": [
            "s3:GetObjectVersionForReplication",
            "s3:GetObjectVersionTagging",
            "s3:GetReplicationConfiguration",
            "s3:ListBucket",
        ],
        "Effect": "Allow",
        "Resource": [bucket_arn(source), f"{bucket_arn(source)}/*"],
    }
    write = {
        "Action": ["s3:ReplicateObject", "s3:ReplicateTags"],
        "Effect": "Allow",
        "Resource": [f"{bucket_arn(bucket)}/*" for bucket in targets],
    }
    return {"Statement": [read, write], "Version": "2012-10-17"}
