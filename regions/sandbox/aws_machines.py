"""The substitute's EC2 and EKS types: launch templates and managed node groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from regions.sandbox.aws_resources import Resource, or_adopt, or_none
from regions.sandbox.aws_session import Aws, Props
from regions.sandbox.aws_values import all_tags, shaped

# Where Pulumi's name of a field isn't AWS's with other capitals.
_TEMPLATE_NAMES: Final = {"vpcSecurityGroupIds": "securityGroupIds"}
_GROUP_NAMES: Final = {"nodeRoleArn": "nodeRole", "subnetIds": "subnets"}
# What an update here can't change, so that it doesn't count as drift for ever.
_UNTOLD: Final = ("launchTemplate", "updateConfig", "version", "releaseVersion", "tags")


def _renamed(inputs: Props, names: Mapping[str, str]) -> Props:
    return {names.get(key, key): value for key, value in inputs.items()}


def _template_data(aws: Aws, inputs: Props) -> Any:
    shape = aws.input_shape("ec2", "create_launch_template")
    renamed = _renamed(inputs, _TEMPLATE_NAMES)
    # A template's own tags aren't those of the machines it makes.
    data = {key: value for key, value in renamed.items() if key not in ("tags", "name")}
    return shaped(data, shape.members["LaunchTemplateData"])


def _create_template(aws: Aws, inputs: Props) -> str:
    ec2, name = aws.client("ec2"), str(inputs["name"])
    tags = [{"Key": k, "Value": v} for k, v in all_tags(inputs, aws.default_tags).items()]
    specification = [{"ResourceType": "launch-template", "Tags": tags}]
    answer = or_adopt(
        lambda: ec2.create_launch_template(
            LaunchTemplateName=name,
            VersionDescription=inputs.get("description", ""),
            LaunchTemplateData=_template_data(aws, inputs),
            **({"TagSpecifications": specification} if tags else {}),
        ),
        lambda: None,
    )
    if answer:
        return str(answer["LaunchTemplate"]["LaunchTemplateId"])
    known = ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"][0]
    _update_template(aws, known["LaunchTemplateId"], {}, inputs)
    return str(known["LaunchTemplateId"])


def _update_template(aws: Aws, key: str, _old: Props, inputs: Props) -> None:
    ec2 = aws.client("ec2")
    answer = ec2.create_launch_template_version(
        LaunchTemplateId=key,
        VersionDescription=inputs.get("description", ""),
        LaunchTemplateData=_template_data(aws, inputs),
    )
    if inputs.get("updateDefaultVersion"):
        number = str(answer["LaunchTemplateVersion"]["VersionNumber"])
        ec2.modify_launch_template(LaunchTemplateId=key, DefaultVersion=number)


def _read_template(aws: Aws, key: str, inputs: Props) -> tuple[Props, Props] | None:
    ec2 = aws.client("ec2")
    answer = or_none(lambda: ec2.describe_launch_templates(LaunchTemplateIds=[key]))
    if not answer or not answer["LaunchTemplates"]:
        return None
    template = answer["LaunchTemplates"][0]
    versions = ec2.describe_launch_template_versions(LaunchTemplateId=key, Versions=["$Latest"])
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    back = {theirs: ours for ours, theirs in _TEMPLATE_NAMES.items()}
    names = {name: name[:1].lower() + name[1:] for name in data}
    # moto answers with the template's own tags among those for its machines.
    found = {
        back.get(ours, ours): data[name]
        for name, ours in names.items()
        if ours != "tagSpecifications"
    }
    computed = {
        "name": template["LaunchTemplateName"],
        "arn": f"arn:aws:ec2:{aws.region}:{aws.account_id}:launch-template/{key}",
        "latestVersion": template["LatestVersionNumber"],
        "defaultVersion": inputs.get("defaultVersion", template["DefaultVersionNumber"]),
    }
    return found, computed


def _delete_template(aws: Aws, key: str, _inputs: Props) -> None:
    or_none(lambda: aws.client("ec2").delete_launch_template(LaunchTemplateId=key))


def _create_group(aws: Aws, inputs: Props) -> str:
    eks = aws.client("eks")
    request = shaped(_renamed(inputs, _GROUP_NAMES), aws.input_shape("eks", "create_nodegroup"))
    request["tags"] = all_tags(inputs, aws.default_tags)
    key = f"{request['clusterName']}:{request['nodegroupName']}"
    or_adopt(lambda: eks.create_nodegroup(**request), lambda: _update_group(aws, key, {}, inputs))
    return key


def _names(key: str) -> Props:
    cluster, _, group = key.partition(":")
    return {"clusterName": cluster, "nodegroupName": group}


def _update_group(aws: Aws, key: str, _old: Props, inputs: Props) -> None:
    """Bring labels, taints and sizes up to date.

    The launch template's version and the tags aren't sent on: moto has no such call for a group,
    and no node here boots.
    """
    eks = aws.client("eks")
    found = eks.describe_nodegroup(**_names(key))["nodegroup"]
    labels, taints = inputs.get("labels") or {}, inputs.get("taints") or []
    # Both are replaced as a whole: AWS knows a taint by its key and effect, and so does moto.
    changes: Props = {
        "labels": {
            "addOrUpdateLabels": labels,
            "removeLabels": sorted(found.get("labels", {}).keys() - labels.keys()),
        },
        "taints": {
            "addOrUpdateTaints": taints,
            "removeTaints": [one for one in found.get("taints") or [] if one not in taints],
        },
    }
    for name in ("scalingConfig", "updateConfig"):
        if inputs.get(name):
            changes[name] = inputs[name]
    changes = {name: _without_empty(change) for name, change in changes.items()}
    eks.update_nodegroup_config(
        **_names(key), **{name: change for name, change in changes.items() if change}
    )


def _without_empty(change: Props) -> Props:
    return {name: value for name, value in change.items() if value or value == 0}


def _read_group(aws: Aws, key: str, _inputs: Props) -> tuple[Props, Props] | None:
    answer = or_none(lambda: aws.client("eks").describe_nodegroup(**_names(key)))
    if answer is None:
        return None
    group = answer["nodegroup"]
    back = {theirs: ours for ours, theirs in _GROUP_NAMES.items()}
    found = {back.get(name, name): value for name, value in group.items() if name not in _UNTOLD}
    computed = {
        "nodeGroupName": group["nodegroupName"],
        "arn": group["nodegroupArn"],
        "status": group["status"],
    }
    return found, computed


def _delete_group(aws: Aws, key: str, _inputs: Props) -> None:
    or_none(lambda: aws.client("eks").delete_nodegroup(**_names(key)))


MACHINES: Final[Mapping[str, Resource]] = {
    "aws:ec2/launchTemplate:LaunchTemplate": Resource(
        create=_create_template,
        read=_read_template,
        update=_update_template,
        delete=_delete_template,
        name_input="name",
        replace_on=frozenset({"name"}),
        volatile=frozenset({"latestVersion", "defaultVersion"}),
    ),
    "aws:eks/nodeGroup:NodeGroup": Resource(
        create=_create_group,
        read=_read_group,
        update=_update_group,
        delete=_delete_group,
        name_input="nodeGroupName",
        replace_on=frozenset(
            {
                "amiType",
                "capacityType",
                "clusterName",
                "diskSize",
                "instanceTypes",
                "launchTemplate.id",
                "launchTemplate.name",
                "nodeGroupName",
                "nodeRoleArn",
                "remoteAccess",
                "subnetIds",
            }
        ),
    ),
}
"""Every EC2 and EKS type the substitute knows, by its token."""
