"""The registry's roles: S3's own to replicate, and one for each reader and job."""

from __future__ import annotations

import json

import pulumi
from pulumi_aws import iam, s3

from components.aws_policies import (
    assume,
    assume_from_cluster,
    bucket_arn,
    granted,
    may_replicate,
)
from regions.plan import GrantPlan, RegistryPlan, ReplicaPlan

Below = pulumi.ResourceOptions
"""Options that place a resource under the registry; `kept` ones also protect it."""


def _rule(
    plan: RegistryPlan, copy: ReplicaPlan, priority: int
) -> s3.BucketReplicationConfigRuleArgs:
    """All objects into one other bucket, under that region's key."""
    keys = s3.BucketReplicationConfigRuleDestinationEncryptionConfigurationArgs(
        replica_kms_key_id=copy.key_arn
    )
    # Without this S3 skips every object that our key encrypts, and says nothing.
    encrypted = s3.BucketReplicationConfigRuleSourceSelectionCriteriaArgs(
        sse_kms_encrypted_objects=(
            s3.BucketReplicationConfigRuleSourceSelectionCriteriaSseKmsEncryptedObjectsArgs(
                status="Enabled"
            )
        )
    )
    return s3.BucketReplicationConfigRuleArgs(
        id=copy.region,
        priority=priority,
        status="Enabled",
        filter=s3.BucketReplicationConfigRuleFilterArgs(prefix=""),
        source_selection_criteria=encrypted if copy.key_arn else None,
        # A deletion at home must not empty the other regions.
        delete_marker_replication=s3.BucketReplicationConfigRuleDeleteMarkerReplicationArgs(
            status="Disabled"
        ),
        destination=s3.BucketReplicationConfigRuleDestinationArgs(
            bucket=bucket_arn(plan.partition, copy.bucket),
            encryption_configuration=keys if copy.key_arn else None,
        ),
    )


def replicate(
    plan: RegistryPlan, versioned: s3.BucketVersioning, below: Below, kept: Below
) -> None:
    """The home region copies every new object to the others; old ones need a batch job."""
    trust = assume({"Service": "s3.amazonaws.com"}, "sts:AssumeRole", {})
    role = iam.Role(
        "replication",
        name=f"isoserve.{plan.bucket}.replication"[:64],
        assume_role_policy=json.dumps(trust),
        opts=below,
    )
    allowed = iam.RolePolicy(
        "replication", role=role.name, policy=json.dumps(may_replicate(plan)), opts=below
    )
    s3.BucketReplicationConfig(
        "models",
        bucket=versioned.bucket,
        role=role.arn,
        rules=[_rule(plan, copy, priority) for priority, copy in enumerate(plan.replicate_to)],
        # What is copied before S3 may decrypt it fails and is not tried again.
        opts=pulumi.ResourceOptions.merge(kept, pulumi.ResourceOptions(depends_on=[allowed])),
    )


def make(plan: RegistryPlan, grant: GrantPlan, below: Below) -> pulumi.Resource:
    """A role for ServiceAccounts of one namespace, bound to its prefixes; its rights, which come
    last."""
    trust, name = assume_from_cluster(plan, grant), grant.name
    role = iam.Role(name, name=grant.role, assume_role_policy=json.dumps(trust), opts=below)
    allowed = json.dumps(granted(plan, grant))
    return iam.RolePolicy(name, role=role.name, policy=allowed, opts=below)
