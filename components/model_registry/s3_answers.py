"""What S3 answers: its errors as sentences, and checksums as it writes them."""

from __future__ import annotations

import base64
from typing import Final

from botocore.exceptions import ClientError

from components.model_registry.errors import RegistryError
from components.model_registry.local_files import LocalFile

GONE: Final = ("404", "InvalidPart", "NoSuchKey", "NoSuchUpload")
"""What is said of an upload that another process has ended, or of an object that is not there."""
BAD_DIGEST: Final = ("BadDigest", "InvalidChecksum", "XAmzContentChecksumMismatch")


def code(error: Exception) -> str:
    """The error's S3 code, empty when it did not come from S3."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def told(bucket: str, key: str, error: Exception) -> RegistryError:
    """The error for people."""
    if code(error) == "NoSuchBucket":
        return RegistryError(f"s3://{bucket}: there is no such bucket")
    return RegistryError(f"s3://{bucket}/{key}: {' '.join(str(error).split())[:300]}")


def crc_text(file: LocalFile, index: int) -> str:
    """The CRC32 of a part as S3 writes it."""
    crc = file.crcs[index] if file.crcs else 0
    return base64.b64encode(crc.to_bytes(4, "big")).decode()
