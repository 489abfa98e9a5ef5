"""The policy documents of buckets and roles, as plain values."""

from __future__ import annotations

from typing import Any

from regions.plan import GrantPlan, RegistryPlan

Document = dict[str, Any]


def assume(principal: dict[str, Any], action: str, condition: dict[str, Any]) -> Document:
    """A trust policy of one statement."""
    statement = {"Action": action, "Effect": "Allow", "Principal": principal}
    return {"Statement": [statement | condition], "Version": "2012-10-17"}


def assume_from_cluster(plan: RegistryPlan, grant: GrantPlan) -> Document:
    """The trust policy of a role for ServiceAccounts of one namespace (IRSA)."""
    issuer = plan.oidc_issuer
    who = f"system:serviceaccount:{grant.namespace}:{grant.service_account}"
    condition = {
        "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com"},
        "StringLike": {f"{issuer}:sub": who},
    }
    provider = f"arn:{plan.partition}:iam::{plan.account_id}:oidc-provider/{issuer}"
    principal = {"Federated": provider}
    return assume(principal, "sts:AssumeRoleWithWebIdentity", {"Condition": condition})


def bucket_arn(partition: str, bucket: str) -> str:
    """ARN of a bucket of an AWS partition."""
    return f"arn:{partition}:s3:::{bucket}"


def tls_only(plan: RegistryPlan) -> Document:
    """A bucket policy that refuses every request in the clear."""
    arn = bucket_arn(plan.partition, plan.bucket)
    deny = {
        "Action": "s3:*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        "Effect": "Deny",
        "Principal": "*",
        "Resource": [arn, f"{arn}/*"],
        "Sid": "TlsOnly",
    }
    return {"Statement": [deny], "Version": "2012-10-17"}


def account_decides(plan: RegistryPlan) -> Document:
    """The key's policy: IAM of its account decides, so that it can lock nobody out.

    It names no reader, though it could: a principal must exist before a key's policy may name it
    and turns into a dead id when it is deleted, so each new project would change the one key that
    all models rest on, and the key would wait for every project's role.
    """
    whole = {
        "Action": "kms:*",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{plan.partition}:iam::{plan.account_id}:root"},
        "Resource": "*",  # in a key's policy that is the key itself
        "Sid": "AccountDecides",
    }
    return {"Statement": [whole], "Version": "2012-10-17"}


def s3_hosts(region: str, dns_suffix: str) -> str | list[str]:
    """What KMS calls S3 in `kms:ViaService`.

    It is s3.<region>.amazonaws.com by AWS's documentation, which does not say whether other
    partitions have their own suffix there, so these allow both.
    """
    hosts = sorted({f"s3.{region}.amazonaws.com", f"s3.{region}.{dns_suffix}"})
    return hosts[0] if len(hosts) == 1 else hosts


def _through_s3(actions: list[str], keys: str, region: str, dns_suffix: str) -> Document:
    """What a role may do with `keys`, and only while it reads or writes objects of `region`."""
    condition: Document = {"StringEquals": {"kms:ViaService": s3_hosts(region, dns_suffix)}}
    return {"Action": actions, "Condition": condition, "Effect": "Allow", "Resource": keys}


def _use_key(plan: RegistryPlan, actions: list[str]) -> list[Document]:
    """Use of the bucket's key, by its alias: the ARN is known only after the key is made.

    A document with the ARN could not be judged before the first `up`.
    """
    if not plan.kms:
        return []
    keys = f"arn:{plan.partition}:kms:{plan.region}:{plan.account_id}:key/*"
    statement = _through_s3(actions, keys, plan.region, plan.dns_suffix)
    statement["Condition"]["ForAnyValue:StringEquals"] = {"kms:ResourceAliases": plan.key_alias}
    return [statement]


def _reading(arn: str, prefix: str) -> list[Document]:
    """Get and list under `prefix`."""
    objects = {
        "Action": ["s3:GetObject"],
        "Effect": "Allow",
        "Resource": f"{arn}/{prefix}*",
    }
    listing = {
        "Action": ["s3:ListBucket"],
        "Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}},
        "Effect": "Allow",
        "Resource": arn,
    }
    return [objects, listing]


def _writing(arn: str, prefix: str) -> Document:
    """Put under `prefix`, in parts too, and give up an upload that was begun."""
    return {
        "Action": ["s3:AbortMultipartUpload", "s3:PutObject"],
        "Effect": "Allow",
        "Resource": f"{arn}/{prefix}*",
    }


def granted(plan: RegistryPlan, grant: GrantPlan) -> Document:
    """What a role may do in the registry: read, write, and use the key for no more than that.

    Who writes needs both of the key's actions: S3 decrypts the parts of an upload to join them
    (repost.aws/knowledge-center/s3-large-file-encryption-kms-key, read 2026-11-28).
    """
    arn = bucket_arn(plan.partition, plan.bucket)
    reads = [one for prefix in grant.reads for one in _reading(arn, prefix)]
    writes = [_writing(arn, prefix) for prefix in grant.writes]
    actions = ["kms:Decrypt", *(["kms:GenerateDataKey"] if writes else [])]
    return {"Statement": [*reads, *writes, *_use_key(plan, actions)], "Version": "2012-10-17"}


def may_replicate(plan: RegistryPlan) -> Document:
    """What S3 itself needs to copy from the home bucket into the others, key to key."""
    arn = bucket_arn(plan.partition, plan.bucket)
    read = {
        "Action": [
            "s3:GetObjectVersionAcl",
            "s3:GetObjectVersionForReplication",
            "s3:GetObjectVersionTagging",
            "s3:GetReplicationConfiguration",
            "s3:ListBucket",
        ],
        "Effect": "Allow",
        "Resource": [arn, f"{arn}/*"],
    }
    write = {
        "Action": ["s3:ReplicateObject", "s3:ReplicateTags"],
        "Effect": "Allow",
        "Resource": [f"{bucket_arn(plan.partition, copy.bucket)}/*" for copy in plan.replicate_to],
    }
    encrypt = [
        _through_s3(
            ["kms:Encrypt", "kms:GenerateDataKey"],
            copy.key_arn,
            copy.key_arn.split(":")[3],
            plan.dns_suffix,
        )
        for copy in plan.replicate_to
        if copy.key_arn
    ]
    decrypt = _use_key(plan, ["kms:Decrypt"])
    return {"Statement": [read, write, *decrypt, *encrypt], "Version": "2012-10-17"}
