"""Decides the Deployments of one model: which version, where, how many, and who scales them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from model_specs.load import Model, Specs
from model_specs.lock import ModelFacts
from model_specs.names import (
    LABEL_CAPACITY,
    LABEL_MACHINE,
    LABEL_MODEL,
    LABEL_PROJECT,
    LABEL_TRACK,
)
from model_specs.runtimes import RUNTIMES, Launch, Runtime, load
from model_specs.scaling import Schedule
from model_specs.schema import Candidate, ModelSpec
from regions.abilities import Abilities
from regions.clocks import drain, scale_down_seconds, startup
from regions.machines import MACHINES, MachineType, machine_of
from regions.model_plan import (
    ContainerPlan,
    ListenPlan,
    PlacementPlan,
    ScalerPlan,
    SchedulePlan,
    StartupPlan,
    Toleration,
    TrackPlan,
    WeightsPlan,
)
from regions.offers import Offer
from regions.profile import RegionProfile

_GIB: Final = 1024**3
# Below this a download takes seconds and costs less than keeping a copy on every node.
CACHE_FROM_BYTES: Final = 2 * _GIB
_LOGS_GIB: Final = 4
"""What a pod writes of its node's disk beside /tmp and a download: its logs, which the kubelet
counts with the pod's volumes."""
_SHARED_MEMORY_GIB: Final = 8
"""Tensor parallelism passes activations through /dev/shm; 64 MiB, containerd's default, is too
small."""
_GPU_SHARE: Final = 0.9  # what an engine may fill with weights; the rest is its working memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a track runs: an image of a runtime and a model, with the team's own settings.

    `facts` is what the registry knows of the model; `serves` is false for a job. `shared_gib` is
    the size of /dev/shm where the spec says it, else 0.
    """

    runtime: Runtime
    image: str
    address: str
    bytes: int
    args: tuple[str, ...]
    env: Mapping[str, str]
    facts: ModelFacts | None
    serves: bool
    shared_gib: int

    @property
    def digest(self) -> str:
        """The manifest digest, 64 hexadecimal digits."""
        return self.address.rsplit(":", 1)[1]


def labels_of(model: Model) -> dict[str, str]:
    """The labels that every object of a model carries."""
    return {LABEL_MODEL: model.name, LABEL_PROJECT: model.project}


_TRACKS: Final = {"stable": '=~"stable|spot"', "candidate": '="candidate"'}
"""The matchers of the tracks that share one version's requests."""


def promql_selector(model: Model, role: str) -> str:
    """The label matchers that select the series of one version of a model.

    The PodMonitor hands the pods' labels over, with `_` for what a label of Prometheus cannot hold.
    """
    named = {LABEL_PROJECT: f'="{model.project}"', LABEL_MODEL: f'="{model.name}"'}
    matchers = {**named, LABEL_TRACK: _TRACKS[role]}
    return ",".join(f"{re.sub('[./-]', '_', k)}{v}" for k, v in matchers.items())


def tolerations(machine: MachineType, offer: Offer) -> tuple[Toleration, ...]:
    """The taints on which a machine type's pods may stand: ours, the vendor's, the row's own and
    the offer's.

    GPU pools carry the vendor's (see regions.pools). Ours by machine type is what nodes of earlier
    versions carry, and what people put on nodes of their own to keep them for one machine type.
    """
    vendor = Toleration(key=machine.kind.taint[0], value="")
    gpu = (Toleration(key=LABEL_MACHINE, value=machine.name), *((vendor,) if vendor.key else ()))
    own = tuple(Toleration(key=key, value=value) for key, value in machine.tolerations)
    others = tuple(Toleration(key=taint.key, value=taint.value) for taint in offer.taints)
    return (*(gpu if machine.gpus else ()), *own, *others)


def version(specs: Specs, spec: ModelSpec, candidate: Candidate | None) -> Version:
    """The model's own version, or the candidate's: what that does not say stays the same.

    A size nobody recorded is bounded by the machine.
    """
    image, address, args, env = spec.image, spec.model, spec.args, spec.env
    if candidate is not None:
        image, address = candidate.image or image, candidate.model or address
        args = args if candidate.args is None else candidate.args
        env = env if candidate.env is None else candidate.env
    machine = MACHINES[spec.machine_type]
    facts = specs.facts.get(address)
    bound = int(machine.gpus * machine.gpu_memory_gib * _GPU_SHARE) or machine.memory_gib // 2
    return Version(
        runtime=spec.contract_of(image),
        image=RUNTIMES[image].image if image in RUNTIMES else image,
        address=address,
        bytes=facts.bytes if facts else bound * _GIB,
        args=args,
        env=env,
        facts=facts,
        serves=spec.batch is None,
        shared_gib=spec.shared_memory_gib or 0,
    )


def versions(specs: Specs, spec: ModelSpec) -> dict[str, Version]:
    """The versions by role: `stable`, and `candidate` where there is one."""
    candidate = spec.rollout.candidate
    also = {"candidate": version(specs, spec, candidate)} if candidate else {}
    return {"stable": version(specs, spec, None), **also}


def claim_name(machine: str) -> str:
    """The PVC through which a project reads the cache of a machine type's nodes."""
    return f"models-{machine.replace('.', '-')}"


def weights(abilities: Abilities, model: Model, what: Version) -> WeightsPlan:
    """How the files reach the pod: by the spec's word, or by size."""
    wish = model.spec.cache
    cached = wish == "always" or (wish == "auto" and what.bytes >= CACHE_FROM_BYTES)
    if cached:
        cached = abilities.allow("model cache", model.id, "cache")
    return WeightsPlan(
        mode="cache" if cached else "download",
        address=what.address,
        digest=what.digest,
        bytes=what.bytes,
        fetch_mib_per_second=machine_of(model.spec).fetch_mib_per_second,
        claim=claim_name(model.spec.machine_type) if cached else "",
        pinned=cached and wish == "always",
    )


def fallback_seconds(
    abilities: Abilities, profile: RegionProfile, model: Model, capacity: str
) -> int:
    """How long a node autoscaler waits for a spot node before it adds an on-demand one; 0 where
    the pods do not fall back."""
    if capacity != "spot" or model.spec.capacity.spot_fallback == "none":
        return 0
    adds = profile.cluster.node_autoscaler
    known = abilities.allow_if(
        adds is not None, "spot fallback", model.id, "capacity.spot_fallback"
    )
    return adds.provision_timeout_seconds if adds and known else 0


def shared_memory_gib(machine: MachineType, spec: ModelSpec) -> int:
    """The size of /dev/shm: what is written there counts as the pod's memory."""
    return spec.shared_memory_gib or min(_SHARED_MEMORY_GIB, most_shared_gib(machine))


def most_shared_gib(machine: MachineType) -> int:
    """The largest /dev/shm of a machine type's pods: half of the memory, as Linux gives it of a
    whole machine's (Documentation/filesystems/tmpfs.rst: `size`)."""
    return machine.memory_gib // 2


def placement(
    offer: Offer,
    spec: ModelSpec,
    capacity: str,
    model_bytes: int,
    cached: bool,
    fallback_seconds: int,
) -> PlacementPlan:
    """Where a pod stands: on nodes of its machine type and capacity, and nowhere else.

    With a fallback the capacity is a preference and no part of `node_selector`.
    """
    machine = MACHINES[spec.machine_type]
    kind = {} if fallback_seconds else {LABEL_CAPACITY: capacity}
    spot = (Toleration(key=LABEL_CAPACITY, value="spot"),) if capacity == "spot" else ()
    download = 0 if cached else math.ceil(1.1 * model_bytes / _GIB)
    return PlacementPlan(
        machine_type=machine.name,
        node_selector={**kind, LABEL_MACHINE: machine.name},
        fallback_seconds=fallback_seconds,
        tolerations=(*tolerations(machine, offer), *spot),
        gpus=machine.gpus,
        gpu_resource=machine.kind.resource,
        runtime_class=machine.runtime_class,
        cpu=machine.cpu,
        memory_gib=machine.memory_gib,
        ephemeral_gib=_LOGS_GIB + spec.tmp_gib + download,
        tmp_gib=spec.tmp_gib,
        shared_memory_gib=shared_memory_gib(machine, spec),
    )


def _wake_query(model: Model) -> str:
    """Requests at the gateway, the prober's left out: the one signal when no pod is there.

    The prober's go by the route's first rule, everybody's by the second (see model_route).
    """
    cluster = f'envoy_cluster_name=~"httproute/{model.project}/{model.name}/rule/1"'
    return (
        f"(sum(rate(envoy_cluster_upstream_rq_total{{{cluster}}}[2m])) or vector(0))"
        f" + (sum(rate(envoy_cluster_upstream_cx_none_healthy{{{cluster}}}[2m])) or vector(0))"
        f" > bool 0"
    )


def container(what: Version, machine: MachineType, model: Model) -> ContainerPlan:
    """What the runtime's row says of the container, with the team's own arguments and variables."""
    runtime = what.runtime
    launch = Launch(
        served_names=model.served_names,
        gpus=machine.gpus,
        port=runtime.port,
        shutdown_seconds=runtime.shutdown_seconds,
    )
    return ContainerPlan(
        image=what.image,
        command=runtime.command,
        args=(*runtime.args(launch), *what.args),
        user=runtime.user,
        group=runtime.group,
        working_dir=runtime.working_dir,
        env={**runtime.env, **what.env},
    )


def listen(runtime: Runtime) -> ListenPlan:
    """Where a server of `runtime` answers."""
    return ListenPlan(
        port=runtime.port,
        live_path=runtime.live_path,
        ready_path=runtime.ready_path,
        metrics_path=runtime.metrics_path,
        metrics_port=runtime.metrics_port,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """One track's replicas, and how many `others` stand on the model's other stable tracks."""

    capacity: str
    least: int
    most: int
    others: int


def _kind(abilities: Abilities, model: Model, least: int, most: int) -> str:
    """Who scales between `least` and `most`: the best that the region has."""
    if least == most:
        return "fixed"
    if abilities.allow("queue autoscaling", model.id, "scaling"):
        return "scaled_object"
    gpus = MACHINES[model.spec.machine_type].gpus
    metric = "queue metric of GPUs" if gpus else "queue metric"
    return "hpa_queue" if abilities.allow(metric, model.id, "scaling") else "hpa_cpu"


def _schedules(windows: list[tuple[Schedule, int]], least: int) -> tuple[SchedulePlan, ...]:
    """The windows that raise the floor at all."""
    return tuple(
        SchedulePlan(start=w.start, end=w.end, timezone=w.timezone, replicas=replicas)
        for w, replicas in windows
        if replicas > least
    )


def scaler(
    abilities: Abilities,
    profile: RegionProfile,
    model: Model,
    role: str,
    what: Version,
    clocks: StartupPlan,
    bounds: Bounds,
) -> ScalerPlan:
    """Who sets one track's replicas within `bounds`, and by which signals.

    A candidate never sleeps: it must have answered before anybody is led to it.
    """
    scaling = model.spec.scaling
    least, most = bounds.least, bounds.most
    windows = [(w, min(max(w.replicas - bounds.others, 0), most)) for w in scaling.schedules]
    sleeps = scaling.scale_to_zero and role == "stable"
    kind = _kind(abilities, model, 0 if sleeps else least, most)
    to_zero = sleeps and abilities.allow("scale to zero", model.id, "scaling.scale_to_zero")
    own, floor = promql_selector(model, role), least
    if scaling.schedules and not abilities.allow("schedules", model.id, "scaling.schedules"):
        floor = max(least, *(replicas for _, replicas in windows))
    if kind.startswith("hpa"):
        floor = max(floor, 1)
        if floor == most:
            kind = "fixed"
    return ScalerPlan(
        kind=kind,
        min=0 if to_zero else floor,
        max=most,
        query=load(what.runtime, own),
        query_by_pod=load(what.runtime, own, "namespace, pod") if kind == "hpa_queue" else "",
        carried=bounds.others * scaling.queue_depth,
        threshold=scaling.queue_depth,
        wake_query=_wake_query(model) if to_zero else "",
        idle_seconds=scaling.idle_seconds,
        schedules=_schedules(windows, least) if kind == "scaled_object" else (),
        prometheus_url=profile.prometheus_url,
        scale_down_seconds=scale_down_seconds(clocks),
    )


def _bounds(abilities: Abilities, profile: RegionProfile, model: Model) -> list[Bounds]:
    """The stable tracks: all on demand, or a base on demand and the rest on spot nodes."""
    scaling, capacity = model.spec.scaling, model.spec.capacity
    offer = profile.machines[model.spec.machine_type]
    spot = capacity.spot and abilities.allow_if(
        offer.spot.max > 0, "spot nodes", model.id, "capacity.spot"
    )
    if not spot or capacity.on_demand_base >= scaling.max:
        return [Bounds(capacity="on_demand", least=scaling.min, most=scaling.max, others=0)]
    base = capacity.on_demand_base
    rows = [Bounds(capacity="on_demand", least=base, most=base, others=0)] if base else []
    rest = Bounds(
        capacity="spot", least=max(scaling.min - base, 0), most=scaling.max - base, others=base
    )
    return [*rows, rest]


def candidate_share(spec: ModelSpec) -> int:
    """The candidate's share of requests at the step in force, in percent."""
    rollout = spec.rollout
    shares: dict[str, int] = {
        "rolling": 0,
        "canary": rollout.steps[rollout.step % len(rollout.steps)],
        "blue_green": 100 * rollout.step,
        "shadow": rollout.mirror_percent,
    }
    return shares[rollout.strategy]


def _candidate_bounds(spec: ModelSpec) -> Bounds:
    """The candidate's replicas: as many as its share of the stable ones, all of them in a swap."""
    share = 100 if spec.rollout.strategy == "blue_green" else candidate_share(spec)
    least = max(1, math.ceil(spec.scaling.min * share / 100))
    most = max(least, math.ceil(spec.scaling.max * share / 100))
    return Bounds(capacity="on_demand", least=least, most=most, others=0)


def tracks(
    specs: Specs, abilities: Abilities, profile: RegionProfile, model: Model
) -> tuple[TrackPlan, ...]:
    """The model's Deployments; surge goes later where the whole pool, once known, has no room."""
    spec = model.spec
    found = versions(specs, spec)
    rows = [("stable", row) for row in _bounds(abilities, profile, model)]
    if "candidate" in found:
        rows.append(("candidate", _candidate_bounds(spec)))
    return tuple(_track(abilities, profile, model, role, found[role], row) for role, row in rows)


def _interruption(abilities: Abilities, model: Model, capacity: str) -> str:
    """Why the pods of a track may have to go: preemption is the scheduler's, by priority class."""
    ranked = abilities.allow("priority classes", "", "capacity.priority")
    if ranked and model.spec.capacity.priority == "preemptible":
        return "preemptible"
    return "spot" if capacity == "spot" else ""


def _track(
    abilities: Abilities,
    profile: RegionProfile,
    model: Model,
    role: str,
    what: Version,
    bounds: Bounds,
) -> TrackPlan:
    machine = machine_of(model.spec)
    track = "spot" if bounds.capacity == "spot" else role
    clocks = startup(what.runtime, machine, what.bytes)
    files = weights(abilities, model, what)
    scales = scaler(abilities, profile, model, role, what, clocks, bounds)
    cause = _interruption(abilities, model, bounds.capacity)
    return TrackPlan(
        name=model.name if track == "stable" else f"{model.name}-{track}",
        track=track,
        role=role,
        container=container(what, machine, model),
        listen=listen(what.runtime),
        weights=files,
        placement=placement(
            profile.machines[machine.name],
            model.spec,
            bounds.capacity,
            what.bytes,
            files.mode == "cache",
            fallback_seconds(abilities, profile, model, bounds.capacity),
        ),
        startup=clocks,
        drain=drain(what.runtime),
        scaler=scales,
        interruption=cause,
        guaranteed=0 if cause else scales.min,
        surge=1,
        unavailable=0,
        labels=labels_of(model),
    )
