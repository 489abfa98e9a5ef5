"""The local AWS judges bucket policies as S3 does, where moto by itself reads no conditions."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from components.aws_policies import tls_only
from regions.sandbox.processes import free_ports, python_env
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
