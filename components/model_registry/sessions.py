"""Who calls the registry: the credentials of a profile of the AWS SDK's shared files."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from components.model_registry.errors import RegistryError
from components.model_registry.store import Store

CONNECTIONS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Paths and names as in the region's profile; each may be empty, which is the SDK's own."""

    region: str
    profile: str
    config_file: str
    credentials_file: str


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
    core, found = _session(bucket, account)
    client = LateClient(lambda: _client(core, endpoint, account))
    # An endpoint of the shared config is the SDK's alone to know; AWS's own is obstore's too.
    chosen = endpoint or client.meta.endpoint_url
    elsewhere = "" if chosen.endswith(".amazonaws.com") else chosen
    store = Store(f"s3://{bucket}", elsewhere, account.region, lambda: _frozen(found))
    return Registry(store=store, client=client, bucket=bucket)


def _session(bucket: str, account: Account) -> tuple[botocore.session.Session, Any]:
    """The SDK's session of the account, and its credentials."""
    core = botocore.session.Session(profile=account.profile or None)
    for name in ("config_file", "credentials_file"):
        if path := getattr(account, name):
            core.set_config_variable(name, path)
    if account.profile and account.profile not in core.available_profiles:
        # As in a CI job, whose credentials are in its environment.
        core = botocore.session.Session()
    try:
        found = core.get_credentials()
    except (BotoCoreError, ValueError) as error:
        raise _unusable(account, error) from None
    if found is None:
        files = account.credentials_file or account.config_file or "~/.aws"
        where = f"profile {account.profile!r} in {files}" if account.profile else "the environment"
        raise RegistryError(f"no credentials for s3://{bucket}; write them to {where}")
    return core, found


def _client(core: botocore.session.Session, endpoint: str, account: Account) -> Any:
    import boto3  # late, as its client is

    try:
        session = boto3.Session(botocore_session=core, region_name=account.region)
        return session.client("s3", endpoint_url=endpoint or None, config=_config())
    except (BotoCoreError, ValueError) as error:
        raise _unusable(account, error) from None


def _unusable(account: Account, error: Exception) -> RegistryError:
    return RegistryError(f"the account's profile {account.profile!r}: {error}")


def _config() -> Config:
    # We give checksums ourselves; what the SDK adds unasked some S3-compatible stores refuse.
    return Config(
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 6},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"},
    )


def _frozen(found: Any) -> dict[str, Any]:
    """The credentials of this moment; the SDK renews them when they are about to expire."""
    now = found.get_frozen_credentials()
    expires = getattr(found, "_expiry_time", None)
    return {
        "access_key_id": now.access_key,
        "secret_access_key": now.secret_key,
        "token": now.token,
        "expires_at": expires,
    }
