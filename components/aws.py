"""The nouns that AWS makes: a GpuNodePool of node groups, and the region's ModelRegistry."""

from __future__ import annotations

import json
from typing import Final

import pulumi
from pulumi_aws import Provider, ec2, eks, iam

from components.aws_policies import assume
from components.gpu_node_pool import node_labels
from components.ownership import NODE_GROUP
from regions.plan import AccountPlan, NodeGroupPlan, PoolPlan, RegionPlan

_CAPACITY: Final = {"on_demand": "ON_DEMAND", "spot": "SPOT"}
_NODE_POLICIES: Final = (
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
)


def provider(plan: AccountPlan) -> Provider:
    """The region's one AWS provider: it refuses every account but the profile's."""
    compatible = plan.s3_compatible
    return Provider(
        "account",
        region=plan.region,
        profile=plan.profile or None,
        shared_config_files=[plan.config_file] if plan.config_file else None,
        shared_credentials_files=[plan.credentials_file] if plan.credentials_file else None,
        # A store that only speaks S3 has no STS to ask who we are.
        allowed_account_ids=None if compatible else [plan.account_id],
        s3_use_path_style=compatible,
        skip_credentials_validation=compatible,
        skip_metadata_api_check=compatible,
        skip_region_validation=compatible,
        skip_requesting_account_id=compatible,
    )


class NodeRole(pulumi.ComponentResource):
    """The role of all GPU nodes of a region; pods get their own and never this one."""

    def __init__(self, plan: RegionPlan, provider: Provider) -> None:
        super().__init__("isoserve:index:NodeRole", "nodes", None, _with(provider))
        below = pulumi.ResourceOptions(parent=self)
        # Of all service principals of ours only EC2's differs by partition (aws-cdk, region-info).
        trust = assume({"Service": f"ec2.{plan.account.dns_suffix}"}, "sts:AssumeRole", {})
        name = f"isoserve.{plan.region}.isoserve-node"
        role = iam.Role("nodes", name=name, assume_role_policy=json.dumps(trust), opts=below)
        self.attached = [
            iam.RolePolicyAttachment(
                f"nodes-{policy}",
                role=role.name,
                policy_arn=f"arn:{plan.account.partition}:iam::aws:policy/{policy}",
                opts=below,
            )
            for policy in _NODE_POLICIES
        ]
        self.arn = role.arn
        self.register_outputs({})


def _with(provider: Provider) -> pulumi.ResourceOptions:
    """Options of a component whose children use `provider`."""
    return pulumi.ResourceOptions(providers={"aws": provider})


class GpuNodePool(pulumi.ComponentResource):
    """The nodes of one machine type: a launch template and a node group per capacity type."""

    def __init__(self, plan: PoolPlan, region: RegionPlan, role: NodeRole, aws: Provider) -> None:
        super().__init__("isoserve:index:GpuNodePool", plan.name, None, _with(aws))
        template = self._template(plan, region)
        for group in plan.groups:
            self._group(plan, group, region, role, template)
        self.register_outputs({})

    def _template(self, plan: PoolPlan, region: RegionPlan) -> ec2.LaunchTemplate:
        disk = ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
            delete_on_termination="true",
            encrypted="true",
            throughput=500,
            volume_size=plan.volume_gib,
            volume_type="gp3",
        )
        tags = {"Name": f"isoserve-{plan.name}", **plan.labels}
        return ec2.LaunchTemplate(
            plan.name,
            name=f"isoserve-{region.cluster.name}-{plan.name}",
            update_default_version=True,
            block_device_mappings=[
                ec2.LaunchTemplateBlockDeviceMappingArgs(device_name="/dev/xvda", ebs=disk)
            ],
            # IMDSv2 with one hop: a pod cannot reach the node's credentials.
            metadata_options=ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_put_response_hop_limit=1, http_tokens="required"
            ),
            # EKS adds the cluster's own group only to a template that names none.
            vpc_security_group_ids=list(region.account.node_security_group_ids) or None,
            tag_specifications=[
                ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=tags)
                for kind in ("instance", "volume")
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _group(
        self,
        plan: PoolPlan,
        group: NodeGroupPlan,
        region: RegionPlan,
        role: NodeRole,
        template: ec2.LaunchTemplate,
    ) -> None:
        name = f"{plan.name}-{group.capacity.replace('_', '-')}"
        eks.NodeGroup(
            name,
            cluster_name=region.cluster.name,
            node_group_name=group.name,
            node_role_arn=role.arn,
            subnet_ids=list(region.account.subnet_ids),
            ami_type=plan.ami_type,
            capacity_type=_CAPACITY[group.capacity],
            instance_types=list(plan.instance_types),
            labels=node_labels(plan, group.capacity),
            launch_template=eks.NodeGroupLaunchTemplateArgs(
                id=template.id, version=template.latest_version.apply(str)
            ),
            scaling_config=eks.NodeGroupScalingConfigArgs(
                desired_size=group.desired, max_size=group.max, min_size=group.min
            ),
            tags=plan.tags or None,
            taints=[
                eks.NodeGroupTaintArgs(effect="NO_SCHEDULE", key=taint.key, value=taint.value)
                for taint in group.taints
            ],
            update_config=eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            opts=pulumi.ResourceOptions(
                parent=self,
                # The provider would delete a group with a given name first, and every GPU with it
                # (nameRequiresDeleteBeforeReplace in pulumi-terraform-bridge).
                delete_before_replace=False,
                depends_on=role.attached,
                ignore_changes=[NODE_GROUP.path],
            ),
        )
