"""Rules about GPUs: a pod is given what its machine type says, a project what its quota says."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from model_specs.gpu_kinds import GPU_RESOURCES
from model_specs.load import Model
from model_specs.names import (
    CACHE_NAMESPACE,
    LABEL_CAPACITY,
    LABEL_MACHINE,
    LABEL_PROJECT,
)
from policies.facts import Facts
from policies.pods import Block, containers, pod
from policies.resources import Resource, absent
from policies.rule import WORKLOADS, Estate, Fault, Rule, each, whole
from policies.tracks import batches, falls_back, node_affinity, pool_of, slots, tracks
from regions.machines import MACHINES, MachineType

_KNOWN: Final = frozenset({"cpu", "ephemeral-storage", "memory", *GPU_RESOURCES})
_COUNT: Final = re.compile(r"[1-9][0-9]*")
_MEND: Final = "no field of a spec says so; mend what renders the pod"


def gpus(resource: Resource) -> Counter[str]:
    """The GPUs of one pod of a workload, by the name under which they are asked for."""
    limits = [(one.get("resources") or {}).get("limits") or {} for one in containers(resource)]
    return Counter({name: sum(int(one.get(name, 0)) for one in limits) for name in GPU_RESOURCES})


def _sizes(container: Block) -> Iterator[str]:
    """What is wrong with a container's own numbers."""
    sizes = container.get("resources") or {}
    requests, limits = sizes.get("requests") or {}, sizes.get("limits") or {}
    if not limits or requests != limits:
        yield f"requests {dict(requests)}, is limited to {dict(limits)}"
    for name in GPU_RESOURCES:
        if not _COUNT.fullmatch(str(limits.get(name, 1))):
            yield f"takes {limits[name]} of a GPU"
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
    """The taints of a machine type's nodes: its GPUs' vendor's, ours, its row's, the profile's."""
    gpu = {(LABEL_MACHINE, row.name)} if row.gpus else set()
    gpu |= {(row.kind.taint[0], "")} if row.kind.taint[0] else set()
    offer = facts.profile.machines.get(row.name)
    return (
        gpu
        | {*row.tolerations}
        | {(taint.key, taint.value) for taint in (offer.taints if offer else ())}
    )


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
    shape |= {row.kind.resource: str(row.gpus)} if row.gpus else {}
    got = {name: str(given[name]) for name in (*shape, *GPU_RESOURCES) if name in given}
    if got != shape or gpus(resource) != Counter({row.kind.resource: row.gpus}):
        yield f"is given {got}, {row.name} is {shape}", "machine_type"
    under = str(pod(resource).get("runtimeClassName") or "")
    if under != row.runtime_class:
        yield f"has RuntimeClass {under!r}, {row.name} has {row.runtime_class!r}", "machine_type"
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
    if taken := gpus(resource).total():
        yield f"takes {taken} GPUs for no model"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The GPUs of one project: at most `by_machine` type held, `at_once` with what rollouts take on
    top by the name under which they are asked for, of which `surge` is the rollouts' part."""

    by_machine: Counter[str]
    at_once: Counter[str]
    surge: Counter[str]


def _taken(estate: Estate) -> dict[str, Taken]:
    """By project, the most GPUs that its workloads hold."""
    found: dict[str, Taken] = defaultdict(
        lambda: Taken(by_machine=Counter(), at_once=Counter(), surge=Counter())
    )

    def add(project: str, machine: str, pods: int, surge: int, each_pod: Counter[str]) -> None:
        one = found[project]
        one.by_machine[machine] += pods * each_pod.total()
        for name, number in each_pod.items():
            one.at_once[name] += (pods + surge) * number
            one.surge[name] += surge * number

    for track in tracks(estate):
        work = track.deployment
        rolling = (work.spec.get("strategy") or {}).get("rollingUpdate") or {}
        add(work.project, track.machine, track.most, rolling.get("maxSurge", 0), gpus(work))
    for job, pods in batches(estate):
        add(job.project, pool_of(job)[0], pods, 0, gpus(job))
    return found


_ZEROS: Final = {"k": 3, "M": 6, "G": 9}
"""Zeros by suffix: the API server keeps 20000 as 20k, and a preview shows what it keeps.
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""


def _count(quantity: str) -> int:
    """A Kubernetes quantity of whole things. Raises ValueError for what is none."""
    zeros = _ZEROS.get(quantity[-1:], 0)
    number = int(quantity[:-1] if zeros else quantity)
    return number * int(10**zeros)


def _limit(quota: Resource, name: str) -> int | None:
    """The GPUs asked for as `name` that a ResourceQuota allows; None where it bounds none."""
    hard = (quota.spec.get("hard") or {}).get(f"requests.{name}")
    return None if hard is None else _count(str(hard))


@whole("P16", "gpu-quota")
def _gpu_quota(estate: Estate) -> Iterator[Fault]:
    """All of a project's workloads at their largest stay within its quota of each machine type,
    and its ResourceQuota lets them and no more run, with what a rollout needs on top: one team's
    burst must not take another's GPUs, nor stall its own rollout."""
    found = _taken(estate)
    quotas = {quota.namespace: quota for quota in estate.of("ResourceQuota")}
    for name in sorted({work.project for work in estate.of(*WORKLOADS)} - {""}):
        project, quota = estate.facts.projects.get(name), quotas.get(name)
        if quota is None or project is None:
            fix = f"render one, and write model_specs/{name}/project.yaml"
            missing = absent("ResourceQuota", name, "project", {LABEL_PROJECT: name})
            yield Fault(missing, "is not made, yet has pods to bound", fix, "gpu_quota")
            continue
        allowed, taken = project.spec.gpu_quota, found[name]
        for machine, wanted in sorted(taken.by_machine.items()):
            if wanted > allowed.get(machine, 0):
                what = f"has {allowed.get(machine, 0)} of {machine}, its models may take {wanted}"
                fix = "raise gpu_quota or lower scaling.max"
                yield Fault(quota, what, fix, f"gpu_quota[{machine}]")
        granted: Counter[str] = Counter()
        for machine, number in allowed.items():
            granted[MACHINES[machine].kind.resource] += number
        for gpu in GPU_RESOURCES:
            hard, total = _limit(quota, gpu), taken.at_once[gpu]
            top = granted[gpu] + taken.surge[gpu]
            if hard is None or not min(total, top) <= hard <= top:
                what = f"allows {hard} GPUs, its models may take {total} and the project has {top}"
                yield Fault(quota, what, f"render requests.{gpu} between both", "gpu_quota")


RULES: Final[tuple[Rule, ...]] = (_gpu_shape, _gpu_quota)
