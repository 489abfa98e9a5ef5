"""Offer: how a region carries one machine type, on which nodes, how many, at what price."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, model_validator

from model_specs.errors import refuse, refuse_all, repeated, shown
from model_specs.names import SUBDOMAIN
from model_specs.part import Part

LABEL_KEY: Final = (
    r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
)
INSTANCE_TYPE: Final = r"^[a-z0-9-]+\.[a-z0-9-]+$"
_OLDEST_PRICE: Final = timedelta(days=5 * 365)
"""No machine costs today what it did before."""
LABEL_VALUE: Final = r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"


def _check_day(day: date) -> date:
    # A day is over at different times in different places.
    if day > datetime.now(UTC).date() + timedelta(days=1):
        raise refuse("E371", f"a price of the future, got {day}; write the day it was looked up")
    if day < datetime.now(UTC).date() - _OLDEST_PRICE:
        years = _OLDEST_PRICE.days // 365
        raise refuse("E371", f"a price of more than {years} years ago, got {day}; look it up")
    return day


def _check_once(values: Sequence[Any]) -> Any:
    refuse_all(
        ((index,), "E371", f"listed twice, got {shown(values[index])}; keep one")
        for index in repeated(values)
    )
    return values


Once = AfterValidator(_check_once)


_DEAREST_USD: Final = 10_000
_CHEAPEST_USD: Final = 0.001
"""Bounds of what a node may cost an hour: below and above them stands a slip of the pen."""
Usd = Annotated[float, Field(ge=_CHEAPEST_USD, le=_DEAREST_USD)]
_OWN_TAINTS: Final = re.compile(
    r"(node(\.cloudprovider)?\.kubernetes\.io|isoserve\.dev)/.*"
    r"|node-role\.kubernetes\.io/(control-plane|master)"
)
"""Kubernetes' own keys say that a node is broken, drained or a control plane.
Source: kubernetes.io, "Well-Known Labels, Annotations and Taints"."""


def check_taint(key: str) -> str:
    """The key of a taint of somebody else's, unless it is Kubernetes' own or ours (E371)."""
    if _OWN_TAINTS.fullmatch(key):
        why = f"this taint keeps pods away for the cluster or for us, got {shown(key)}"
        raise refuse("E371", f"{why}; give these nodes a taint of your own")
    return key


class Price(Part):
    """US dollars per node and hour, and the day they were looked up."""

    on_demand: Usd | None
    """On-demand, or the accounting price of an own machine; null is unknown."""
    spot: Usd | None
    """Typical spot price; null is unknown or not offered."""
    as_of: Annotated[date, AfterValidator(_check_day)]
    """The day."""


class Nodes(Part):
    """How many nodes of one capacity type a pool may have."""

    min: Annotated[int, Field(ge=0, le=10_000)]
    """Never fewer."""
    max: Annotated[int, Field(ge=0, le=10_000)]
    """Never more: quota or reservation."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            why = f"node min is above max, got {self.min} over {self.max}"
            raise refuse("E371", f"{why}; raise max or lower min")
        return self


class Taint(Part):
    """A taint (effect NoSchedule) that somebody else puts on nodes."""

    key: Annotated[str, Field(pattern=LABEL_KEY), AfterValidator(check_taint)]
    """Its key."""
    value: Annotated[str, Field(pattern=LABEL_VALUE)] = ""
    """Its value; empty is any."""


IMAGES_GIB: Final = 60
"""Images and logs beside the models on a node's one volume."""
LARGEST_VOLUME_GIB: Final = 65_536
"""Of a gp3 volume. Source: the EC2 API, CreateLaunchTemplate (a test reads it)."""


class Offer(Part):
    """How a region carries one machine type."""

    instance_types: Annotated[tuple[Annotated[str, Field(pattern=INSTANCE_TYPE)], ...], Once]
    """AWS: instance types in order of preference, of equal shape."""
    node_names: Annotated[
        tuple[Annotated[str, Field(pattern=SUBDOMAIN, max_length=253)], ...], Once
    ]
    """On-prem: the nodes, by name."""
    replicas_per_node: Annotated[int, Field(ge=1, le=64)]
    """How many replicas of this machine type one node holds."""
    on_demand: Nodes
    """On-demand or own nodes."""
    spot: Nodes
    """Interruptible nodes; zero where there are none."""
    cache_disk_gib: Annotated[int, Field(ge=1)]
    """Disk of a node that may hold models."""
    price_usd_per_hour: Price
    """What a node costs."""
    taints: Annotated[tuple[Taint, ...], Once] = ()
    """Taints that others put on these nodes; models and cache agents tolerate them. GPU nodes need
    none here: everything of ours tolerates the GPUs' vendor's and isoserve.dev/machine-type."""
    simulated: bool = False
    """The nodes are said to run pods and run none (kwok), as in a sandbox without GPUs."""

    def volume_gib(self, free_percent: int) -> int:
        """Size in GiB of the one volume that is made for a node, 0 for own nodes."""
        return 0 if self.node_names else self.disk_gib(free_percent)

    def disk_gib(self, free_percent: int) -> int:
        """The smallest disk on which a full cache, images and logs leave `free_percent` of it free:
        the volume on AWS, and what own nodes have at least."""
        # In whole numbers, rounded up.
        return -(-100 * (self.cache_disk_gib + IMAGES_GIB) // (100 - free_percent))

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.instance_types) == bool(self.node_names):
            raise refuse("E371", "an offer has either instance_types or node_names; write one")
        if self.node_names and (self.on_demand.max != len(self.node_names) or self.spot.max):
            number = f"{len(self.node_names)} nodes are listed, which are all on-demand"
            got = f"got on_demand.max {self.on_demand.max} and spot.max {self.spot.max}"
            message = f"{number}, {got}; write {len(self.node_names)} and 0"
            raise refuse("E371", message)
        return self
