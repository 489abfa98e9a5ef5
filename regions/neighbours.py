"""Holds the region profiles of a tree against each other: each may be sound, and two not together.

Two regions that share a domain, a bucket or a cluster overwrite each other's routes, models or
objects, and every `pulumi up` of one undoes the other's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from model_specs.errors import SpecError, shown
from model_specs.source import Source, Where
from regions.profile import RegionProfile
from regions.registry import Replica

Finding = tuple[str, Where, str]
"""Region, place in its profile, and what is wrong there with what to do."""

_ARN_REGION: Final = 3
_ARN_ACCOUNT: Final = 4
SHARED: Final[dict[str, tuple[Where, Callable[[RegionProfile], tuple[str, ...]]]]] = {
    "domain": (("domain",), lambda profile: (profile.domain,)),
    "bucket": (
        ("registry", "bucket"),
        # S3's names are unique in a partition; another store has its own.
        lambda profile: (
            profile.registry.bucket,
            profile.registry.endpoint.rstrip("/") or profile.account.partition.name,
        ),
    ),
    "cluster": (
        ("cluster", "context"),
        lambda profile: (profile.cluster.context, profile.cluster.kubeconfig),
    ),
    "cluster of EKS": (
        ("cluster", "name"),
        lambda profile: (
            (profile.cluster.name, profile.account.region, profile.account.account_id)
            if profile.provider == "aws"
            else ()
        ),
    ),
}
"""What no two regions have in common: the place in a profile, and by what it is told apart."""


def _shared(profiles: Mapping[str, RegionProfile]) -> Iterator[Finding]:
    for what, (where, key_of) in SHARED.items():
        owners: dict[tuple[str, ...], str] = {}
        for region, profile in profiles.items():
            key = key_of(profile)
            owner = owners.setdefault(key, region) if key else region
            if owner != region:
                why = f"a {what} is one region's, got {shown(key[0])} of {owner} too"
                yield region, where, f"{why}; give each its own"


def _nested(profiles: Mapping[str, RegionProfile]) -> Iterator[Finding]:
    """Domains among the hosts of another region: `internal.` and `<model>--<project>`."""
    for region, profile in profiles.items():
        for other, outer in profiles.items():
            if other == region or not profile.domain.endswith(f".{outer.domain}"):
                continue
            label = profile.domain.removesuffix(f".{outer.domain}").rpartition(".")[2]
            if label == "internal" or ("--" in label and not label.startswith("xn--")):
                why = f"{label}.{outer.domain} has hosts of {other}, got {shown(profile.domain)}"
                yield region, ("domain",), f"{why}; choose a domain beside it"


def _copies(profiles: Mapping[str, RegionProfile]) -> Iterator[Finding]:
    """Copies of a registry that do not arrive, or arrive from two sides.

    S3 does not copy what was copied to a bucket (docs.aws.amazon.com/AmazonS3/latest/userguide/
    replication-what-is-isnot-replicated.html), so a copy that is a home too would lack models. A
    copy in a region without a profile is legal: its bucket may belong to another tree.
    """
    homes: dict[str, str] = {}
    for region, profile in profiles.items():
        for index, copy in enumerate(profile.registry.replicate_to):
            where = ("registry", "replicate_to", index)
            home = homes.setdefault(copy.region, region)
            if copy.region == region:
                yield region, (*where, "region"), "a region is no copy of itself; remove it"
                continue
            if home != region:
                why = f"a registry has one home, got {copy.region} as a copy of {home} too"
                yield region, (*where, "region"), f"{why}; keep one"
            if copy.region in profiles:
                yield from _misfit(region, where, copy, profiles[copy.region])


def _misfit(region: str, where: Where, copy: Replica, other: RegionProfile) -> Iterator[Finding]:
    """What of a copy is not what the profile of its own region, `other`, says."""
    if other.registry.replicate_to:
        why = f"{copy.region} is a home itself, and S3 copies no copies"
        yield region, (*where, "region"), f"{why}; empty replicate_to in one of them"
    if copy.bucket != other.registry.bucket:
        why = f"{copy.region} reads {other.registry.bucket}, got {shown(copy.bucket)}"
        yield region, (*where, "bucket"), f"{why}; write that one"
    arn = copy.key_arn.split(":")
    place = (other.account.region, other.account.account_id)
    if copy.key_arn and (arn[_ARN_REGION], arn[_ARN_ACCOUNT]) != place:
        why = f"a bucket's key is in its region and account, {' and '.join(place)}"
        cure = f"write registry_key_arn of {copy.region}'s stack"
        yield region, (*where, "key_arn"), f"{why}, got {shown(copy.key_arn)}; {cure}"


def conflicts(
    profiles: Mapping[str, RegionProfile], sources: Mapping[str, Source]
) -> Iterator[SpecError]:
    """Everything in which two of the profiles contradict each other (E372), at its place."""
    for find in (_shared, _nested, _copies):
        for region, where, message in find(profiles):
            yield sources[region].error(where, "E372", message)
