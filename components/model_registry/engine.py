"""ModelRegistry: the region's bucket of models, which nothing here can delete or make public."""

from __future__ import annotations

import json
from typing import Final

import pulumi
from pulumi_aws import Provider, kms, s3

from components.aws_policies import account_decides, tls_only
from components.model_registry.aws import make, replicate
from regions.plan import RegistryPlan

_ABORT_DAYS: Final = 7
_OLD_VERSION_DAYS: Final = 90
_KEY_WINDOW_DAYS: Final = 30


class ModelRegistry(pulumi.ComponentResource):
    """Bucket, key, policies, lifecycle, replication from the home region, and reader roles."""

    def __init__(self, plan: RegistryPlan, aws: Provider) -> None:
        options = pulumi.ResourceOptions(providers={"aws": aws})
        super().__init__("isoserve:index:ModelRegistry", "models", None, options)
        self.plan = plan
        # What holds data is kept whatever happens to the stack, and its bounds with it: a refused
        # `destroy --target-dependents` would still strip a bucket of its walls. Undoing that is a
        # human's act.
        self.kept = pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True)
        self.key = self._key() if plan.kms else None
        self.bucket = s3.Bucket("models", bucket=plan.bucket, opts=self.kept)
        # The name and not the id: a preview of the first `up` knows it, and rules can judge it.
        self.named = self.bucket.bucket
        self._tls(self._walls() if plan.access_control else [])
        self._encryption()
        self._lifecycle()
        versioned = self._versioning()
        below = pulumi.ResourceOptions(parent=self)
        if plan.replicate_to:
            replicate(plan, versioned, below, self.kept)
        self.readers = {grant.role: make(plan, grant, below) for grant in plan.grants}
        self.register_outputs({})

    def _key(self) -> kms.Key:
        key = kms.Key(
            "models",
            description="isoserve: encrypts the model registry",
            deletion_window_in_days=_KEY_WINDOW_DAYS,
            enable_key_rotation=True,
            is_enabled=True,
            policy=json.dumps(account_decides(self.plan)),
            opts=self.kept,
        )
        kms.Alias("models", name=self.plan.key_alias, target_key_id=key.key_id, opts=self.kept)
        return key

    def _walls(self) -> list[pulumi.Resource]:
        """Nobody outside, and one owner."""
        bucket, kept = self.named, self.kept
        owner = s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced")
        return [
            s3.BucketPublicAccessBlock(
                "models",
                bucket=bucket,
                block_public_acls=True,
                block_public_policy=True,
                ignore_public_acls=True,
                restrict_public_buckets=True,
                opts=kept,
            ),
            s3.BucketOwnershipControls("models", bucket=bucket, rule=owner, opts=kept),
        ]

    def _tls(self, walls: list[pulumi.Resource]) -> None:
        """Nothing in the clear. After the walls: a policy is refused while they are put up."""
        s3.BucketPolicy(
            "models",
            bucket=self.named,
            policy=json.dumps(tls_only(self.plan)),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=walls, protect=True, retain_on_delete=True
            ),
        )

    def _encryption(self) -> None:
        """Our key where the store has keys, else the store's own."""
        bucket, kept = self.named, self.kept
        by_default = (
            s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                kms_master_key_id=self.key.arn if self.key else None,
                sse_algorithm="aws:kms" if self.key else "AES256",
            )
        )
        rule = s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=by_default, bucket_key_enabled=bool(self.key)
        )
        s3.BucketServerSideEncryptionConfiguration("models", bucket=bucket, rules=[rule], opts=kept)

    def _lifecycle(self) -> None:
        """No forgotten parts of uploads, old versions for 90 days."""
        bucket, kept = self.named, self.kept
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
        s3.BucketLifecycleConfiguration("models", bucket=bucket, rules=[tidy], opts=kept)

    def _versioning(self) -> s3.BucketVersioning:
        enabled = s3.BucketVersioningVersioningConfigurationArgs(status="Enabled")
        return s3.BucketVersioning(
            "models", bucket=self.named, versioning_configuration=enabled, opts=self.kept
        )
