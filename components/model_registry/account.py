"""Whose credentials are used to call the registry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A profile of the AWS SDK's shared files: paths and names as in the region's profile.

    Each may be empty, which is the SDK's own.
    """

    region: str
    profile: str
    config_file: str
    credentials_file: str
