"""Rules about GPUs: a pod is given what its machine type says, a project what its quota says."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from model_specs.load import Model
from model_specs.names import (
    CACHE_NAMESPACE,
    LABEL_CAPACITY,
    LABEL_MACHINE,
    LABEL_PROJECT,
    TAINT_GPU,
)
from policies.facts import Facts
from policies.pods import Block, containers, pod
from policies.resources import Resource, absent
from policies.rule import WORKLOADS, Estate, Fault, Rule, each, whole
from policies.tracks import batches, falls_back, node_affinity, pool_of, slots, tracks
from regions.machines import MACHINES, MachineType

GPU: Final = "nvidia.com/gpu"
_QUOTA: Final = f"requests.{GPU}"
_KNOWN: Final = frozenset({"cpu", "ephemeral-storage", "memory", GPU})
_COUNT: Final = re.compile(r"[1-9][0-9]*")
_MEND: Final = "no field of a spec says so; mend what renders the pod"


def gpus(resource: Resource) -> int:
    """The GPUs of one pod of a workload."""
    limits = [(one.get("resources") or {}).get("limits") or {} for one in containers(resource)]
    return sum(int(one.get(GPU, 0)) for one in limits)


def _sizes(container: Block) -> Iterator[str]:
    """What is wrong with a container's own numbers."""
    sizes = container.get("resources") or {}
    requests, limits = sizes.get("requests") or {}, sizes.get("limits") or {}
    if not limits or requests != limits:
        yield f"requests {dict(requests)}, is limited to {dict(limits)}"
    if not _COUNT.fullmatch(str(limits.get(GPU, 1))):
        yield f"takes {limits[GPU]} of a GPU"
    yield from (f"takes {name}, which no machine type has" for name in sorted({*limits} - _KNOWN))


def _tolerated(taints: Iterator[Block] | list[Block]) -> set[tuple[str, str]]:
    """The taints that a pod may stand on, by key and value; an empty value is any."""
    return {(str(t.get("key", "")), _value(t)) for t in taints}


def _value(taint: Block) -> str:
    """The value that a toleration takes, empty for any; one of no value at all says so, and so
    does one for another effect than that of the pools' taints."""
    effect = taint.get("effect")
    other = "" if effect in (None, "", "NoSchedule") else f" for {effect} alone"
    value = "" if taint.get("operator") == "Exists" else str(taint.get("value") or "(none)")
    return f"{value}{other}"


def _of_nodes(row: MachineType, facts: Facts) -> set[tuple[str, str]]:
    """The taints of a machine type's nodes: its GPUs' vendor's, ours, and the profile's."""
    gpu = {(LABEL_MACHINE, row.name), (TAINT_GPU, "")} if row.gpus else set()
    offer = facts.profile.machines.get(row.name)
    return gpu | {(taint.key, taint.value) for taint in (offer.taints if offer else ())}


def _fallback(resource: Resource, facts: Facts, model: Model) -> Iterator[tuple[str, str]]:
    """Nodes beyond those of the selector, where the spec or the region does not say so."""
    capacity, field = model.spec.capacity, "capacity.spot_fallback"
    asked = capacity.spot and capacity.spot_fallback == "on_demand"
    adds = facts.profile.cluster.node_autoscaler is not None
    falls = falls_back(resource)
    if node_affinity(resource) and not falls:
        yield f"chooses nodes by {node_affinity(resource)}, which no field of a spec says", field
    if falls and not (asked and adds):
        why = "the spec says none" if not asked else "the region has no node autoscaler for it"
        yield f"may fall back to on-demand nodes, {why}", field
    if asked and adds and not falls and pool_of(resource)[1] == "spot":
        yield "waits for spot nodes alone, the spec says that it falls back", field


def _shape(
    resource: Resource, row: MachineType, facts: Facts, model: Model
) -> Iterator[tuple[str, str]]:
    """What of a model's pod is not its machine type's, and the field."""
    mains = pod(resource).get("containers") or ()
    given = ((mains[0].get("resources") or {}).get("limits") or {}) if mains else {}
    shape = {"cpu": str(row.cpu), "memory": f"{row.memory_gib}Gi"}
    shape |= {GPU: str(row.gpus)} if row.gpus else {}
    got = {name: str(given[name]) for name in (*shape, GPU) if name in given}
    if got != shape or gpus(resource) != row.gpus:
        yield f"is given {got}, {row.name} is {shape}", "machine_type"
    machine, capacity = pool_of(resource)
    if machine != row.name:
        yield f"stands on {machine or 'any node'}, the spec says {row.name}", "machine_type"
    if not slots(facts.profile, machine, capacity):
        yield f"asks for {capacity or 'any'} nodes of {machine}, there are none", "machine_type"
    yield from _fallback(resource, facts, model)
    wanted = _of_nodes(row, facts)
    wanted |= {(LABEL_CAPACITY, "spot")} if capacity == "spot" else set()
    found = _tolerated(pod(resource).get("tolerations") or [])
    if found != wanted:
        yield f"may stand on {sorted(found)}, its pool has {sorted(wanted)}", "machine_type"


def _stranger(resource: Resource, facts: Facts) -> Iterator[str]:
    """What a pod of no model takes of the pools."""
    machine, _ = pool_of(resource)
    found = _tolerated(pod(resource).get("tolerations") or [])
    of_pool: set[tuple[str, str]] = set()
    if resource.namespace == CACHE_NAMESPACE and resource.kind == "DaemonSet" and machine:
        row = MACHINES.get(machine)
        of_pool = {(LABEL_CAPACITY, ""), *(_of_nodes(row, facts) if row else ())}
    elif machine:
        yield f"stands on {machine} and is of no model"
    if found - of_pool:
        yield f"may stand on {sorted(found - of_pool)} and is of no model"
    lost = [taint for taint in sorted(of_pool) if not {taint, (taint[0], ""), ("", "")} & found]
    if lost:
        yield f"does not tolerate {lost}, so nodes of {machine} may have no agent"
    if gpus(resource):
        yield f"takes {gpus(resource)} GPUs for no model"


@each("P17", "gpu-shape", *WORKLOADS)
def _gpu_shape(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A model's pod is given exactly what its machine type says, requests and limits alike, on the
    nodes of that type and no others; nothing else stands on these, but the agent that fills their
    disks, which tolerates all that models there tolerate. A GPU is whole or none."""
    for container in containers(resource):
        for what in _sizes(container):
            yield Fault(resource, f"{what} in {container.get('name')}", _MEND, "machine_type")
    model = facts.models.get(resource.model)
    if model is None:
        yield from (Fault(resource, what, _MEND, "") for what in _stranger(resource, facts))
        return
    row = MACHINES[model.spec.machine_type]
    for what, field in _shape(resource, row, facts, model):
        yield Fault(resource, what, "render the machine type's row, or choose another", field)


Taken = dict[str, dict[str, int]]
"""GPUs by project and machine type."""


def _taken(estate: Estate) -> tuple[Taken, dict[str, int]]:
    """The most GPUs that workloads hold, and by project what rollouts take on top."""
    most: Taken = defaultdict(lambda: defaultdict(int))
    surge: dict[str, int] = defaultdict(int)
    for track in tracks(estate):
        each_pod = gpus(track.deployment)
        most[track.deployment.project][track.machine] += track.most * each_pod
        rolling = (track.deployment.spec.get("strategy") or {}).get("rollingUpdate") or {}
        surge[track.deployment.project] += rolling.get("maxSurge", 0) * each_pod
    for job, pods in batches(estate):
        most[job.project][pool_of(job)[0]] += pods * gpus(job)
    return most, surge


_ZEROS: Final = {"k": 3, "M": 6, "G": 9}
"""Zeros by suffix: the API server keeps 20000 as 20k, and a preview shows what it keeps.
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""


def _count(quantity: str) -> int:
    """A Kubernetes quantity of whole things. Raises ValueError for what is none."""
    zeros = _ZEROS.get(quantity[-1:], 0)
    number = int(quantity[:-1] if zeros else quantity)
    return number * int(10**zeros)


def _limit(quota: Resource) -> int | None:
    """The GPUs that a ResourceQuota allows; None where it bounds none."""
    hard = (quota.spec.get("hard") or {}).get(_QUOTA)
    return None if hard is None else _count(str(hard))


@whole("P16", "gpu-quota")
def _gpu_quota(estate: Estate) -> Iterator[Fault]:
    """All of a project's workloads at their largest stay within its quota of each machine type,
    and its ResourceQuota lets them and no more run, with what a rollout needs on top: one team's
    burst must not take another's GPUs, nor stall its own rollout."""
    most, surge = _taken(estate)
    quotas = {quota.namespace: quota for quota in estate.of("ResourceQuota")}
    for name in sorted({work.project for work in estate.of(*WORKLOADS)} - {""}):
        project, quota = estate.facts.projects.get(name), quotas.get(name)
        if quota is None or project is None:
            fix = f"render one, and write model_specs/{name}/project.yaml"
            missing = absent("ResourceQuota", name, "project", {LABEL_PROJECT: name})
            yield Fault(missing, "is not made, yet has pods to bound", fix, "gpu_quota")
            continue
        allowed, total = project.spec.gpu_quota, sum(most[name].values()) + surge[name]
        for machine, wanted in sorted(most[name].items()):
            if wanted > allowed.get(machine, 0):
                what = f"has {allowed.get(machine, 0)} of {machine}, its models may take {wanted}"
                fix = "raise gpu_quota or lower scaling.max"
                yield Fault(quota, what, fix, f"gpu_quota[{machine}]")
        hard, top = _limit(quota), sum(allowed.values()) + surge[name]
        if hard is None or not min(total, top) <= hard <= top:
            what = f"allows {hard} GPUs, its models may take {total} and the project has {top}"
            yield Fault(quota, what, f"render {_QUOTA} between both", "gpu_quota")


RULES: Final[tuple[Rule, ...]] = (_gpu_shape, _gpu_quota)
