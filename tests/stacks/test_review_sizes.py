"""GPUs and dollars are added by hand here; an unknown price is never made up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from regions.model_plan import SchedulePlan
from stacks.reviewing.floors import mean_floor
from stacks.reviewing.sizes import Sum, Use, difference, grown, total, uses
from tests.examples import plan_of, profiles


def window(start: str, end: str, replicas: int, timezone: str = "UTC") -> SchedulePlan:
    return SchedulePlan(start=start, end=end, timezone=timezone, replicas=replicas)


NIGHT = window("0 0 * * *", "0 6 * * *", 4)
OFFICE = window("0 8 * * 1-5", "0 20 * * 1-5", 3)


@pytest.mark.parametrize(
    ("least", "windows", "mean"),
    [
        (2, (), 2),
        (1, (OFFICE,), 1 + 2 * 60 / 168),
        (1, (window("0 8 * * mon-fri", "0 20 * * MON-FRI", 3),), 1 + 2 * 60 / 168),
        (1, (replace(OFFICE, timezone="Asia/Seoul"),), 1 + 2 * 60 / 168),
        (1, (replace(OFFICE, timezone="No/Where"),), 1 + 2 * 60 / 168),
        (5, (OFFICE,), 5),
        (0, (window("0 22 * * *", "0 6 * * *", 4),), 4 * 8 / 24),
        (0, (window("0 0 * * 0", "0 0 * * 1", 7),), 1),
        (0, (window("0 0 ? * SUN", "0 0 * * 1", 7),), 1),
        (0, (window("*/30 * * * *", "15/30 * * * *", 2),), 1),
        (0, (window("0 9 * * *", "0 9 * * *", 2),), 2),
        (0, (window("0 9 1 * *", "0 9 2 * *", 7),), 7 * 12 / 364),
        # Both day fields are restricted: cron strikes on either, and 1 June 2026 is a Monday.
        (0, (window("0 0 1 * 1", "0 1 1 * 1", 24),), (52 + 12 - 1) / 364),
        # KEDA looks ahead: closed only from the last end before a start, Sunday 18:00, to it.
        (0, (window("0 8 * * 1", "0 18 * * *", 3),), 3 * (168 - 14) / 168),
        (0, (window("0 8 * * *", "0 9-20 * * *", 24),), 12),
        # A start at every minute comes before every end but the one at the same minute.
        (0, (window("* * * * *", "0 0 * * *", 1440),), 1),
        # Two windows that overlap from 12 to 14: the higher floor counts once.
        (1, (window("0 8 * * *", "0 14 * * *", 3), window("0 12 * * *", "0 16 * * *", 5)),
         (16 * 1 + 4 * 3 + 4 * 5) / 24),
        # The same hours in two zones nine hours apart do not overlap.
        (0, (NIGHT, replace(NIGHT, timezone="Asia/Seoul")), 4 * 12 / 24),
    ],
)  # fmt: skip
def test_the_mean_floor_is_what_one_counts_by_hand(
    least: int, windows: tuple[SchedulePlan, ...], mean: float
) -> None:
    assert mean_floor(least, windows) == pytest.approx(mean), "52 weeks of minutes"


def a_use(**over: object) -> Use:
    whole: dict[str, object] = {
        "region": "us-east-1",
        "project": "search",
        "model": "search/sentiment",
        "track": "stable",
        "machine": "gpu.l4.1",
        "capacity": "on_demand",
        "replicas": (1, 1.5, 4),
        "monthly": 100.0,
        "fallen": over.get("monthly", 100.0),
    }
    return Use(**(whole | over))  # type: ignore[arg-type]


def test_a_replica_costs_its_share_of_a_node() -> None:
    rows = {u.model: u for u in uses(plan_of("seoul-dc1"), profiles()["seoul-dc1"])}
    assert rows["search/sentiment"].monthly == pytest.approx(1.9 / 4 * 730), "four on one node"
    assert rows["search/nightly-index"].replicas == (0, 0, 2), "nobody knows how long a run takes"


def test_spot_replicas_cost_the_spot_price() -> None:
    rows = {(u.model, u.track): u for u in uses(plan_of("us-east-1"), profiles()["us-east-1"])}
    assert rows["chat/helper", "spot"].monthly == pytest.approx(0.44 * 730)
    assert rows["chat/helper", "stable"].monthly == pytest.approx(0.9776 * 730)


def test_sums_are_by_level() -> None:
    found = total([a_use(), a_use(machine="gpu.l40s.4", replicas=(0, 0, 1), monthly=1000.0)])
    assert found == Sum(gpus=(1, 1.5, 8), dollars=(100, 150, 1400), unknown=()), "GPUs of a machine"


def test_an_unknown_price_makes_only_its_own_levels_unknown() -> None:
    found = total([a_use(), a_use(replicas=(0, 0, 1), monthly=None)])
    assert found.dollars == (100, 150, None), "no replica at least, so the least is known"
    assert found.unknown == ("gpu.l4.1 (on_demand) in us-east-1",), "and it is said which"


def test_what_stays_costs_no_more_whatever_it_costs() -> None:
    dark = a_use(model="search/dark", monthly=None)
    found = difference([dark, a_use()], [dark, a_use(replicas=(1, 1.5, 6))])
    assert found.dollars == (0, 0, 200), "the change is known though the sum is not"
    more = difference([dark], [replace(dark, replicas=(1, 1.5, 9))])
    assert more.dollars == (None, None, None), "what grows without a price is not known"


def test_what_grows_without_a_price_is_named_and_what_shrinks_is_not() -> None:
    dark = a_use(monthly=None)
    more = replace(dark, replicas=(1, 1.5, 5))
    assert grown([dark], [more]) == ("gpu.l4.1 (on_demand) in us-east-1",), "nobody knows how dear"
    assert grown([more], [dark]) == (), "fewer cannot be dearer"
    assert grown([], [dark]) == ("gpu.l4.1 (on_demand) in us-east-1",), "new is more than nothing"
