"""A spec says how fast its files come, where the machine type's row does not know it."""

from __future__ import annotations

from typing import Any

import pytest

from model_specs.errors import SpecErrors
from regions.clocks import startup
from regions.machines import MACHINES, machine_of
from regions.model_plan import TrackPlan
from regions.resolve import resolve
from tests.examples import GIB, a_model, a_profile, a_tree

SIZE = 12 * GIB
ROW = MACHINES["gpu.l4.1"]


def the_track(region: str = "here", **fields: Any) -> TrackPlan:
    model = a_model(**fields)
    plan = resolve(a_tree(model, facts={model.spec.model: SIZE}), a_profile(), region)
    (track,) = plan.servers[0].tracks
    return track


def test_what_is_not_said_is_the_machine_types() -> None:
    assert machine_of(a_model().spec) is ROW
    own = machine_of(a_model(rates={"load_mib_per_second": 7}).spec)
    assert own.load_mib_per_second == 7
    assert own.fetch_mib_per_second == ROW.fetch_mib_per_second


def test_a_slower_load_gives_a_start_more_time() -> None:
    plain, slow = the_track(), the_track(rates={"load_mib_per_second": 10})
    load = SIZE / 1024**2 / 10
    assert slow.startup.budget_seconds >= 2 * load, "twice the time that the load takes"
    assert slow.startup.budget_seconds > plain.startup.budget_seconds
    assert slow.startup.progress_deadline_seconds > slow.startup.budget_seconds
    assert slow.scaler.scale_down_seconds > plain.scaler.scale_down_seconds, (
        "a replica whose start is dear is not given back at once"
    )


def test_a_slower_fetch_gives_the_rollout_more_time_and_not_the_start() -> None:
    plain, slow = the_track(), the_track(rates={"fetch_mib_per_second": 5})
    assert slow.startup.budget_seconds == plain.startup.budget_seconds
    assert slow.startup.progress_deadline_seconds > plain.startup.progress_deadline_seconds
    assert slow.weights.fetch_mib_per_second == 5, "the review's times are by it"


def test_a_region_has_rates_of_its_own() -> None:
    slow = {"here": {"rates": {"fetch_mib_per_second": 5}}}
    here, elsewhere = (the_track(region, regions=slow) for region in ("here", "elsewhere"))
    assert here.weights.fetch_mib_per_second == 5
    assert elsewhere.startup == the_track().startup == startup_of_row()


def startup_of_row() -> object:
    return startup(a_model().spec.contract_of("vllm"), ROW, SIZE)


def test_a_job_whose_files_come_too_late_is_refused_by_its_own_rates() -> None:
    batch = {"command": ["index"], "deadline_seconds": 3600}
    fits = a_model(batch=batch)
    slow = a_model(batch=batch, rates={"fetch_mib_per_second": 2})
    plans = [
        resolve(a_tree(one, facts={one.spec.model: SIZE}), a_profile(), "here")
        for one in (fits, slow)
    ]
    assert plans[0].gaps == ()
    assert [(gap.path, gap.code) for gap in plans[1].gaps] == [("batch.deadline_seconds", "E302")]


def test_a_single_run_is_the_same_at_another_speed() -> None:
    batch = {"command": ["index"]}
    runs = {
        resolve(a_tree(one), a_profile(), "here").jobs[0].run
        for one in (a_model(batch=batch), a_model(batch=batch, rates={"load_mib_per_second": 9}))
    }
    assert len(runs) == 1, "how fast files come is nothing to run again for"


@pytest.mark.parametrize(
    ("rates", "path", "code"),
    [
        ({"load_mib_per_second": 0}, "rates.load_mib_per_second", "E301"),
        ({"load_mib_per_second": "9 MiB"}, "rates.load_mib_per_second", "E303"),
        ({"load": 9}, "rates.load", "E201"),
    ],
    ids=str,
)
def test_a_rate_is_a_number_of_mib_a_second(rates: Any, path: str, code: str) -> None:
    with pytest.raises(SpecErrors) as refused:
        a_model(rates=rates)
    (error,) = refused.value.errors
    assert (error.path, error.code) == (path, code)
