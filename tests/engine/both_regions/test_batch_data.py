"""The example job on the real engine: it scores what is in the store, by the rights of its own."""

from __future__ import annotations

import base64
import configparser
import json
import time
from collections.abc import Callable
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.engine.world import REGIONS, World

pytestmark = pytest.mark.engine

INPUT, OUTPUT = "_datasets/search/pairs/pairs.csv", "_datasets/search/scores/pairs.csv"
KNOWN: Final = 2.803466796875
"""What the trained example model answers to the first line, exact to the last bit."""
LIMIT_SECONDS: Final = 240
ROLE: Final = "eks.amazonaws.com/role-arn"


def get(world: World, region: str, path: str) -> Any:
    found = world.cluster(region).get(path)
    assert found is not None, f"{region} has no {path}"
    return found


def client(world: World, service: str, **keys: str) -> Any:
    ports = json.loads((world.root / ".isoserve" / "sandbox.json").read_text())
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{ports['moto']}",
        region_name="us-east-1",
        config=Config(proxies={}, s3={"addressing_style": "path"}),
        **(keys or {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"}),
    )


def keys_of_job(world: World, region: str) -> dict[str, str]:
    """What the job's pods ask the store with: by its role on AWS, by its Secret elsewhere."""
    space = "/api/v1/namespaces/search"
    account = get(world, region, f"{space}/serviceaccounts/scores")
    role = account["metadata"]["annotations"].get(ROLE, "")
    if role:
        sts = client(world, "sts")  # with the sandbox's own keys: no pod's token is at hand
        answer = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        given = [answer[name] for name in names]
    else:
        secret = get(world, region, f"{space}/secrets/scores--data")["data"]["credentials"]
        said = configparser.ConfigParser()
        said.read_string(base64.b64decode(secret).decode())
        given = [said["default"][f"aws_{n}"] for n in ("access_key_id", "secret_access_key")]
    words = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return dict(zip(words, given, strict=False))


@pytest.mark.parametrize("region", REGIONS)
def test_the_job_scores_a_file_of_the_store_with_the_model(world: World, region: str) -> None:
    query = "labelSelector=isoserve.dev/model%3Dscores"
    until = time.monotonic() + LIMIT_SECONDS
    while True:
        (job,) = get(world, region, f"/apis/batch/v1/namespaces/search/jobs?{query}")["items"]
        status = job["status"]
        if status.get("succeeded"):
            break
        failed = [one for one in status.get("conditions", ()) if one["type"] == "Failed"]
        assert not failed, f"its pods have failed: {status}"
        assert time.monotonic() < until, f"it has not ended: {status}"
        time.sleep(1)
    store, bucket = client(world, "s3"), f"isoserve-models-{region}"
    lines = store.get_object(Bucket=bucket, Key=OUTPUT)["Body"].read().decode().splitlines()
    asked = store.get_object(Bucket=bucket, Key=INPUT)["Body"].read().decode().splitlines()
    assert len(lines) == len(asked) == 3, "a score for each pair"
    assert float(lines[0]) == KNOWN, "the trained model's answer, as the endpoint gives it"


@pytest.mark.parametrize("region", REGIONS)
def test_its_credentials_are_denied_every_other_prefix(world: World, region: str) -> None:
    job, bucket = client(world, "s3", **keys_of_job(world, region)), f"isoserve-models-{region}"
    assert job.get_object(Bucket=bucket, Key=INPUT), "it reads its input"
    job.put_object(Bucket=bucket, Key="_datasets/search/scores/again.csv", Body=b"")
    ranker = "search/models/ranker/tags/prod"
    assert client(world, "s3").get_object(Bucket=bucket, Key=ranker), "so there is something"
    refused: dict[str, Callable[[], object]] = {
        "a model": lambda: job.get_object(Bucket=bucket, Key=ranker),
        "its results": lambda: job.get_object(Bucket=bucket, Key=OUTPUT),
        "its input": lambda: job.put_object(Bucket=bucket, Key=INPUT, Body=b""),
        "other data": lambda: job.put_object(
            Bucket=bucket, Key="_datasets/search/index/a", Body=b""
        ),
        "other project": lambda: job.list_objects_v2(Bucket=bucket, Prefix="_datasets/chat/"),
    }
    for what, ask in refused.items():
        with pytest.raises(ClientError) as error:
            ask()
        assert error.value.response["Error"]["Code"] == "AccessDenied", what
