"""A region's registry, connected to by the credentials of an account."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from components.model_registry.account import Account
from components.model_registry.store import Store

if TYPE_CHECKING:
    from components.model_registry.sdk import Sdk

_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class LateClient:
    """boto3's client, made when it is first used: that takes longer than to read a small model."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """One bucket, as obstore reads it and as boto3 writes what obstore cannot."""

    store: Store
    client: Any
    bucket: str


def connect(bucket: str, endpoint: str, account: Account) -> Registry:
    """The registry in a bucket. Raises RegistryError when the account has no credentials."""

    @cache
    def sdk() -> Sdk:
        from components.model_registry.sdk import Sdk  # late: often nobody asks for it

        return Sdk(bucket, account)

    client = LateClient(lambda: sdk().client(endpoint))
    # An endpoint of the shared config is the SDK's alone to know; AWS's own is obstore's too.
    chosen = endpoint or client.meta.endpoint_url
    elsewhere = "" if chosen.endswith(".amazonaws.com") else chosen
    # Keys of the environment come first for the SDK as well, unless a profile is named.
    by_environment = not account.profile and all(map(os.environ.get, _KEYS))
    credentials = None if by_environment else sdk().credentials
    store = Store(f"s3://{bucket}", elsewhere, account.region, credentials)
    return Registry(store=store, client=client, bucket=bucket)
