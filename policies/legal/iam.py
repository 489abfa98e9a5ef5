"""The legal policy documents of roles, keys and buckets."""

from __future__ import annotations

from typing import Any, Final

from model_specs.names import CACHE_ACCOUNT, CACHE_NAMESPACE, DATA
from policies.legal.asked import NotAsked, Plain, role_of_job
from policies.legal.shapes import Document, Subject

_VERSION: Final = "2012-10-17"


def _document(*statements: Plain) -> Plain:
    return {"Statement": [*statements], "Version": _VERSION}


def _account(subject: Subject) -> str:
    return subject.facts.profile.account.account_id


def _bucket(subject: Subject) -> str:
    return subject.facts.arn(f"s3:::{subject.facts.profile.registry.bucket}")


def _is_replication(subject: Subject) -> bool:
    return subject.resource.name == "replication"


def _pods(subject: Subject) -> tuple[str, str]:
    """The namespace and the account that a role is for, by its logical name: `*` is any account."""
    kind, _, rest = subject.resource.name.partition("-")
    project, _, job = rest.partition("--")
    if (
        kind == "job"
        and subject.facts.jobs_have_roles
        and subject.facts.job_with_data(project, job)
    ):
        return project, job
    if kind == "reader" and rest == CACHE_NAMESPACE:
        return rest, CACHE_ACCOUNT
    if kind == "reader" and rest in subject.facts.projects:
        return rest, "*"
    raise NotAsked("is for no namespace that reads the registry, and no job with data")


def node_role(subject: Subject) -> str:
    """The name of the nodes' role."""
    return subject.facts.role("isoserve-node")


def replication_role(subject: Subject) -> str:
    """The name of the role by which S3 copies."""
    return f"isoserve.{subject.facts.profile.registry.bucket}.replication"[:64]


def role_name(subject: Subject) -> str:
    """The name of a role: the nodes', the replication's, or a namespace's."""
    if subject.resource.name == "nodes":
        return node_role(subject)
    if _is_replication(subject):
        return replication_role(subject)
    namespace, account = _pods(subject)
    if account in ("*", CACHE_ACCOUNT):
        return subject.facts.role(namespace)
    return role_of_job(subject, namespace, account)


def _trust(subject: Subject) -> Plain:
    suffix = subject.facts.profile.account.partition.dns_suffix
    services = {"nodes": f"ec2.{suffix}", "replication": "s3.amazonaws.com"}
    service = services.get(subject.resource.name)
    if service:
        row = {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": service}}
        return _document(row)
    (namespace, who), issuer = _pods(subject), subject.facts.profile.cluster.oidc_issuer
    provider = subject.facts.arn(f"iam::{_account(subject)}:oidc-provider/{issuer}")
    return _document(
        {
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com"},
                "StringLike": {f"{issuer}:sub": f"system:serviceaccount:{namespace}:{who}"},
            },
            "Effect": "Allow",
            "Principal": {"Federated": provider},
        }
    )


TRUST: Final = Document(_trust)


def _through_s3(subject: Subject, actions: list[str], keys: str, region: str) -> Plain:
    suffix = subject.facts.profile.account.partition.dns_suffix
    hosts = sorted({f"s3.{region}.amazonaws.com", f"s3.{region}.{suffix}"})
    through: Any = hosts[0] if len(hosts) == 1 else hosts
    condition = {"StringEquals": {"kms:ViaService": through}}
    return {"Action": actions, "Condition": condition, "Effect": "Allow", "Resource": keys}


def _use_keys(subject: Subject, actions: list[str]) -> list[Plain]:
    if "kms" not in subject.facts.profile.capabilities:
        return []
    region = subject.facts.profile.account.region
    keys = subject.facts.arn(f"kms:{region}:{_account(subject)}:key/*")
    row = _through_s3(subject, actions, keys, region)
    alias = f"alias/isoserve-{subject.facts.region}-models"
    row["Condition"]["ForAnyValue:StringEquals"] = {"kms:ResourceAliases": alias}
    return [row]


def _folders(subject: Subject) -> tuple[list[str], list[str]]:
    """The prefixes that pods read and list, and those that they write."""
    namespace, account = _pods(subject)
    if namespace == CACHE_NAMESPACE:
        return [""], []
    batch, data = subject.facts.job_with_data(namespace, account), f"{DATA}/{namespace}"
    if batch is None:
        return [f"{namespace}/"], []
    # Whether its pods download the model themselves is for `iam-bounds` and `model-digest` to say.
    own = f"{_bucket(subject)}/{namespace}/*" in str(subject.resource.values.get("policy"))
    reads = [f"{data}/{batch.input}/"] if batch.input else []
    writes = [f"{data}/{batch.output}/"] if batch.output else []
    return [*([f"{namespace}/"] if own else []), *reads], writes


def _using(subject: Subject) -> Plain:
    """What pods may do in the registry, and with its key."""
    reads, writes = _folders(subject)
    bucket = _bucket(subject)
    writing = [
        {
            "Action": ["s3:AbortMultipartUpload", "s3:PutObject"],
            "Effect": "Allow",
            "Resource": f"{bucket}/{prefix}*",
        }
        for prefix in writes
    ]
    actions = ["kms:Decrypt", *(["kms:GenerateDataKey"] if writes else [])]
    reading = [row for prefix in reads for row in _reading(bucket, prefix)]
    return _document(*reading, *writing, *_use_keys(subject, actions))


def _reading(bucket: str, prefix: str) -> list[Plain]:
    objects = {
        "Action": ["s3:GetObject"],
        "Effect": "Allow",
        "Resource": f"{bucket}/{prefix}*",
    }
    listing = {
        "Action": ["s3:ListBucket"],
        "Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}},
        "Effect": "Allow",
        "Resource": bucket,
    }
    return [objects, listing]


def _replicating(subject: Subject) -> Plain:
    bucket, profile = _bucket(subject), subject.facts.profile
    has_keys = "kms" in profile.capabilities
    copies = profile.registry.replicate_to
    read = {
        "Action": [
            "s3:GetObjectVersionAcl",
            "s3:GetObjectVersionForReplication",
            "s3:GetObjectVersionTagging",
            "s3:GetReplicationConfiguration",
            "s3:ListBucket",
        ],
        "Effect": "Allow",
        "Resource": [bucket, f"{bucket}/*"],
    }
    write = {
        "Action": ["s3:ReplicateObject", "s3:ReplicateTags"],
        "Effect": "Allow",
        "Resource": [f"{subject.facts.arn(f's3:::{copy.bucket}')}/*" for copy in copies],
    }
    use = ["kms:Encrypt", "kms:GenerateDataKey"]
    encrypt = [
        _through_s3(subject, use, copy.key_arn, copy.key_arn.split(":")[3])
        for copy in copies
        if copy.key_arn and has_keys
    ]
    return _document(read, write, *_use_keys(subject, ["kms:Decrypt"]), *encrypt)


RIGHTS: Final = Document(
    lambda subject: _replicating(subject) if _is_replication(subject) else _using(subject)
)


def _key(subject: Subject) -> Plain:
    return _document(
        {
            "Action": "kms:*",
            "Effect": "Allow",
            "Principal": {"AWS": subject.facts.arn(f"iam::{_account(subject)}:root")},
            "Resource": "*",
            "Sid": "AccountDecides",
        }
    )


KEY: Final = Document(_key)


def _tls_only(subject: Subject) -> Plain:
    bucket = _bucket(subject)
    return _document(
        {
            "Action": "s3:*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            "Effect": "Deny",
            "Principal": "*",
            "Resource": [bucket, f"{bucket}/*"],
            "Sid": "TlsOnly",
        }
    )


TLS_ONLY: Final = Document(_tls_only)
