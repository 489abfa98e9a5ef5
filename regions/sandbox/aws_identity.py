"""The substitute's IAM and KMS types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from regions.sandbox.aws_resources import Resource, or_adopt, or_none
from regions.sandbox.aws_session import Aws, Props
from regions.sandbox.aws_values import all_tags


def _text(policy: Any) -> str:
    return policy if isinstance(policy, str) else json.dumps(policy)


def _tags(aws: Aws, inputs: Props, *, key: str = "Key", value: str = "Value") -> list[Props]:
    return [{key: k, value: v} for k, v in all_tags(inputs, aws.default_tags).items()]


def _create_role(aws: Aws, inputs: Props) -> str:
    name = str(inputs["name"])
    request = {
        "RoleName": name,
        "AssumeRolePolicyDocument": _text(inputs["assumeRolePolicy"]),
        "Path": inputs.get("path", "/"),
        "Description": inputs.get("description", ""),
        "MaxSessionDuration": inputs.get("maxSessionDuration", 3600),
        "Tags": _tags(aws, inputs),
    }
    if inputs.get("permissionsBoundary"):
        request["PermissionsBoundary"] = inputs["permissionsBoundary"]
    or_adopt(
        lambda: aws.client("iam").create_role(**request),
        lambda: _update_role(aws, name, {}, inputs),
    )
    for arn in inputs.get("managedPolicyArns") or ():
        aws.client("iam").attach_role_policy(RoleName=name, PolicyArn=arn)
    return name


def _update_role(aws: Aws, name: str, old: Props, inputs: Props) -> None:
    iam = aws.client("iam")
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=_text(inputs["assumeRolePolicy"]))
    iam.update_role(
        RoleName=name,
        Description=inputs.get("description", ""),
        MaxSessionDuration=inputs.get("maxSessionDuration", 3600),
    )
    gone = (old.get("tags") or {}).keys() - (inputs.get("tags") or {}).keys()
    iam.untag_role(RoleName=name, TagKeys=sorted(gone))
    iam.tag_role(RoleName=name, Tags=_tags(aws, inputs))


def _read_role(aws: Aws, name: str, _inputs: Props) -> tuple[Props, Props] | None:
    answer = or_none(lambda: aws.client("iam").get_role(RoleName=name))
    if answer is None:
        return None
    role = answer["Role"]
    computed = {
        "name": name,
        "arn": role["Arn"],
        "uniqueId": role["RoleId"],
        "createDate": role["CreateDate"].isoformat(),
        "path": role["Path"],
    }
    found = {
        "assumeRolePolicy": json.dumps(role["AssumeRolePolicyDocument"]),
        "description": role.get("Description"),
        "maxSessionDuration": role.get("MaxSessionDuration"),
        "tags": {tag["Key"]: tag["Value"] for tag in role.get("Tags", ())},
    }
    return found, computed


def _delete_role(aws: Aws, name: str, inputs: Props) -> None:
    iam = aws.client("iam")
    for arn in inputs.get("managedPolicyArns") or ():
        _detach(aws, "", {"role": name, "policyArn": arn})
    or_none(lambda: iam.delete_role(RoleName=name))


def _put_role_policy(aws: Aws, inputs: Props) -> str:
    aws.client("iam").put_role_policy(
        RoleName=inputs["role"],
        PolicyName=inputs["name"],
        PolicyDocument=_text(inputs["policy"]),
    )
    return f"{inputs['role']}:{inputs['name']}"


def _update_role_policy(aws: Aws, _key: str, _old: Props, inputs: Props) -> None:
    _put_role_policy(aws, inputs)


def _read_role_policy(aws: Aws, key: str, _inputs: Props) -> tuple[Props, Props] | None:
    role, _, name = key.partition(":")
    answer = or_none(lambda: aws.client("iam").get_role_policy(RoleName=role, PolicyName=name))
    if answer is None:
        return None
    return {"policy": json.dumps(answer["PolicyDocument"])}, {"name": name, "role": role}


def _delete_role_policy(aws: Aws, key: str, _inputs: Props) -> None:
    role, _, name = key.partition(":")
    or_none(lambda: aws.client("iam").delete_role_policy(RoleName=role, PolicyName=name))


def _attach(aws: Aws, inputs: Props) -> str:
    aws.client("iam").attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
    return f"{inputs['role']}/{inputs['policyArn']}"


def _read_attachment(aws: Aws, _key: str, inputs: Props) -> tuple[Props, Props] | None:
    iam, role = aws.client("iam"), inputs["role"]
    answer = or_none(lambda: iam.list_attached_role_policies(RoleName=role))
    arns = {one["PolicyArn"] for one in (answer or {}).get("AttachedPolicies", ())}
    return ({}, {}) if inputs["policyArn"] in arns else None


def _detach(aws: Aws, _key: str, inputs: Props) -> None:
    request = {"RoleName": inputs["role"], "PolicyArn": inputs["policyArn"]}
    or_none(lambda: aws.client("iam").detach_role_policy(**request))


def _replaced(_aws: Aws, key: str, _old: Props, _new: Props) -> None:
    raise AssertionError(f"{key}: every input of this type forces replacement")


def _create_key(aws: Aws, inputs: Props) -> str:
    request = {
        "Description": inputs.get("description", ""),
        "KeyUsage": inputs.get("keyUsage", "ENCRYPT_DECRYPT"),
        "KeySpec": inputs.get("customerMasterKeySpec", "SYMMETRIC_DEFAULT"),
        "MultiRegion": bool(inputs.get("multiRegion")),
        "Tags": _tags(aws, inputs, key="TagKey", value="TagValue"),
    }
    if inputs.get("policy"):
        request["Policy"] = _text(inputs["policy"])
    key = str(aws.client("kms").create_key(**request)["KeyMetadata"]["KeyId"])
    if inputs.get("enableKeyRotation"):
        aws.client("kms").enable_key_rotation(KeyId=key)
    return key


def _update_key(aws: Aws, key: str, old: Props, inputs: Props) -> None:
    kms = aws.client("kms")
    kms.update_key_description(KeyId=key, Description=inputs.get("description", ""))
    rotate = (
        kms.enable_key_rotation if inputs.get("enableKeyRotation") else kms.disable_key_rotation
    )
    rotate(KeyId=key)
    if inputs.get("policy"):
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=_text(inputs["policy"]))
    gone = (old.get("tags") or {}).keys() - (inputs.get("tags") or {}).keys()
    if gone:
        kms.untag_resource(KeyId=key, TagKeys=sorted(gone))
    tags = _tags(aws, inputs, key="TagKey", value="TagValue")
    if tags:
        kms.tag_resource(KeyId=key, Tags=tags)


def _read_key(aws: Aws, key: str, _inputs: Props) -> tuple[Props, Props] | None:
    kms = aws.client("kms")
    answer = or_none(lambda: kms.describe_key(KeyId=key))
    if answer is None or answer["KeyMetadata"]["KeyState"].startswith("Pending"):
        return None
    metadata = answer["KeyMetadata"]
    tags = kms.list_resource_tags(KeyId=key).get("Tags", [])
    found = {
        "description": metadata["Description"],
        "enableKeyRotation": kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"],
        "policy": kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"],
        "tags": {tag["TagKey"]: tag["TagValue"] for tag in tags},
    }
    return found, {"arn": metadata["Arn"], "keyId": metadata["KeyId"]}


def _delete_key(aws: Aws, key: str, inputs: Props) -> None:
    days = inputs.get("deletionWindowInDays", 30)
    kms = aws.client("kms")
    if _read_key(aws, key, inputs) is not None:
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=days)


def _create_alias(aws: Aws, inputs: Props) -> str:
    name = str(inputs["name"])
    request = {"AliasName": name, "TargetKeyId": inputs["targetKeyId"]}
    kms = aws.client("kms")
    or_adopt(lambda: kms.create_alias(**request), lambda: kms.update_alias(**request))
    return name


def _update_alias(aws: Aws, name: str, _old: Props, inputs: Props) -> None:
    aws.client("kms").update_alias(AliasName=name, TargetKeyId=inputs["targetKeyId"])


def _read_alias(aws: Aws, name: str, inputs: Props) -> tuple[Props, Props] | None:
    pages = aws.client("kms").get_paginator("list_aliases").paginate()
    for alias in (alias for page in pages for alias in page["Aliases"]):
        if alias["AliasName"] == name and alias.get("TargetKeyId"):
            key = alias["TargetKeyId"]
            prefix = f"arn:aws:kms:{aws.region}:{aws.account_id}"
            computed = {
                "name": name,
                "arn": f"{prefix}:{name}",
                "targetKeyArn": f"{prefix}:key/{key}",
            }
            same = str(inputs.get("targetKeyId", "")).endswith(key)
            return ({} if same else {"targetKeyId": key}), computed
    return None


def _delete_alias(aws: Aws, name: str, _inputs: Props) -> None:
    or_none(lambda: aws.client("kms").delete_alias(AliasName=name))


IDENTITY: Final[Mapping[str, Resource]] = {
    "aws:iam/role:Role": Resource(
        create=_create_role,
        read=_read_role,
        update=_update_role,
        delete=_delete_role,
        name_input="name",
        replace_on=frozenset({"name", "path"}),
    ),
    "aws:iam/rolePolicy:RolePolicy": Resource(
        create=_put_role_policy,
        read=_read_role_policy,
        update=_update_role_policy,
        delete=_delete_role_policy,
        name_input="name",
        replace_on=frozenset({"name", "role"}),
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Resource(
        create=_attach,
        read=_read_attachment,
        update=_replaced,
        delete=_detach,
        replace_on=frozenset({"role", "policyArn"}),
    ),
    "aws:kms/key:Key": Resource(
        create=_create_key,
        read=_read_key,
        update=_update_key,
        delete=_delete_key,
        replace_on=frozenset({"keyUsage", "customerMasterKeySpec", "multiRegion"}),
    ),
    "aws:kms/alias:Alias": Resource(
        create=_create_alias,
        read=_read_alias,
        update=_update_alias,
        delete=_delete_alias,
        replace_on=frozenset({"name"}),
    ),
}
"""Every IAM and KMS type the substitute knows, by its token."""
