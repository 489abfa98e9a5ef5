"""The AWS SDK as one account uses it. To import it takes longer than to read a small model."""

from __future__ import annotations

from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from components.model_registry.account import Account
from components.model_registry.errors import RegistryError

_CONNECTIONS: Final = 16


class Sdk:
    """The SDK's session of an account, whose credentials are found already."""

    def __init__(self, bucket: str, account: Account) -> None:
        """Raises RegistryError when the account has no credentials to reach `bucket` with."""
        self._account = account
        self._session = _session(account)
        try:
            self._found = self._session.get_credentials()
        except (BotoCoreError, ValueError) as error:
            raise _unusable(account, error) from None
        if self._found is None:
            files = account.credentials_file or account.config_file or "~/.aws"
            named = f"profile {account.profile!r} in {files}"
            where = named if account.profile else "the environment"
            raise RegistryError(f"no credentials for s3://{bucket}; write them to {where}")

    def credentials(self) -> dict[str, Any]:
        """Those of this moment; the SDK renews them when they are about to expire."""
        now = self._found.get_frozen_credentials()
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": getattr(self._found, "_expiry_time", None),
        }

    def client(self, endpoint: str) -> Any:
        """boto3's client of S3, or of the store at `endpoint`. Raises RegistryError."""
        import boto3  # late: to read its description of S3 takes longer than all the rest

        try:
            session = boto3.Session(
                botocore_session=self._session, region_name=self._account.region
            )
            return session.client("s3", endpoint_url=endpoint or None, config=_config())
        except (BotoCoreError, ValueError) as error:
            raise _unusable(self._account, error) from None


def has_profile(account: Account) -> bool:
    """Whether this machine's shared files have the account's profile.

    A CI job has none: its credentials are in its environment.
    """
    return account.profile in _of_files(account).available_profiles


def _of_files(account: Account) -> botocore.session.Session:
    core = botocore.session.Session(profile=account.profile or None)
    for name in ("config_file", "credentials_file"):
        if path := getattr(account, name):
            core.set_config_variable(name, path)
    return core


def _session(account: Account) -> botocore.session.Session:
    core = _of_files(account)
    if account.profile and account.profile not in core.available_profiles:
        return botocore.session.Session()
    return core


def _unusable(account: Account, error: Exception) -> RegistryError:
    return RegistryError(f"the account's profile {account.profile!r}: {error}")


def _config() -> Config:
    # We give checksums ourselves; what the SDK adds unasked some S3-compatible stores refuse.
    return Config(
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 6},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"},
    )
