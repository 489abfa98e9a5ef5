"""Rules about change: a new pod has the time to start, the room to stand, the old one to leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from model_specs.load import Model
from model_specs.runtimes import RUNTIMES, Runtime
from policies.facts import Facts
from policies.models import contract_of, is_candidate, pinned, rates
from policies.pods import Block, option, pod
from policies.resources import Resource
from policies.rule import Estate, Fault, Rule, each, whole
from policies.tracks import Track, batches, pool_of, slots, tracks
from regions.machines import MACHINES

_FLOOR_SECONDS: Final = 300
_SAFETY: Final = 2  # measured loads vary by about this factor on shared storage
_MIB: Final = 1024**2
_GPU_SHARE: Final = 0.9  # what weights may take of a GPU's memory
_PATIENCE_SECONDS: Final = 60
_SPOT_SECONDS: Final = 100  # of the 120 that a cloud gives notice
_PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")


def _mib(model: Model, address: str, facts: Facts) -> float:
    """The size of a model; one that nobody recorded is as large as its machine can load."""
    known = facts.specs.facts.get(address)
    if known is not None:
        return known.bytes / _MIB
    row = MACHINES[model.spec.machine_type]
    return (int(row.gpus * row.gpu_memory_gib * _GPU_SHARE) or row.memory_gib // 2) * 1024.0


def _seconds(probe: Block) -> int:
    """How long a probe may fail before it counts; nothing where it does not say."""
    return int(probe.get("failureThreshold", 0)) * int(probe.get("periodSeconds", 0))


def _clocks(container: Block, deadline: int, load: float, fetch: float) -> Iterator[str]:
    probes = [container.get(name) or {} for name in _PROBES]
    yield from (f"has no {name}" for name, probe in zip(_PROBES, probes, strict=True) if not probe)
    start, ready, live = probes
    budget, least = _seconds(start), max(_FLOOR_SECONDS, _SAFETY * load)
    if budget < least:
        yield f"gives a start {budget} s, the model needs {least:.0f}"
    if deadline < budget + fetch:
        yield (
            f"gives a rollout {deadline} s, less than a start's {budget} and the {fetch:.0f} of "
            "fetching the model"
        )
    if _seconds(live) < _PATIENCE_SECONDS:
        yield f"restarts a server that hangs for {_seconds(live)} s"
    if live == ready:
        yield "restarts a server as soon as it is not ready"


@each("P07", "startup-budget", "Deployment")
def _startup_budget(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A server has a startup probe with at least twice the time its model takes to load, and the
    rollout's deadline is later still; otherwise a healthy start is killed or called failed. The
    third clock, the gate's, is no object's: it is derived from these in the plan."""
    model = facts.models.get(resource.model)
    if model is None:
        return  # not of a model, or of none that there is (see `model-digest`)
    mib = _mib(model, pinned(model, is_candidate(resource))[0], facts)
    load, fetch = (mib / rate for rate in rates(model))
    deadline = int(resource.spec.get("progressDeadlineSeconds", 0))
    for container in pod(resource).get("containers") or ():
        for what in _clocks(container, deadline, load, fetch):
            fix = "take a faster machine_type, or mend the clocks that the plan derives"
            yield Fault(resource, what, fix, "machine_type")


def _steps(resource: Resource) -> tuple[Any, Any]:
    """Pods above and below the wanted number in a rollout; None where it is not stated."""
    strategy = resource.spec.get("strategy") or {}
    if strategy.get("type") != "RollingUpdate":
        return None, None
    rolling = strategy.get("rollingUpdate") or {}
    return rolling.get("maxSurge"), rolling.get("maxUnavailable")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


@each("P08", "rollout-stated", "Deployment")
def _rollout_stated(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A server's rollout states in pods how many it adds and takes, and not none of both.
    Kubernetes' own 25 % asks a full GPU pool for one more GPU and waits for it for ever."""
    if not resource.model:
        return
    surge, unavailable = _steps(resource)
    if not (_is_count(surge) and _is_count(unavailable)):
        what = f"rolls out by maxSurge {surge}, maxUnavailable {unavailable}"
        yield Fault(resource, what, "state both as numbers of pods", "rollout")
    elif surge == unavailable == 0:
        yield Fault(resource, "can neither add nor take a pod", "let one of both be 1", "rollout")


def _replaced_in_place(track: Track) -> bool:
    return bool(_steps(track.deployment)[1])


@whole("P08", "rollout-feasible")
def _rollout_feasible(estate: Estate) -> Iterator[Fault]:
    """Where a rollout takes no old pod before a new one is ready, the pool has room for all these
    new pods beside all replicas there may be, also when everything is rolled out at once."""
    taken: dict[tuple[str, str], int] = defaultdict(int)
    found = list(tracks(estate))
    for track in found:
        surge, _ = _steps(track.deployment)
        taken[track.machine, track.capacity] += track.most
        taken[track.machine, track.capacity] += 0 if _replaced_in_place(track) else surge or 0
    for job, pods in batches(estate):
        taken[pool_of(job)] += pods
    for track in found:
        room = slots(estate.facts.profile, track.machine, track.capacity)
        wanted = taken[track.machine, track.capacity]
        if wanted > room and not _replaced_in_place(track):
            pool = f"{track.capacity} {track.machine}"
            what = f"keeps its old pod until a new one is ready: {pool} holds {room}, not {wanted}"
            fix = "roll out with maxSurge 0, lower scaling.max or add nodes"
            yield Fault(track.deployment, what, fix, "scaling.max")


_SECONDS: Final = "{shutdown_seconds}"


def _telling(runtime: Runtime) -> str:
    """By which argument a runtime is told how long it may finish what it has begun, if by any."""
    words = runtime.arg_templates
    joined = (word.partition("=")[0] for word in words if word.endswith(f"={_SECONDS}"))
    apart = (words[index - 1] for index, word in enumerate(words) if word == _SECONDS)
    return next(chain(joined, apart), "")


_TOLD: Final = {name: flag for name, row in RUNTIMES.items() if (flag := _telling(row))}
"""The flags by runtime."""


def _shutdown(container: Block, runtime: str) -> int | None:
    """The seconds in which the engine finishes its requests; None where it was not told them.

    An image of one's own may listen to either argument, or be told in a way nobody here knows.
    """
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    if runtime in _TOLD:
        said = option(words, _TOLD[runtime])
        return None if said is None else int(said)
    return max(int(option(words, name) or 0) for name in _TOLD.values())


def _leaving(container: Block, grace: int, runtime: str) -> Iterator[tuple[str, str, str]]:
    """What is wrong with how a pod goes, what to do, and the field."""
    stop = ((container.get("lifecycle") or {}).get("preStop") or {}).get("sleep") or {}
    wait, shutdown = int(stop.get("seconds", 0)), _shutdown(container, runtime)
    if wait < 1:
        yield "goes while requests are still sent to it", "let preStop sleep", ""
    if shutdown is None:
        what = f"is not told by {_TOLD[runtime]} to finish its requests"
        yield what, f"give {_TOLD[runtime]} in args", "args"
    elif grace <= wait + shutdown:
        what = f"is killed after {grace} s, and takes {wait} + {shutdown} to go"
        yield what, "lower the shutdown timeout in args", "args"


@each("P09", "drain-order", "Deployment")
def _drain_order(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A server that must go first waits until nobody sends to it, then finishes what it has begun,
    and is killed only after that; on a spot node all of it within 100 of the 120 s of notice."""
    model = facts.models.get(resource.model)
    if model is None:
        return  # not of a model, or of none that there is (see `model-digest`)
    spec, runtime = pod(resource), contract_of(model, is_candidate(resource)).name
    grace = int(spec.get("terminationGracePeriodSeconds", 0))
    for container in spec.get("containers") or ():
        for what, fix, field in _leaving(container, grace, runtime):
            yield Fault(resource, what, fix, field)
    if pool_of(resource)[1] == "spot" and grace > _SPOT_SECONDS:
        what = f"takes up to {grace} s to go, a spot node stays {_SPOT_SECONDS}"
        yield Fault(resource, what, "lower the shutdown timeout, or leave spot", "capacity.spot")


RULES: Final[tuple[Rule, ...]] = (
    _startup_budget,
    _rollout_stated,
    _rollout_feasible,
    _drain_order,
)
