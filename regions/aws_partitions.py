"""AWS partitions: how a region's ARNs begin and which suffix its hosts have.

Source: botocore's data/partitions.json (a test holds this table against it).
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Partition(NamedTuple):
    """The `aws` of `arn:aws:`, and what service hosts end with."""

    name: str
    dns_suffix: str


_COMMERCIAL: Final = Partition("aws", "amazonaws.com")
_BY_PREFIX: Final[dict[str, Partition]] = {
    "cn-": Partition("aws-cn", "amazonaws.com.cn"),
    "eu-isoe-": Partition("aws-iso-e", "cloud.adc-e.uk"),
    "eusc-": Partition("aws-eusc", "amazonaws.eu"),
    "us-gov-": Partition("aws-us-gov", "amazonaws.com"),
    "us-iso-": Partition("aws-iso", "c2s.ic.gov"),
    "us-isob-": Partition("aws-iso-b", "sc2s.sgov.gov"),
    "us-isof-": Partition("aws-iso-f", "csp.hci.ic.gov"),
}


def partition_of(region: str) -> Partition:
    """The partition of an AWS region, e.g. `aws-cn` of cn-north-1."""
    fits = (prefix for prefix in _BY_PREFIX if region.startswith(prefix))
    return next((_BY_PREFIX[prefix] for prefix in fits), _COMMERCIAL)
