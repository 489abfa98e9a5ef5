"""What killed pushes have left of an upload, and which of it is provably the file's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from components.model_registry.local_files import LocalFile
from components.model_registry.part_stream import PartStream
from components.model_registry.s3_answers import GONE, code, crc_text

Parts = Mapping[int, str]
"""ETags of an upload's parts by number, which counts from 1."""


def open_uploads(client: Any, bucket: str, key: str) -> Iterator[str]:
    """The uploads of `key` that nobody has ended."""
    pages = client.get_paginator("list_multipart_uploads")
    try:
        for page in pages.paginate(Bucket=bucket, Prefix=key):
            yield from (row["UploadId"] for row in page.get("Uploads", ()) if row["Key"] == key)
    except ClientError as error:
        if code(error) != "AccessDenied":  # who may not look for one begins anew
            raise


def proved(client: Any, bucket: str, file: LocalFile, key: str, upload: str) -> Parts:
    """The parts in the store that are known to be the file's."""
    pages = client.get_paginator("list_parts")
    rows = [
        row
        for page in pages.paginate(Bucket=bucket, Key=key, UploadId=upload)
        for row in page.get("Parts", ())
    ]
    return {row["PartNumber"]: row["ETag"] for row in rows if _holds(row, file)}


def _holds(row: Mapping[str, Any], file: LocalFile) -> bool:
    """Whether a part that the store lists is provably the file's own."""
    index = row["PartNumber"] - 1
    if index >= len(file.crcs):
        return False
    with PartStream(file, index) as part:
        if row["Size"] != len(part):
            return False
        if "ChecksumCRC32" in row:
            return bool(row["ChecksumCRC32"] == crc_text(file, index))
        # Stores without checksums, and never the buckets whose key makes an ETag no MD5.
        md5 = hashlib.md5(usedforsecurity=False)
        while piece := part.read(1024 * 1024):
            md5.update(piece)
    return bool(row["ETag"].strip('"') == md5.hexdigest())


def has(client: Any, bucket: str, key: str, size: int) -> bool:
    """Whether another push has ended what it shared with ours."""
    try:
        found = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code(error) in GONE:
            return False
        raise
    return bool(found["ContentLength"] == size)
