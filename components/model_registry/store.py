"""The bucket of a registry: small objects whole, large ones by range.

Built on obstore: it is imported in 0.05 s and needs no package of its own, so that the agent of
every node can afford it. It cannot go on with another process's upload; uploads.py has boto3.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from components.model_registry.errors import Corrupt, RegistryError
from components.model_registry.telling import telling, words_of
from regions.aws_partitions import partition_of

if TYPE_CHECKING:
    from obstore import GetResult

Credentials = Callable[[], Any]
"""Gives access_key_id, secret_access_key, token and expires_at, anew when they have expired."""
_SIGNED_FOR: Final = timedelta(minutes=15)
MAX_SMALL_BYTES: Final = 32 * 1024 * 1024
RETRIES: Final[Any] = {"max_retries": 6, "retry_timeout": timedelta(seconds=60)}
_TIMEOUTS: Final[Any] = {
    "connect_timeout": timedelta(seconds=10),
    "read_timeout": timedelta(seconds=30),  # a store that hangs is away too, and is said to be
    "timeout": timedelta(minutes=5),  # of a whole answer: a range comes in time, a file might not
}


def hosts(endpoint: str, region: str) -> dict[str, str]:
    """Where S3 and STS answer, as obstore's settings: of AWS it knows amazonaws.com alone."""
    suffix = partition_of(region).dns_suffix
    if endpoint:
        return {"endpoint": endpoint}
    if suffix == "amazonaws.com":
        return {}
    return {
        "endpoint": f"https://s3.{region}.{suffix}",
        "endpoint_url_sts": f"https://sts.{region}.{suffix}",
    }


class Store:
    """One bucket, for any number of threads. Every method raises RegistryError."""

    def __init__(
        self, url: str, endpoint: str, region: str, credentials: Credentials | None
    ) -> None:
        """The bucket `url` (`s3://bucket`) of S3, or of the S3-compatible store at `endpoint`.

        Without `credentials` they come from the environment, a pod's web identity or its node.
        """
        if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", url):
            raise RegistryError(f"a registry's bucket is s3://<bucket>, got {url!r}")
        self.bucket = url.removeprefix("s3://")
        self._where = f"{url} at {endpoint}" if endpoint else url
        more: dict[str, Any] = hosts(endpoint, region)
        if credentials is not None:
            more["credential_provider"] = credentials
        # Only where the profile, or a pod's environment that names an endpoint, says so itself.
        named = endpoint or os.environ.get("AWS_ENDPOINT_URL", "")
        in_clear = urlsplit(named).scheme == "http"
        try:
            self._store = S3Store(
                self.bucket,
                region=region,
                retry_config=RETRIES,
                client_options=_TIMEOUTS | {"allow_http": in_clear},
                **more,
            )
        except BaseError as error:
            raise RegistryError(f"{self._where}: {words_of(error)}") from None

    def size(self, key: str) -> int:
        """The object's size in bytes. Raises NotFound."""
        with telling(self._where, key):
            return int(obstore.head(self._store, key)["size"])

    def read(self, key: str) -> bytes:
        """All of a small object. Raises NotFound."""
        with telling(self._where, key):
            found = obstore.get(self._store, key)
            size = int(found.meta["size"])
            if size <= MAX_SMALL_BYTES:
                return bytes(found.bytes())
        raise RegistryError(f"{self._where}: {key} has {size} bytes, more than belong there")

    def fill(self, buffer: memoryview, key: str, start: int, size: int) -> None:
        """Read into `buffer` from `start`. Raises NotFound, Corrupt when the object has not `size`.

        The answer tells the size, so that nobody has to ask for it before.
        """
        missing = buffer
        with telling(self._where, key):
            for piece in self._range(key, start, len(buffer), size).stream(min_chunk_size=0):
                missing[: len(piece)] = memoryview(piece)
                missing = missing[len(piece) :]
        self._check_end(key, len(missing))

    def rest(self, key: str, start: int, size: int) -> memoryview:
        """The same to the object's end, in new memory: quicker than `fill` where it is little."""
        with telling(self._where, key):
            found = memoryview(self._range(key, start, size - start, size).bytes())
        self._check_end(key, size - start - len(found))
        return found

    def _range(self, key: str, start: int, length: int, size: int) -> GetResult:
        try:
            found = obstore.get(self._store, key, options={"range": (start, start + length)})
            there = int(found.meta["size"])
        except BaseError as error:
            if "InvalidRange" not in str(error) or (there := self.size(key)) == size:
                raise
        if there != size:
            raise Corrupt(f"its blob has {there} bytes, the manifest says {size}")
        return found

    def _check_end(self, key: str, missing: int) -> None:
        if missing:
            raise RegistryError(f"{self._where}: {key} ends {missing} bytes too early")

    def sign(self, key: str) -> str:
        """A URL by which this object may be read for a while; empty when there is none."""
        try:
            return str(obstore.sign(self._store, "GET", key, _SIGNED_FOR))
        except (BaseError, OSError):
            return ""

    def create(self, key: str, data: bytes | bytearray) -> bool:
        """Write a small object unless there is one; whether it was written."""
        with telling(self._where, key):
            try:
                obstore.put(self._store, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def put(self, key: str, data: bytes | bytearray) -> None:
        """Write a small object over what is there."""
        with telling(self._where, key):
            obstore.put(self._store, key, data, use_multipart=False)

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys below `prefix`, which ends with `/`."""
        with telling(self._where, prefix):
            for page in obstore.list(self._store, prefix):
                yield from (str(row["path"]) for row in page)

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders right below `prefix`, which ends with `/` or is empty."""
        with telling(self._where, prefix or "its folders"):
            found = obstore.list_with_delimiter(self._store, prefix or None)["common_prefixes"]
        return sorted(path.removeprefix(prefix).rstrip("/") for path in found)
