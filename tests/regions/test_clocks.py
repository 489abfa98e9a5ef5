"""The times a pod is given are ordered, whatever it runs and however large the model is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_specs.runtimes import CUSTOM, RUNTIMES, Runtime
from regions.clocks import PRE_STOP_SECONDS, drain, scale_down_seconds, startup
from regions.machines import MACHINES, MachineType
from regions.model_plan import StartupPlan
from tests.examples import GIB, REGIONS, plan_of

ALL_RUNTIMES = (*RUNTIMES.values(), CUSTOM)
SPOT_NOTICE_SECONDS = 120
a_runtime = st.sampled_from(ALL_RUNTIMES)
a_machine = st.sampled_from(tuple(MACHINES.values()))
some_bytes = st.integers(min_value=0, max_value=4096 * GIB)


def check_order(clocks: StartupPlan) -> None:
    assert clocks.budget_seconds < clocks.progress_deadline_seconds, (
        "the Deployment would give up on a pod that may still be loading"
    )
    assert clocks.progress_deadline_seconds < clocks.gate_timeout_seconds, (
        "the gate would give up before the Deployment has said why"
    )


@given(runtime=a_runtime, machine=a_machine, size=some_bytes)
def test_the_three_clocks_are_ordered(runtime: Runtime, machine: MachineType, size: int) -> None:
    check_order(startup(runtime, machine, size))


@pytest.mark.parametrize("region", REGIONS)
def test_the_three_clocks_of_every_example_are_ordered(region: str) -> None:
    tracks = [track for server in plan_of(region).servers for track in server.tracks]
    assert tracks, "a region without servers proves nothing"
    for track in tracks:
        check_order(track.startup)


@given(runtime=a_runtime, machine=a_machine, size=some_bytes)
def test_the_budget_holds_twice_the_load(runtime: Runtime, machine: MachineType, size: int) -> None:
    load = size / 1024**2 / machine.load_mib_per_second + runtime.engine_start_seconds
    budget = startup(runtime, machine, size).budget_seconds
    assert budget >= 2 * load, "a slow disk would be read as a dead engine and restarted for ever"
    assert budget >= 300, "even a small model may meet a slow node"


@given(runtime=a_runtime, machine=a_machine, sizes=st.tuples(some_bytes, some_bytes))
def test_a_larger_model_never_gets_less_time(
    runtime: Runtime, machine: MachineType, sizes: tuple[int, int]
) -> None:
    small, large = (startup(runtime, machine, size) for size in sorted(sizes))
    assert small.budget_seconds <= large.budget_seconds
    assert small.progress_deadline_seconds <= large.progress_deadline_seconds
    assert small.gate_timeout_seconds <= large.gate_timeout_seconds


@pytest.mark.parametrize("runtime", ALL_RUNTIMES, ids=lambda row: row.name)
def test_the_deadline_leaves_time_to_pull_the_image(runtime: Runtime) -> None:
    clocks = startup(runtime, MACHINES["gpu.l4.1"], 8 * GIB)
    pull = runtime.image_gib * 1024 / 60
    assert clocks.progress_deadline_seconds > clocks.budget_seconds + pull, (
        "a fresh node pulls the image first, and that is no failed rollout"
    )


@pytest.mark.parametrize("runtime", ALL_RUNTIMES, ids=lambda row: row.name)
def test_the_grace_exceeds_what_happens_in_it(runtime: Runtime) -> None:
    going = drain(runtime)
    assert going.pre_stop_seconds == PRE_STOP_SECONDS > 0, "balancers still send for a while"
    assert going.grace_seconds > going.pre_stop_seconds + going.shutdown_seconds, (
        "the kubelet would kill requests that the engine is still answering"
    )


@pytest.mark.parametrize("runtime", ALL_RUNTIMES, ids=lambda row: row.name)
def test_a_spot_pod_is_gone_well_before_its_node(runtime: Runtime) -> None:
    going = drain(runtime)
    total = going.pre_stop_seconds + going.shutdown_seconds
    assert total <= 100 < SPOT_NOTICE_SECONDS, (
        "a spot node vanishes 120 s after its notice, with whatever is still being answered"
    )
    assert going.grace_seconds <= SPOT_NOTICE_SECONDS


@given(runtime=a_runtime, machine=a_machine, size=some_bytes)
def test_a_replica_goes_after_two_cold_starts_of_low_load(
    runtime: Runtime, machine: MachineType, size: int
) -> None:
    clocks = startup(runtime, machine, size)
    wait = scale_down_seconds(clocks)
    assert 300 <= wait <= 3600, "Kubernetes allows an hour at most, and less than 300 s flaps"
    assert wait >= min(2 * clocks.budget_seconds, 3600), (
        "a replica that takes longer to come back than to go makes load swing"
    )
