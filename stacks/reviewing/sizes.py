"""GPUs and dollars of a plan at its least, expected and most replicas, at dated prices.

A replica costs its share of a node (price / replicas per node), as the cost cap counts it. What
has no known price makes the sum it belongs to unknown; no price is ever assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from regions.limits import HOURS_PER_MONTH
from regions.machines import MACHINES
from regions.model_plan import PlacementPlan
from regions.plan import RegionPlan
from regions.pools import capacity_of
from regions.profile import RegionProfile
from stacks.reviewing.floors import mean_floor

LEVELS: Final = ("min", "expected", "max")
EXPECTED: Final = (
    "`expected` is the floor of replicas averaged over a year of schedules; it forecasts no load. "
    "Batch jobs count at most only, since nobody knows how long a run takes. `max` has every spot "
    "replica that may fall back on on-demand nodes."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The replicas of one Deployment or job, and what one of them costs a month."""

    region: str
    project: str
    model: str
    track: str
    machine: str
    capacity: str
    replicas: tuple[float, float, float]
    monthly: float | None
    fallen: float | None
    """The same where it may fall back to on-demand nodes and has; else `monthly`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """GPUs and dollars a month by level; `unknown` are the machine types without a price."""

    gpus: tuple[float, ...]
    dollars: tuple[float | None, ...]
    unknown: tuple[str, ...]


def _monthly(profile: RegionProfile, machine: str, capacity: str) -> float | None:
    offer = profile.machines[machine]
    price = offer.price_usd_per_hour
    hourly = price.spot if capacity == "spot" else price.on_demand
    return None if hourly is None else hourly / offer.replicas_per_node * HOURS_PER_MONTH


def _dearest(placement: PlacementPlan, capacity: str) -> str:
    """The capacity that a pod may be charged for at most."""
    return "on_demand" if placement.fallback_seconds else capacity


def uses(plan: RegionPlan, profile: RegionProfile) -> Iterator[Use]:
    """Every Deployment and job of a region."""
    for server in plan.servers:
        for track in server.tracks:
            scaler, machine = track.scaler, track.placement.machine_type
            capacity = capacity_of(track)
            yield Use(
                region=plan.region,
                project=server.workload.project,
                model=server.workload.id,
                track=track.track,
                machine=machine,
                capacity=capacity,
                replicas=(scaler.min, mean_floor(scaler.min, scaler.schedules), scaler.max),
                monthly=_monthly(profile, machine, capacity),
                fallen=_monthly(profile, machine, _dearest(track.placement, capacity)),
            )
    for job in plan.jobs:
        machine = job.placement.machine_type
        yield Use(
            region=plan.region,
            project=job.workload.project,
            model=job.workload.id,
            track="job",
            machine=machine,
            capacity=job.capacity,
            replicas=(0, 0, job.parallelism),
            monthly=_monthly(profile, machine, job.capacity),
            fallen=_monthly(profile, machine, _dearest(job.placement, job.capacity)),
        )


def _price(use: Use, level: int) -> float | None:
    """Dollars a month of one replica: at most, all that may fall back have fallen back."""
    return use.fallen if LEVELS[level] == "max" else use.monthly


def _dollars(rows: list[tuple[float, float | None]]) -> float | None:
    """The sum of replicas * price; unknown as soon as one replica has no price."""
    if any(price is None for replicas, price in rows if replicas):
        return None
    return sum(replicas * price for replicas, price in rows if price is not None)


def total(rows: Iterable[Use]) -> Sum:
    """What the rows take together."""
    found = list(rows)
    levels = range(len(LEVELS))
    return Sum(
        gpus=tuple(sum(MACHINES[r.machine].gpus * r.replicas[n] for r in found) for n in levels),
        dollars=tuple(_dollars([(r.replicas[n], _price(r, n)) for r in found]) for n in levels),
        unknown=tuple(
            sorted({f"{r.machine} ({r.capacity}) in {r.region}" for r in found if _unknown(r)})
        ),
    )


def _unknown(use: Use) -> bool:
    return None in (use.monthly, use.fallen) and use.replicas[-1] > 0


def grown(before: Iterable[Use], after: Iterable[Use]) -> tuple[str, ...]:
    """The machine types without a price of which there would be more replicas, at any level."""
    old = {(u.region, u.model, u.track, u.machine): u.replicas for u in before}
    none = (0.0, 0.0, 0.0)
    rows = [
        use
        for use in after
        for was in (old.get((use.region, use.model, use.track, use.machine), none),)
        if any(now > then for now, then in zip(use.replicas, was, strict=True))
    ]
    return total(rows).unknown


def difference(before: Iterable[Use], after: Iterable[Use]) -> Sum:
    """What changes. A row that stays as it is costs no more, whatever it costs."""
    old = {(u.region, u.model, u.track): u for u in before}
    new = {(u.region, u.model, u.track): u for u in after}
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    less = total(old[key] for key in changed if key in old)
    more = total(new[key] for key in changed if key in new)
    return Sum(
        gpus=tuple(b - a for a, b in zip(less.gpus, more.gpus, strict=True)),
        dollars=tuple(
            None if a is None or b is None else b - a
            for a, b in zip(less.dollars, more.dollars, strict=True)
        ),
        unknown=tuple(sorted({*less.unknown, *more.unknown})),
    )
