"""ModelRegistry: the region's bucket of models, which nothing here can delete or make public."""

from __future__ import annotations

from typing import Any, Final

import pulumi
from pulumi_aws import Provider, iam, kms, s3

from components.aws import assume
from regions.plan import ReaderPlan, RegistryPlan

_ABORT_DAYS: Final = 7
_OLD_VERSION_DAYS: Final = 90
_KEY_WINDOW_DAYS: Final = 30


def _arn(bucket: str) -> str:
    return f"arn:aws:s3:::{bucket}"


def _tls_only(bucket: str) -> dict[str, Any]:
    """A bucket policy that refuses every request in the clear."""
    deny = {
        "Action": "s3:*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        "Effect": "Deny",
        "Principal": "*",
        "Resource": [_arn(bucket), f"{_arn(bucket)}/*"],
        "Sid": "TlsOnly",
    }
    return {"Statement": [deny], "Version": "2012-10-17"}


def _may_read(bucket: str, prefix: str, key: pulumi.Input[str] | None) -> dict[str, Any]:
    """Get and list under `prefix`, and decrypt with the bucket's key."""
    objects = {
        "Action": ["s3:GetObject"],
        "Effect": "Allow",
        "Resource": f"{_arn(bucket)}/{prefix}*",
    }
    listing = {
        "Action": ["s3:ListBucket"],
        "Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}},
        "Effect": "Allow",
        "Resource": _arn(bucket),
    }
    decrypt = {"Action": ["kms:Decrypt"], "Effect": "Allow", "Resource": key}
    statements = [objects, listing, *([decrypt] if key is not None else [])]
    return {"Statement": statements, "Version": "2012-10-17"}


class ModelRegistry(pulumi.ComponentResource):
    """Bucket, key, policies, lifecycle, replication from the home region, and reader roles."""

    def __init__(self, plan: RegistryPlan, aws: Provider) -> None:
        options = pulumi.ResourceOptions(providers={"aws": aws})
        super().__init__("isoserve:index:ModelRegistry", "models", None, options)
        self.below = pulumi.ResourceOptions(parent=self)
        self.plan = plan
        # What holds data is kept whatever happens to the stack; undoing that is a human's act.
        kept = pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True)
        self.key = self._key(kept) if plan.kms else None
        self.bucket = s3.Bucket("models", bucket=plan.bucket, opts=kept)
        self._bounds()
        versioned = self._versioning()
        if plan.replicate_to:
            self._replication(versioned)
        for reader in plan.readers:
            self._reader(reader)
        self.register_outputs({})

    def _key(self, kept: pulumi.ResourceOptions) -> kms.Key:
        key = kms.Key(
            "models",
            description="isoserve: encrypts the model registry",
            deletion_window_in_days=_KEY_WINDOW_DAYS,
            enable_key_rotation=True,
            opts=kept,
        )
        kms.Alias("models", name="alias/isoserve-models", target_key_id=key.key_id, opts=self.below)
        return key

    def _bounds(self) -> None:
        """Nobody outside, nothing in the clear, no forgotten parts, old versions for 90 days."""
        bucket, below = self.bucket.id, self.below
        walls = s3.BucketPublicAccessBlock(
            "models",
            bucket=bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=below,
        )
        owner = s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced")
        s3.BucketOwnershipControls("models", bucket=bucket, rule=owner, opts=below)
        s3.BucketPolicy(
            "models",
            bucket=bucket,
            policy=pulumi.Output.json_dumps(_tls_only(self.plan.bucket)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[walls]),
        )
        by_default = (
            s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                kms_master_key_id=self.key.arn if self.key else None,
                sse_algorithm="aws:kms" if self.key else "AES256",
            )
        )
        rule = s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=by_default, bucket_key_enabled=bool(self.key)
        )
        s3.BucketServerSideEncryptionConfiguration(
            "models", bucket=bucket, rules=[rule], opts=below
        )
        abort = s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=_ABORT_DAYS
        )
        old = s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=_OLD_VERSION_DAYS
        )
        whole = s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="")
        tidy = s3.BucketLifecycleConfigurationRuleArgs(
            id="tidy",
            status="Enabled",
            filter=whole,
            abort_incomplete_multipart_upload=abort,
            noncurrent_version_expiration=old,
        )
        s3.BucketLifecycleConfiguration("models", bucket=bucket, rules=[tidy], opts=below)

    def _versioning(self) -> s3.BucketVersioning:
        enabled = s3.BucketVersioningVersioningConfigurationArgs(status="Enabled")
        return s3.BucketVersioning(
            "models", bucket=self.bucket.id, versioning_configuration=enabled, opts=self.below
        )

    def _replication(self, versioned: s3.BucketVersioning) -> None:
        """The home region copies every new object to the others; old ones need a batch job."""
        plan = self.plan
        role = iam.Role(
            "replication",
            name=f"isoserve.{plan.bucket}.replication"[:64],
            assume_role_policy=pulumi.Output.json_dumps(
                assume({"Service": "s3.amazonaws.com"}, "sts:AssumeRole", {})
            ),
            opts=self.below,
        )
        read = {
            "Action": [
                "s3:GetObjectVersionForReplication",
                "s3:GetObjectVersionTagging",
                "s3:GetReplicationConfiguration",
                "s3:ListBucket",
            ],
            "Effect": "Allow",
            "Resource": [_arn(plan.bucket), f"{_arn(plan.bucket)}/*"],
        }
        write = {
            "Action": ["s3:ReplicateObject", "s3:ReplicateTags"],
            "Effect": "Allow",
            "Resource": [f"{_arn(bucket)}/*" for _, bucket in plan.replicate_to],
        }
        iam.RolePolicy(
            "replication",
            role=role.name,
            policy=pulumi.Output.json_dumps({"Statement": [read, write], "Version": "2012-10-17"}),
            opts=self.below,
        )
        s3.BucketReplicationConfig(
            "models",
            bucket=self.bucket.id,
            role=role.arn,
            rules=[
                s3.BucketReplicationConfigRuleArgs(
                    id=region,
                    priority=priority,
                    status="Enabled",
                    filter=s3.BucketReplicationConfigRuleFilterArgs(prefix=""),
                    # A deletion at home must not empty the other regions.
                    delete_marker_replication=(
                        s3.BucketReplicationConfigRuleDeleteMarkerReplicationArgs(status="Disabled")
                    ),
                    destination=s3.BucketReplicationConfigRuleDestinationArgs(bucket=_arn(bucket)),
                )
                for priority, (region, bucket) in enumerate(plan.replicate_to)
            ],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioned]),
        )

    def _reader(self, reader: ReaderPlan) -> None:
        """A role for ServiceAccounts of one namespace, bound to one prefix."""
        plan, issuer = self.plan, self.plan.oidc_issuer
        who = f"system:serviceaccount:{reader.namespace}:{reader.service_account}"
        condition = {
            "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com"},
            "StringLike": {f"{issuer}:sub": who},
        }
        principal = {"Federated": f"arn:aws:iam::{plan.account_id}:oidc-provider/{issuer}"}
        trust = assume(principal, "sts:AssumeRoleWithWebIdentity", {"Condition": condition})
        name = f"reader-{reader.namespace}"
        role = iam.Role(
            name,
            name=reader.role,
            assume_role_policy=pulumi.Output.json_dumps(trust),
            opts=self.below,
        )
        allowed = _may_read(plan.bucket, reader.prefix, self.key.arn if self.key else None)
        iam.RolePolicy(
            name, role=role.name, policy=pulumi.Output.json_dumps(allowed), opts=self.below
        )
