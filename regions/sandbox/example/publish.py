"""Has the example model in the registry of every region of the sandbox.

The home region's bucket is made by its stack, so this goes on while `pulumi up` does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from components.model_registry import keys
from components.model_registry.account import Account
from components.model_registry.catalogue import move_tag, pointed_to
from components.model_registry.errors import RegistryError
from components.model_registry.keys import Address
from components.model_registry.local_files import find
from components.model_registry.push import PARTS_AT_ONCE, Push
from components.model_registry.sessions import Registry, connect
from components.model_registry.threads import threads
from components.model_registry.uploads import Uploads
from regions.plan import RegionPlan
from regions.sandbox import object_store, processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.example import training
from regions.sandbox.example.replication import replicate
from regions.sandbox.layout import AWS, ROOT
from regions.sandbox.plans import plan_of
from regions.sandbox.ports import object_store_url
from regions.sandbox.toolchain import Say

SPEC: Final = "model_specs/search/ranker.yaml"
VERSION: Final = keys.address("search/ranker:v7")
TAG: Final = "prod"
SCORES: Final = "search/scores"
"""The job that scores pairs.csv."""
METADATA: Final[Mapping[str, str]] = {"framework": "scikit-learn 1.9.1", "task": "ranking"}
"""Part of the manifest, and so of the digest."""
_BUCKET_TIMEOUT_SECONDS: Final = 600
_POLL_SECONDS: Final = 0.5


def publish(home: str, others: Sequence[str], say: Say, given_up: threading.Event) -> None:
    """Train the model if need be, push it to `home`, and copy `home`'s registry to the `others`.

    Waits for the buckets, which the stacks make, unless it is `given_up`. Run again, it changes
    nothing. Raises SandboxError with what to do.
    """
    client = object_store.client("s3")
    folder = training.ensure(say)
    source = plan_of(home).registry.bucket
    if not _await_bucket(client, source, given_up):
        return
    try:
        _hand_over(client, plan_of(home))
        say(_push(home, source, folder))
        for region in others:
            target = plan_of(region).registry.bucket
            if _await_bucket(client, target, given_up):
                _hand_over(client, plan_of(region))
                say(_copied(replicate(client, source, target), region))
    except (BotoCoreError, ClientError, RegistryError) as reason:
        raise SandboxError(
            f"the example model could not be published: {reason} (its version stands in {SPEC}; "
            f"the log of the object store is {processes.log_file(object_store.NAME)})"
        ) from reason


def _hand_over(client: Any, plan: RegionPlan) -> None:
    """Put the job's input into the region's bucket, as the people do whose data it is.

    Before the model, for which the job's pods wait.
    """
    pairs = (Path(__file__).parent / "pairs.csv").read_bytes()
    for job in (one for one in plan.jobs if one.workload.id == SCORES):
        place = {"Bucket": plan.registry.bucket, "Key": f"{job.data.input_prefix}pairs.csv"}
        rows = client.list_objects_v2(Bucket=place["Bucket"], Prefix=place["Key"])
        if "Contents" not in rows or client.get_object(**place)["Body"].read() != pairs:
            client.put_object(**place, Body=pairs)


def _push(region: str, bucket: str, folder: Path) -> str:
    """Push the model under its version; where the spec pins that very version, it must be this."""
    registry, pinned = _registry(bucket), _pinned()
    with threads(PARTS_AT_ONCE) as senders:
        uploads = Uploads(registry.client, bucket, senders)
        push = Push(registry.store, uploads, VERSION, lambda work, count: None)
        pushed = push.run(list(find(folder)), METADATA)
    # A person may pin another version, of a model of their own.
    if pinned.label == VERSION.label and pinned.digest != pushed.digest:
        raise SandboxError(
            f"{VERSION} was trained as {pushed.digest}, but {SPEC} pins {pinned.digest}; if the "
            f"change is wanted, pin it by `isoserve model pin {SPEC} --region {region}` and run "
            "this again"
        )
    tag = keys.tag(VERSION.project, VERSION.model, TAG)
    if pointed_to(registry.store, tag) != pushed.digest:
        move_tag(registry.store, VERSION, TAG, pushed.digest)
    return f"{'pushed' if pushed.new else 'has'} {VERSION}@{pushed.digest[:19]}, tagged {TAG}"


def _copied(number: int, region: str) -> str:
    if not number:
        return f"{region} has all of it"
    told = "copied as S3 replication would, which moto does not do"
    return f"{number} objects {told}: to {region}"


def _pinned() -> Address:
    """The address that the spec pins."""
    return keys.address(str(yaml.safe_load((ROOT / SPEC).read_text())["model"]))


def _registry(bucket: str) -> Registry:
    account = Account(
        region=object_store.AWS_REGION,
        profile=object_store.PROFILE,
        config_file=str(AWS / "config"),
        credentials_file=str(AWS / "credentials"),
    )
    return connect(bucket, object_store_url(), account)


def _await_bucket(client: Any, name: str, given_up: threading.Event) -> bool:
    """Whether the bucket came; False when it was `given_up`. Raises SandboxError in the end."""
    deadline = time.monotonic() + _BUCKET_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if any(row["Name"] == name for row in client.list_buckets()["Buckets"]):
            return True
        if given_up.wait(_POLL_SECONDS):
            return False
    raise SandboxError(
        f"after {_BUCKET_TIMEOUT_SECONDS} s there is no bucket {name}, which the stack makes; look "
        "at what `pulumi up` says, and run this again"
    )
