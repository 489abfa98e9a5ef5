"""A tenant, as its owners write it in `project.yaml`."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from model_specs.field_types import Group, PullSecret
from model_specs.names import Name
from model_specs.part import Part

_MOST_GROUPS: Final = 1000


class Members(Part):
    """Groups of the identity provider, by what they may do in the project's namespace."""

    admins: Annotated[tuple[Group, ...], Field(max_length=_MOST_GROUPS)] = ()
    """May change secrets and read everything."""
    developers: Annotated[tuple[Group, ...], Field(max_length=_MOST_GROUPS)] = ()
    """May read everything but secrets, and restart pods."""
    viewers: Annotated[tuple[Group, ...], Field(max_length=_MOST_GROUPS)] = ()
    """May read everything but secrets."""


class ProjectSpec(Part):
    """A tenant: who belongs to it, what it may use, whom it shares with."""

    members: Members = Members()
    """Who may do what."""
    gpu_quota: dict[str, Annotated[int, Field(ge=0, le=10_000)]] = Field(default={})
    """The most GPUs per machine type and region; a type that is not listed has none."""
    cpu_quota: Annotated[int, Field(ge=1, le=100_000)] = 64
    """The most CPU cores in one region."""
    memory_quota_gib: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    """The most memory in one region."""
    share_with: tuple[Name, ...] = ()
    """Projects that may call every private model of this one."""
    pull_secret: PullSecret = ""
    """Secret of the project's namespace by which nodes may pull its pods' images, beside the
    region's; empty for none of its own."""
    cost_cap_usd_per_month: Annotated[float, Field(gt=0)] | None = None
    """The most the project's largest size may cost in one region and month."""
