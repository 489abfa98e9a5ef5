"""The local AWS judges rights as S3 does, where moto by itself reads no conditions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from components.aws_policies import granted, tls_only
from regions.plan import GrantPlan
from regions.sandbox.kube import own_session
from regions.sandbox.processes import free_ports, python_env
from regions.sandbox.s3_rights import action_of, allows
from tests.builders import a_registry

BUCKET = "models"


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of the sandbox's own server, with a bucket."""
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "regions.sandbox.moto_server", "-p", str(port)]
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
        config=Config(
            proxies={}, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}
        ),
    )
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, env=python_env(), stdout=quiet, stderr=quiet) as server:
        try:
            for _ in range(300):
                try:
                    client.create_bucket(Bucket=BUCKET)
                    break
                except BotoCoreError:
                    time.sleep(0.1)
            yield client
        finally:
            server.terminate()


def write(client: Any, policy: Any) -> None:
    client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    try:
        client.put_object(Bucket=BUCKET, Key="search/x", Body=b"x")
    finally:
        client.delete_bucket_policy(Bucket=BUCKET)


def test_the_rendered_policy_lets_protected_requests_in(s3: Any) -> None:
    write(s3, tls_only(a_registry(bucket=BUCKET)))
    assert s3.get_object(Bucket=BUCKET, Key="search/x")["Body"].read() == b"x"


def test_a_statement_that_denies_all_denies_here_too(s3: Any) -> None:
    policy = tls_only(a_registry(bucket=BUCKET))
    del policy["Statement"][0]["Condition"]
    with pytest.raises(ClientError, match="403"):
        write(s3, policy)


READS, WRITES = "_datasets/search/pairs/", "_datasets/search/scores/"
GRANT = GrantPlan(
    name="job",
    role="job",
    namespace="search",
    service_account="scores",
    reads=(READS,),
    writes=(WRITES,),
)


def like(operator: Any, service: str, **keys: str) -> Any:
    """A client of the same store with other keys."""
    config = Config(proxies={}, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    url = operator.meta.endpoint_url
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", config=config, **keys)


def of_role(operator: Any) -> dict[str, str]:
    """Keys of a role with the job's rights, as a pod on AWS has them."""
    own = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"}
    iam, sts = like(operator, "iam", **own), like(operator, "sts", **own)
    role = iam.create_role(RoleName="job", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    document = json.dumps(granted(a_registry(bucket=BUCKET), GRANT))
    iam.put_role_policy(RoleName="job", PolicyName="job", PolicyDocument=document)
    found = sts.assume_role(RoleArn=role, RoleSessionName="job")["Credentials"]
    return {
        "aws_access_key_id": found["AccessKeyId"],
        "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["SessionToken"],
    }


def of_user(operator: Any) -> dict[str, str]:
    """Keys as a Secret has them, of a user with the job's rights."""
    own = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"}
    iam = like(operator, "iam", **own)
    iam.create_user(UserName="job")
    document = json.dumps(granted(a_registry(bucket=BUCKET), GRANT))
    iam.put_user_policy(UserName="job", PolicyName="job", PolicyDocument=document)
    key = iam.create_access_key(UserName="job")["AccessKey"]
    return {
        "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
    }


@pytest.mark.parametrize("keys", [of_role, of_user])
def test_a_job_reads_its_input_writes_its_output_and_is_denied_all_else(s3: Any, keys: Any) -> None:
    for key in (f"{READS}a", f"{WRITES}b", "search/model", "_datasets/search/pairs2/a"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    job = like(s3, "s3", **keys(s3))
    assert job.get_object(Bucket=BUCKET, Key=f"{READS}a")["Body"].read() == b"x"
    rows = job.list_objects_v2(Bucket=BUCKET, Prefix=READS)["Contents"]
    assert [row["Key"] for row in rows] == [f"{READS}a"]
    job.put_object(Bucket=BUCKET, Key=f"{WRITES}c", Body=b"y")
    job.copy_object(Bucket=BUCKET, Key=f"{WRITES}e", CopySource=f"{BUCKET}/{READS}a")
    upload = job.create_multipart_upload(Bucket=BUCKET, Key=f"{WRITES}d")["UploadId"]
    part = {"Bucket": BUCKET, "Key": f"{WRITES}d", "PartNumber": 1, "UploadId": upload}
    job.upload_part_copy(**part, CopySource=f"{BUCKET}/{READS}a")
    denied: dict[str, Callable[[], object]] = {
        "another's input": lambda: job.get_object(Bucket=BUCKET, Key="_datasets/search/pairs2/a"),
        "a model": lambda: job.get_object(Bucket=BUCKET, Key="search/model"),
        "its results": lambda: job.get_object(Bucket=BUCKET, Key=f"{WRITES}b"),
        "list of all": lambda: job.list_objects_v2(Bucket=BUCKET),
        "list of others": lambda: job.list_objects_v2(Bucket=BUCKET, Prefix="_datasets/search/"),
        "write input": lambda: job.put_object(Bucket=BUCKET, Key=f"{READS}a", Body=b"z"),
        "write elsewhere": lambda: job.put_object(Bucket=BUCKET, Key="_datasets/chat/a", Body=b"z"),
        "delete": lambda: job.delete_object(Bucket=BUCKET, Key=f"{WRITES}b"),
        "its rules": lambda: job.get_bucket_policy(Bucket=BUCKET),
        "copy of a model": lambda: job.copy_object(
            Bucket=BUCKET, Key=f"{WRITES}e", CopySource=f"{BUCKET}/search/model"
        ),
        "part of a model": lambda: job.upload_part_copy(
            **part, CopySource={"Bucket": BUCKET, "Key": "search/model"}
        ),
    }
    for what, ask in denied.items():
        with pytest.raises(ClientError) as refused:
            ask()
        assert refused.value.response["Error"]["Code"] == "AccessDenied", what
    job.abort_multipart_upload(Bucket=BUCKET, Key=f"{WRITES}d", UploadId=upload)


def test_a_right_that_is_denied_or_has_a_condition_that_is_not_known_gives_nothing() -> None:
    get, thing = "s3:GetObject", "arn:aws:s3:::models/a"
    allow = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::models/*"}
    assert allows([{"Statement": allow}], get, thing, None), "one statement, and a pattern"
    assert not allows([], get, thing, None), "nobody said so"
    deny = {**allow, "Effect": "Deny"}
    assert not allows([{"Statement": [allow]}, {"Statement": [deny]}], get, thing, None)
    asks = {**allow, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    assert not allows([{"Statement": [asks]}], get, thing, None)


def test_what_is_asked_of_a_bucket_beside_its_listing_is_another_action() -> None:
    assert action_of("GET", "", {"list-type": ["2"], "prefix": ["a"]}) == "s3:ListBucket"
    assert action_of("GET", "", {"policy": [""]}) == "s3:GETBucket"
    assert action_of("DELETE", "a", {"uploadId": ["1"]}) == "s3:AbortMultipartUpload"
    assert action_of("DELETE", "a", {}) == "s3:DeleteObject"


@pytest.mark.parametrize("host", ["sts.us-east-1.amazonaws.com", "sts.amazonaws.com", "127.0.0.1"])
@pytest.mark.parametrize("place", ["params", "data"])
def test_sts_gives_no_role_for_a_token_that_no_region_has_made(
    s3: Any, host: str, place: str
) -> None:
    asked = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": "arn:aws:iam::123456789012:role/any",
        "RoleSessionName": "any",
        "WebIdentityToken": "made up",
    }
    with own_session() as session:
        url = s3.meta.endpoint_url
        given: dict[str, Any] = {place: asked}
        answer = session.post(url, headers={"Host": host}, timeout=10, **given)
    assert "<AccessKeyId>" not in answer.text
    if (host, place) != ("127.0.0.1", "params"):  # without a name of STS it is a question to S3
        assert re.search("<Code>(InvalidIdentityToken|IDPCommunicationError)</Code>", answer.text)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("s3.amazonaws.com", f"/{BUCKET}/search/named"),
        ("s3.us-east-1.amazonaws.com", f"/{BUCKET}/search/named"),
        (f"{BUCKET}.s3.amazonaws.com", "/search/named"),
        (f"{BUCKET}.s3.us-east-1.amazonaws.com", "/search/named"),
        ("s3.object-store.svc:9000", f"/{BUCKET}/search/named"),
        ("registry.isoserve-system.svc:9000", f"/{BUCKET}/search/named"),
    ],
)
def test_a_bucket_is_in_the_hosts_name_only_of_awss_own(s3: Any, host: str, path: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="search/named", Body=b"found")
    key = "AWS4-HMAC-SHA256 Credential=sandbox/20261129/us-east-1/s3/aws4_request"
    headers = {"Host": host, "Authorization": f"{key}, SignedHeaders=host, Signature=0"}
    with own_session() as session:
        answer = session.get(s3.meta.endpoint_url + path, headers=headers, timeout=10)
    assert answer.content == b"found"
