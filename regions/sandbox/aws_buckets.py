"""The substitute's S3 types: the bucket, and the settings that hang on one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from regions.sandbox.aws_resources import Resource, exists_already, or_none
from regions.sandbox.aws_session import Aws, Props
from regions.sandbox.aws_values import all_tags, shaped

# The hosted zone of S3 websites in us-east-1, the sandbox's region.
_HOSTED_ZONE_ID: Final = "Z3AQBSTGFYJSTF"


def _create_bucket(aws: Aws, inputs: Props) -> str:
    name = str(inputs["bucket"])
    place = {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    try:
        aws.client("s3").create_bucket(
            Bucket=name,
            ObjectLockEnabledForBucket=bool(inputs.get("objectLockEnabled")),
            **({} if aws.region == "us-east-1" else place),
        )
    except ClientError as error:
        if not exists_already(error):
            raise
    _tag_bucket(aws, name, inputs)
    return name


def _update_bucket(aws: Aws, name: str, _old: Props, inputs: Props) -> None:
    _tag_bucket(aws, name, inputs)


def _tag_bucket(aws: Aws, name: str, inputs: Props) -> None:
    tags = [
        {"Key": key, "Value": value} for key, value in all_tags(inputs, aws.default_tags).items()
    ]
    if tags:
        aws.client("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    else:
        aws.client("s3").delete_bucket_tagging(Bucket=name)


def _read_bucket(aws: Aws, name: str, _inputs: Props) -> tuple[Props, Props] | None:
    s3 = aws.client("s3")
    if or_none(lambda: s3.head_bucket(Bucket=name)) is None:
        return None
    tagging = or_none(lambda: s3.get_bucket_tagging(Bucket=name)) or {"TagSet": []}
    computed = {
        "bucket": name,
        "arn": f"arn:aws:s3:::{name}",
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{aws.region}.amazonaws.com",
        "hostedZoneId": _HOSTED_ZONE_ID,
        "region": aws.region,
        "bucketRegion": aws.region,
    }
    return {"tags": {tag["Key"]: tag["Value"] for tag in tagging["TagSet"]}}, computed


def _delete_bucket(aws: Aws, name: str, inputs: Props) -> None:
    s3 = aws.client("s3")
    if inputs.get("forceDestroy") and or_none(lambda: s3.head_bucket(Bucket=name)) is not None:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
            for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                s3.delete_object(Bucket=name, Key=item["Key"], VersionId=item["VersionId"])
    or_none(lambda: s3.delete_bucket(Bucket=name))


@dataclass(frozen=True, slots=True)
class _Setting:
    """A setting of a bucket: how its calls end, and how its inputs lie in the call."""

    calls: str
    key: str
    wrap: Callable[[Props], Any]
    unwrap: Callable[[Any], Props]
    undo: Mapping[str, Any] | None = None

    def resource(self) -> Resource:
        """The setting as a type; its id is the bucket's name."""
        return Resource(
            create=self._put,
            read=self._read,
            update=self._update,
            delete=self._delete,
            replace_on=frozenset({"bucket"}),
        )

    def _put(self, aws: Aws, inputs: Props) -> str:
        method = f"put_{self.calls}"
        wrapped = {"bucket": inputs["bucket"], self.key: self.wrap(inputs)}
        request = shaped(wrapped, aws.input_shape("s3", method))
        getattr(aws.client("s3"), method)(**request)
        return str(inputs["bucket"])

    def _update(self, aws: Aws, _name: str, _old: Props, inputs: Props) -> None:
        self._put(aws, inputs)

    def _read(self, aws: Aws, name: str, _inputs: Props) -> tuple[Props, Props] | None:
        getter = getattr(aws.client("s3"), f"get_{self.calls}")
        answer = or_none(lambda: getter(Bucket=name))
        told = answer and self.unwrap(answer)
        return (told, {"bucket": name}) if told else None

    def _delete(self, aws: Aws, name: str, _inputs: Props) -> None:
        s3 = aws.client("s3")
        undo = self.undo
        verb = f"delete_{self.calls.removesuffix('_configuration')}"
        call = getattr(s3, verb if undo is None else f"put_{self.calls}")
        or_none(lambda: call(Bucket=name, **(undo or {})))


def _without_bucket(inputs: Props) -> Props:
    return {key: value for key, value in inputs.items() if key != "bucket"}


def _told_replication(answer: Any) -> Props:
    # moto forgets whether delete markers are replicated and then says that they aren't.
    told = dict(answer["ReplicationConfiguration"])
    forgotten = "DeleteMarkerReplication"
    told["Rules"] = [{k: v for k, v in rule.items() if k != forgotten} for rule in told["Rules"]]
    return told


_SETTINGS: Final = {
    "bucketVersioning:BucketVersioning": _Setting(
        "bucket_versioning",
        "VersioningConfiguration",
        lambda inputs: inputs["versioningConfiguration"],
        lambda answer: {"versioningConfiguration": answer} if "Status" in answer else {},
        # S3 knows no way back to "never versioned".
        undo={"VersioningConfiguration": {"Status": "Suspended"}},
    ),
    "bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _Setting(
        "bucket_encryption",
        "ServerSideEncryptionConfiguration",
        lambda inputs: {"rules": inputs["rules"]},
        lambda answer: {"rules": answer["ServerSideEncryptionConfiguration"]["Rules"]},
    ),
    "bucketPublicAccessBlock:BucketPublicAccessBlock": _Setting(
        "public_access_block",
        "PublicAccessBlockConfiguration",
        _without_bucket,
        lambda answer: dict(answer["PublicAccessBlockConfiguration"]),
    ),
    "bucketPolicy:BucketPolicy": _Setting(
        "bucket_policy",
        "Policy",
        lambda inputs: inputs["policy"],
        lambda answer: {"policy": answer["Policy"]},
    ),
    "bucketOwnershipControls:BucketOwnershipControls": _Setting(
        "bucket_ownership_controls",
        "OwnershipControls",
        lambda inputs: {"rules": [inputs["rule"]]},
        lambda answer: {"rule": answer["OwnershipControls"]["Rules"][0]},
    ),
    "bucketLifecycleConfiguration:BucketLifecycleConfiguration": _Setting(
        "bucket_lifecycle_configuration",
        "LifecycleConfiguration",
        lambda inputs: {"rules": inputs["rules"]},
        lambda answer: {"rules": answer["Rules"]},
    ),
    "bucketReplicationConfig:BucketReplicationConfig": _Setting(
        "bucket_replication",
        "ReplicationConfiguration",
        _without_bucket,
        _told_replication,
    ),
    "bucketLogging:BucketLogging": _Setting(
        "bucket_logging",
        "BucketLoggingStatus",
        lambda inputs: {"loggingEnabled": {"targetGrants": [], **_without_bucket(inputs)}},
        lambda answer: dict(answer.get("LoggingEnabled", {})),
        undo={"BucketLoggingStatus": {}},
    ),
}

BUCKETS: Final[Mapping[str, Resource]] = {
    "aws:s3/bucket:Bucket": Resource(
        create=_create_bucket,
        read=_read_bucket,
        update=_update_bucket,
        delete=_delete_bucket,
        name_input="bucket",
        replace_on=frozenset({"bucket", "objectLockEnabled"}),
    ),
    **{f"aws:s3/{token}": setting.resource() for token, setting in _SETTINGS.items()},
}
"""Every S3 type the substitute knows, by its token."""
