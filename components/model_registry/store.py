"""The bucket of a registry: small objects whole, large ones by range.

Built on obstore: it is imported in 0.05 s and needs no package of its own, so that the agent of
every node can afford it. It cannot go on with another process's upload; uploads.py has boto3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from components.model_registry.errors import NotFound, RegistryError

Credentials = Callable[[], Any]
"""Gives access_key_id, secret_access_key, token and expires_at, anew when they have expired."""
MAX_SMALL_BYTES: Final = 32 * 1024 * 1024
RETRIES: Final[Any] = {"max_retries": 6, "retry_timeout": timedelta(seconds=60)}
_TIMEOUTS: Final[Any] = {
    "connect_timeout": timedelta(seconds=10),
    "timeout": timedelta(minutes=5),  # of a whole answer: a range comes in time, a file might not
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
        more: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
        if credentials is not None:
            more["credential_provider"] = credentials
        in_clear = urlsplit(endpoint).scheme == "http"  # only where the profile says so itself
        try:
            self._store = S3Store(
                self.bucket,
                region=region,
                retry_config=RETRIES,
                client_options=_TIMEOUTS | {"allow_http": in_clear},
                **more,
            )
        except BaseError as error:
            raise RegistryError(f"{self._where}: {_first_line(error)}") from None

    def size(self, key: str) -> int:
        """The object's size in bytes. Raises NotFound."""
        try:
            return int(obstore.head(self._store, key)["size"])
        except (BaseError, OSError) as error:
            raise self._told(key, error) from None

    def read(self, key: str) -> bytes:
        """All of a small object. Raises NotFound."""
        try:
            found = obstore.get(self._store, key)
            size = int(found.meta["size"])
            if size <= MAX_SMALL_BYTES:
                return bytes(found.bytes())
        except (BaseError, OSError) as error:
            raise self._told(key, error) from None
        raise RegistryError(f"{self._where}: {key} has {size} bytes, more than belong there")

    def read_range(self, key: str, start: int, length: int) -> memoryview:
        """The bytes of an object from `start`. Raises NotFound, or RegistryError when cut short."""
        try:
            found = obstore.get_range(self._store, key, start=start, length=length)
        except (BaseError, OSError) as error:
            raise self._told(key, error) from None
        if len(found) != length:
            raise RegistryError(f"{self._where}: {key} ends {length - len(found)} bytes too early")
        return memoryview(found)

    def create(self, key: str, data: bytes) -> bool:
        """Write a small object unless there is one; whether it was written."""
        try:
            obstore.put(self._store, key, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise self._told(key, error) from None
        return True

    def put(self, key: str, data: bytes) -> None:
        """Write a small object over what is there."""
        try:
            obstore.put(self._store, key, data, use_multipart=False)
        except (BaseError, OSError) as error:
            raise self._told(key, error) from None

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys below `prefix`, which ends with `/`."""
        try:
            for page in obstore.list(self._store, prefix):
                yield from (str(row["path"]) for row in page)
        except (BaseError, OSError) as error:
            raise self._told(prefix, error) from None

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders right below `prefix`, which ends with `/` or is empty."""
        try:
            found = obstore.list_with_delimiter(self._store, prefix or None)["common_prefixes"]
        except (BaseError, OSError) as error:
            raise self._told(prefix or "its folders", error) from None
        return sorted(path.removeprefix(prefix).rstrip("/") for path in found)

    def _told(self, key: str, error: Exception) -> RegistryError:
        said = str(error)
        if "NoSuchBucket" in said:
            return RegistryError(f"{self._where}: there is no such bucket")
        if isinstance(error, FileNotFoundError):
            return NotFound(f"{self._where}: there is no {key}")
        return RegistryError(f"{self._where}: {key}: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    """What the store said, without obstore's page of details."""
    code = re.search(r"<Code>(\w+)</Code>", str(error))
    line = str(error).split("\n", 1)[0]
    if "error sending request" in line:
        return "cannot be reached; is the endpoint right, and is it reachable from here?"
    return f"the store refuses, {code[1]}" if code else line.split(" - Server returned")[0][:300]
