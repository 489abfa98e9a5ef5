"""Copies registries from one bucket to another, as S3 replication does in real regions.

moto keeps a bucket's replication rules and copies nothing. Order matters as in a push: what points
to something comes after it, so that a half copy is invisible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class _Object:
    """An object of a bucket, as its listing tells of it."""

    key: str
    size: int
    etag: str

    @property
    def rank(self) -> int:
        """Blobs and the like first, then manifests, versions, and tags."""
        for rank, folder in enumerate(("/tags/", "/versions/", "/manifests/")):
            if folder in self.key:
                return -rank
        return -3

    def is_as(self, other: _Object | None) -> bool:
        """Whether `other` holds the same; the key of a blob says what is in it."""
        if other is None or other.size != self.size:
            return False
        # An upload in parts has an ETag that tells of the parts.
        return "/blobs/" in self.key or other.etag == self.etag


def replicate(client: Any, source: str, target: str) -> int:
    """Copy what the bucket `target` lacks or has otherwise; the number of objects. Never deletes.

    Raises botocore's ClientError.
    """
    there = {one.key: one for one in _objects(client, target)}
    lacking = [one for one in _objects(client, source) if not one.is_as(there.get(one.key))]
    for one in sorted(lacking, key=lambda one: (one.rank, one.key)):
        client.copy({"Bucket": source, "Key": one.key}, target, one.key)
    return len(lacking)


def _objects(client: Any, bucket: str) -> Iterator[_Object]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for row in page.get("Contents", ()):
            yield _Object(row["Key"], row["Size"], row["ETag"])
