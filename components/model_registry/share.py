"""Copies a model into another project, inside the store: nothing comes through this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import boto3.exceptions
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from components.model_registry import keys, prefixes
from components.model_registry.catalogue import check_free, publish, read_manifest
from components.model_registry.checked import Bad, by_content, check_size, each
from components.model_registry.errors import NotFound
from components.model_registry.keys import Address
from components.model_registry.manifest import ManifestFile, to_bytes
from components.model_registry.push import check_is_no_tag
from components.model_registry.s3_answers import told as told_by_s3
from components.model_registry.sessions import Registry
from components.model_registry.threads import Told

_PARTS: Any = TransferConfig(max_concurrency=2)  # of each of the files that are copied at once


def share(registry: Registry, source: Address, target: Address, told: Told) -> list[Bad]:
    """Make the version `target` of what `source` has, whose digest is given with it.

    Blobs first and the version last, as in a push. Gives the files that are not there to copy,
    and publishes nothing then.
    """
    store = registry.store
    check_is_no_tag(store, target)
    check_free(store, target, source.digest)
    manifest = read_manifest(store, source.project, source.digest)

    def copy(group: Sequence[ManifestFile]) -> None:
        file = group[0]
        check_size(store, source.project, file)
        key = keys.blob(target.project, file.sha256)
        try:
            there = store.size(key)
        except NotFound:
            there = -1
        if there != file.size:
            _copy(registry, keys.blob(source.project, file.sha256), key)
        found = prefixes.load(store, source.project, file)
        prefixes.save(store, target.project, file.sha256, found)
        told("copy", file.size)

    bad = each(by_content(manifest), copy)
    if not bad:
        store.put(keys.manifest(target.project, source.digest), to_bytes(manifest))
        publish(store, target, source.digest)
    return bad


def _copy(registry: Registry, source: str, target: str) -> None:
    try:
        registry.client.copy(
            {"Bucket": registry.bucket, "Key": source}, registry.bucket, target, Config=_PARTS
        )
    except (ClientError, BotoCoreError, boto3.exceptions.Boto3Error) as error:
        raise told_by_s3(registry.bucket, target, error) from None
