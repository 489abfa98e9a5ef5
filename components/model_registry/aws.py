"""The registry's roles: S3's own to replicate, and one for each reader."""

from __future__ import annotations

import pulumi
from pulumi_aws import iam, s3

from components.aws_policies import (
    assume,
    assume_from_cluster,
    bucket_arn,
    may_read,
    may_replicate,
)
from regions.plan import ReaderPlan, RegistryPlan

Below = pulumi.ResourceOptions
"""Options that place a resource under the registry; `kept` ones also protect it."""


def replicate(
    plan: RegistryPlan, versioned: s3.BucketVersioning, below: Below, kept: Below
) -> None:
    """The home region copies every new object to the others; old ones need a batch job."""
    trust = assume({"Service": "s3.amazonaws.com"}, "sts:AssumeRole", {})
    copying = may_replicate(plan.bucket, [bucket for _, bucket in plan.replicate_to])
    role = iam.Role(
        "replication",
        name=f"isoserve.{plan.bucket}.replication"[:64],
        assume_role_policy=pulumi.Output.json_dumps(trust),
        opts=below,
    )
    iam.RolePolicy(
        "replication",
        role=role.name,
        policy=pulumi.Output.json_dumps(copying),
        opts=below,
    )
    s3.BucketReplicationConfig(
        "models",
        bucket=versioned.bucket,
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
                destination=s3.BucketReplicationConfigRuleDestinationArgs(
                    bucket=bucket_arn(bucket)
                ),
            )
            for priority, (region, bucket) in enumerate(plan.replicate_to)
        ],
        opts=kept,
    )


def grant(
    plan: RegistryPlan, reader: ReaderPlan, key: pulumi.Output[str] | None, below: Below
) -> None:
    """A role for ServiceAccounts of one namespace, bound to one prefix."""
    trust = assume_from_cluster(plan.account_id, plan.oidc_issuer, reader)
    name = f"reader-{reader.namespace}"
    role = iam.Role(
        name,
        name=reader.role,
        assume_role_policy=pulumi.Output.json_dumps(trust),
        opts=below,
    )
    allowed = may_read(plan.bucket, reader.prefix, key)
    iam.RolePolicy(name, role=role.name, policy=pulumi.Output.json_dumps(allowed), opts=below)
