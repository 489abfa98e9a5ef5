"""boto3's transfer manager on a folder: `transfer_boto up|down URL BUCKET PREFIX FOLDER`.

Eight threads and parts of 16 MiB over all files together, as its documentation advises for speed;
one manager, since a manager a file would start its threads anew each time.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config

_THREADS: Final = 8
_PART_BYTES: Final = 16 * 2**20


def main(way: str, url: str, bucket: str, prefix: str, target: str) -> None:
    folder = Path(target)
    plain = Config(
        max_pool_connections=_THREADS,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"},
    )
    client = boto3.client("s3", endpoint_url=url, config=plain)
    settings = TransferConfig(
        max_concurrency=_THREADS,
        multipart_chunksize=_PART_BYTES,
        multipart_threshold=_PART_BYTES,
        io_chunksize=2**20,
    )
    with create_transfer_manager(client, settings) as manager:
        if way == "up":
            waiting = [
                manager.upload(str(path), bucket, f"{prefix}/{path.name}")
                for path in sorted(folder.iterdir())
            ]
        else:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            rows = [row["Key"] for page in pages for row in page["Contents"]]
            folder.mkdir()
            waiting = [
                manager.download(bucket, key, str(folder / key.rpartition("/")[2])) for key in rows
            ]
        for one in waiting:
            one.result()


if __name__ == "__main__":
    main(*sys.argv[1:])
