"""What obstore says of a store, told as what the registry cannot do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, PermissionDeniedError

from components.model_registry.errors import Denied, NotFound, RegistryError


@contextmanager
def telling(where: str, key: str) -> Iterator[None]:
    """Raise NotFound or RegistryError for what goes wrong with `key` in the bucket `where`."""
    try:
        yield
    except (BaseError, OSError) as error:
        if "NoSuchBucket" in str(error):
            raise RegistryError(f"{where}: there is no such bucket") from None
        if isinstance(error, FileNotFoundError):
            raise NotFound(f"{where}: there is no {key}") from None
        is_denied = isinstance(error, PermissionDeniedError)
        kind = Denied if is_denied else RegistryError
        raise kind(f"{where}: {key}: {words_of(error)}") from None


def words_of(error: Exception) -> str:
    """What the store said, without obstore's page of details."""
    code = re.search(r"<Code>(\w+)</Code>", str(error))
    line = str(error).split("\n", 1)[0]
    if "error sending request" in line:
        return "cannot be reached; is the endpoint right, and is it reachable from here?"
    return f"the store refuses, {code[1]}" if code else line.split(" - Server returned")[0][:300]
