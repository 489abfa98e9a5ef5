"""The times a pod is given, derived from bytes and rates rather than guessed."""

from __future__ import annotations

import math
from typing import Final

from model_specs.runtimes import Runtime
from regions.machines import MachineType
from regions.model_plan import DrainPlan, StartupPlan

# Load balancers and the route's proxies need this long to stop sending (KServe's preStop).
PRE_STOP_SECONDS: Final = 15
_GRACE_SLACK_SECONDS: Final = 5
_STARTUP_FLOOR_SECONDS: Final = 300
_SAFETY: Final = 2.0  # measured loads vary by about this factor on shared storage
_STEP: Final = 1.2  # each clock exceeds the one inside it by a fifth
# A 15-20 GB image takes 4-6 minutes to pull and unpack (AWS on SOCI): about 60 MiB/s.
_IMAGE_MIB_PER_SECOND: Final = 60
_MIB: Final = 1024 * 1024


def startup(runtime: Runtime, machine: MachineType, model_bytes: int) -> StartupPlan:
    """The three clocks of one pod.

    budget = 2 * (bytes / load rate + engine start), at least 300 s: the startup probe's.
    progress deadline = 1.2 * (budget + bytes / fetch rate + image pull + grace of the pod that it
    takes the place of, whose GPU it may wait for): the Deployment's.
    gate = 1.2 * progress deadline: the RolloutGate's.
    """
    mib = model_bytes / _MIB
    load = mib / machine.load_mib_per_second + runtime.engine_start_seconds
    budget = max(_STARTUP_FLOOR_SECONDS, math.ceil(_SAFETY * load))
    fetch = mib / machine.fetch_mib_per_second
    image = runtime.image_gib * 1024 / _IMAGE_MIB_PER_SECOND
    progress = math.ceil(_STEP * (budget + fetch + image + drain(runtime).grace_seconds))
    return StartupPlan(
        budget_seconds=budget,
        progress_deadline_seconds=progress,
        gate_timeout_seconds=math.ceil(_STEP * progress),
    )


def arrival_seconds(machine: MachineType, model_bytes: int) -> int:
    """What may pass before a job's program has its model: fetched to the node and loaded."""
    mib = model_bytes / _MIB
    rates = (machine.fetch_mib_per_second, machine.load_mib_per_second)
    return math.ceil(_SAFETY * sum(mib / rate for rate in rates))


def drain(runtime: Runtime) -> DrainPlan:
    """How long a pod of `runtime` may take to go; the grace exceeds the sum of the parts."""
    return DrainPlan(
        pre_stop_seconds=PRE_STOP_SECONDS,
        shutdown_seconds=runtime.shutdown_seconds,
        grace_seconds=PRE_STOP_SECONDS + runtime.shutdown_seconds + _GRACE_SLACK_SECONDS,
    )


def scale_down_seconds(clocks: StartupPlan) -> int:
    """How long load must be low before a replica goes: two cold starts, within 300 and 3600 s."""
    return min(max(300, 2 * clocks.budget_seconds), 3600)
