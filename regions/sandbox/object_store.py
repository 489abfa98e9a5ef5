"""The local AWS of all regions: a moto server, its shared config files, and what exists beforehand.

Its state is in memory. When it had to be started anew, the engine's state tells of things that are
gone; `start` says so, and the next `up` then refreshes before it compares.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Final

import boto3
import requests
from botocore.config import Config

from regions.sandbox import processes
from regions.sandbox.control_plane import cluster_facts
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import own_session
from regions.sandbox.layout import AWS, AWS_REGIONS, write_atomically
from regions.sandbox.ports import object_store_url, ports

NAME: Final = "moto"
PROFILE: Final = "sandbox"
AWS_REGION: Final = "us-east-1"
READY_TIMEOUT_SECONDS: Final = 120
_CLUSTER_ROLE: Final = "isoserve-sandbox-cluster"
_TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "eks.amazonaws.com"},
        }
    ],
}


def start() -> bool:
    """Start the server when it doesn't run, seed it, write the AWS files; whether it is new.

    Raises SandboxError with the end of its log when it isn't ready in time.
    """
    port = ports()[NAME]
    argv = [sys.executable, "-m", "regions.sandbox.moto_server", "-H", "127.0.0.1", "-p", str(port)]
    env = processes.python_env() | {
        # Node roles carry AWS's own policies; the default world of moto has none of them.
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    }
    is_new = processes.start(NAME, argv, env)
    _wait_until_ready()
    _write_aws_files()
    seed()
    return is_new


def stop() -> bool:
    """End the server; whether it ran."""
    return processes.stop(NAME)


def client(service: str) -> Any:
    """A boto3 client of the local AWS."""
    return boto3.client(
        service,
        endpoint_url=object_store_url(),
        region_name=AWS_REGION,
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )


def cluster_name(region: str) -> str:
    """The EKS cluster that the region's profile names; by rule when there is no profile."""
    return cluster_facts(region).get("name") or f"isoserve-{region}"


def seed() -> None:
    """Make what real infrastructure would hold before the first `up`: the EKS clusters."""
    iam, eks = client("iam"), client("eks")
    try:
        role = iam.get_role(RoleName=_CLUSTER_ROLE)["Role"]
    except iam.exceptions.NoSuchEntityException:
        role = iam.create_role(RoleName=_CLUSTER_ROLE, AssumeRolePolicyDocument=json.dumps(_TRUST))[
            "Role"
        ]
    known = set(eks.list_clusters()["clusters"])
    for name in {cluster_name(region) for region in AWS_REGIONS} - known:
        eks.create_cluster(
            name=name,
            roleArn=role["Arn"],
            resourcesVpcConfig={"subnetIds": ["subnet-sandbox-a", "subnet-sandbox-b"]},
        )


def _wait_until_ready() -> None:
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    session = own_session()
    while time.monotonic() < deadline:
        processes.require_running(NAME)
        try:
            session.get(f"{object_store_url()}/moto-api/", timeout=2)
            return
        except requests.RequestException:
            time.sleep(0.05)
    log = processes.log_file(NAME)
    raise SandboxError(f"moto isn't ready after {READY_TIMEOUT_SECONDS} s; see {log}")


def _write_aws_files() -> None:
    write_atomically(
        AWS / "config",
        f"[profile {PROFILE}]\n"
        f"region = {AWS_REGION}\n"
        f"endpoint_url = {object_store_url()}\n"
        "s3 =\n"
        "    addressing_style = path\n",
    )
    write_atomically(
        AWS / "credentials",
        f"[{PROFILE}]\naws_access_key_id = sandbox\naws_secret_access_key = sandbox\n",
        mode=0o600,
    )
