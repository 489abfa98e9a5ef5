"""The substitute reads, compares and translates as the engine and AWS expect it."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2

from regions.sandbox import aws_values
from regions.sandbox.aws_provider import TABLE, SandboxAws, _resource
from regions.sandbox.aws_session import Aws
from regions.sandbox.errors import SandboxError

BUCKET = "urn:pulumi:sandbox-aws::isoserve::a:b:Registry$aws:s3/bucket:Bucket::models"


def a_struct(values: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def diff(old: dict[str, Any], new: dict[str, Any]) -> Any:
    request = provider_pb2.DiffRequest(urn=BUCKET, old_inputs=a_struct(old), news=a_struct(new))
    return SandboxAws().Diff(request, None)


def test_equal_inputs_are_no_difference() -> None:
    answer = diff({"bucket": "a", "tags": {"x": "1"}}, {"bucket": "a", "tags": {"x": "1"}})
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_changed_tag_is_told_by_its_path_and_needs_no_replacement() -> None:
    answer = diff({"bucket": "a", "tags": {"x": "1"}}, {"bucket": "a", "tags": {"x": "2"}})
    assert list(answer.detailedDiff) == ["tags.x"]
    assert list(answer.diffs) == ["tags"]
    assert not answer.replaces


def test_a_changed_bucket_name_replaces() -> None:
    answer = diff({"bucket": "a"}, {"bucket": "b"})
    assert list(answer.replaces) == ["bucket"]
    assert answer.detailedDiff["bucket"].kind == provider_pb2.PropertyDiff.UPDATE_REPLACE
    assert answer.deleteBeforeReplace


def test_policies_are_compared_by_what_they_say() -> None:
    one, other = '{"a": 1, "b": [2]}', '{ "b":[2],"a":1 }'
    assert list(aws_values.differences({"policy": one}, {"policy": other})) == []


def test_a_value_unknown_before_the_update_is_a_difference() -> None:
    unknown = {"version": aws_values.UNKNOWN}
    assert list(aws_values.differences({"version": "1"}, unknown)) == [("version", "update")]


def test_secrets_and_whole_numbers_arrive_plain() -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": 3.0}
    assert aws_values.plain({"a": secret, "__defaults": []}) == {"a": 3}


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(SandboxError, match="aws:sqs/queue:Queue"):
        _resource("urn:pulumi:s::p::aws:sqs/queue:Queue::q")


def test_every_replacing_path_is_written_as_pulumi_writes_it() -> None:
    for token, resource in TABLE.items():
        for path in resource.replace_on:
            assert path[:1].islower(), f"{token}: {path}"


@pytest.fixture(scope="module")
def lifecycle_shape() -> Any:
    model = botocore.session.get_session().get_service_model("s3")
    return model.operation_model("PutBucketLifecycleConfiguration").input_shape


def test_names_and_kinds_follow_awss_own_model(lifecycle_shape: Any) -> None:
    wanted = {
        "bucket": "b",
        "lifecycleConfiguration": {
            "rules": [{"id": "old", "status": "Enabled", "expiration": {"days": "30"}}]
        },
        "region": "us-east-1",
    }
    assert aws_values.shaped(wanted, lifecycle_shape) == {
        "Bucket": "b",
        "LifecycleConfiguration": {
            "Rules": [{"ID": "old", "Status": "Enabled", "Expiration": {"Days": 30}}]
        },
    }


def test_only_what_the_program_sets_can_drift() -> None:
    wanted = {"rules": [{"id": "old", "status": "Enabled"}], "other": 1}
    same = {"Rules": [{"ID": "old", "Status": "Enabled", "Prefix": ""}]}
    assert aws_values.observed(wanted, same) == wanted
    drifted = {"Rules": [{"ID": "old", "Status": "Disabled"}]}
    assert aws_values.observed(wanted, drifted)["rules"][0]["status"] == "Disabled"


def test_the_substitute_never_leaves_this_machine() -> None:
    aws = Aws({"region": "us-east-1", "accessKey": "a", "secretKey": "b"})
    with pytest.raises(SandboxError, match="isn't this machine"):
        aws.client("sts")
    endpoints = '[{"sts": "http://127.0.0.1:1"}]'
    local = Aws({"region": "us-east-1", "accessKey": "a", "secretKey": "b", "endpoints": endpoints})
    assert local.client("sts").meta.endpoint_url == "http://127.0.0.1:1"
