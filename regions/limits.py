"""What no single model can mend: unknown names, quotas, and more than the nodes can hold."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from model_specs.arguments import flag_of, shared_sizes
from model_specs.errors import SpecError, nearest, shown
from model_specs.load import Model, Specs
from model_specs.per_region import named
from model_specs.project import ProjectSpec
from model_specs.runtimes import RUNTIMES, Runtime
from model_specs.source import Where
from regions.gpu_memory import heads_divided
from regions.machines import MACHINES, MachineType
from regions.model_plan import JobPlan, ServerPlan
from regions.profile import RegionProfile
from regions.tracks import most_shared_gib, versions

HOURS_PER_MONTH: Final = 730


def unknown_regions(specs: Specs, regions: Iterable[str]) -> Iterator[SpecError]:
    """Regions that a spec names and no profile describes."""
    known = tuple(regions)
    for model in specs.models:
        for where, name, _ in named(model.spec.regions):
            if name not in known:
                message = f"no such region, got {shown(name)}; {nearest(name, known)}"
                yield model.source.error(where, "E333", message)


def unnamed_machines(specs: Specs) -> Iterator[SpecError]:
    """Machine types that are in no row of the catalogue."""
    for model in specs.models:
        wish = model.spec.machine_type
        if wish not in MACHINES:
            message = f"no such machine type, got {shown(wish)}; {nearest(wish, MACHINES)}"
            yield model.source.error(("machine_type",), "E331", message)


def unknown_machines(specs: Specs) -> Iterator[SpecError]:
    """Machine types that are in no row of the catalogue, and GPUs that a row does not have."""
    yield from unnamed_machines(specs)
    for model in specs.models:
        wish = model.spec.machine_type
        if wish in MACHINES:
            yield from _misfits(model, max(MACHINES[wish].gpus, 1))
            yield from _without_gpu(model)
            yield from _of_other_machines(model)
            yield from _heads_left_over(specs, model)
            yield from _too_much_shared(model)
    for project in specs.projects.values():
        for wish in project.spec.gpu_quota:
            if wish not in MACHINES:
                message = f"no such machine type, got {shown(wish)}; {nearest(wish, MACHINES)}"
                yield project.source.error(("gpu_quota", wish), "E331", message)


def _misfits(model: Model, gpus: int) -> Iterator[SpecError]:
    """Arguments that share a model over more GPUs than its machine has, or over an odd number."""
    for where, args in model.spec.arguments.items():
        sharing = model.spec.contract_at(where[:-1]).sharing
        asked = math.prod(shared_sizes(args, sharing, gpus).values())
        if asked and gpus % asked == 0:
            continue
        for index, word in enumerate(args):
            if flag_of(word) in sharing:
                message = (
                    f"the arguments share the model over {asked} GPUs, got {gpus} on "
                    f"{model.spec.machine_type}; let the sizes multiply to {gpus}, or remove them"
                )
                yield model.source.error((*where, index), "E332", message)


def _without_gpu(model: Model) -> Iterator[SpecError]:
    """Runtimes that cannot start on the model's machine. A job's command is not the runtime's."""
    machine = model.spec.machine_type
    if MACHINES[machine].gpus or model.spec.batch:
        return
    for where, runtime in model.spec.runtimes.items():
        if runtime.needs_gpu:
            message = (
                f"{runtime.name} cannot start without a GPU, got {machine}; take a machine_type "
                f"with a GPU (`isoserve machines`), or another runtime"
            )
            yield model.source.error(where, "E335", message)


def _of_other_machines(model: Model) -> Iterator[SpecError]:
    """Images of the catalogue that are for other processors or GPUs than the model's machine has,
    in a job too. Of an image of a team's own nobody here knows."""
    machine = MACHINES[model.spec.machine_type]
    for where, image in model.spec.images.items():
        why = other_machine(RUNTIMES[image], machine) if image in RUNTIMES else ""
        if why:
            message = (
                f"{why}; take another machine_type (`isoserve machines`), or an image of your own "
                f"with `runtime: {image}`"
            )
            yield model.source.error(where, "E336", message)


def other_machine(runtime: Runtime, machine: MachineType) -> str:
    """Why the image of a row of the catalogue is not for a machine; empty if it is."""
    of = f"the image of {runtime.name}"
    if runtime.architectures and machine.architecture not in runtime.architectures:
        built = " and ".join(runtime.architectures)
        return f"{of} is built for {built}, got {machine.name} of {machine.architecture}"
    vendors = runtime.gpu_vendors
    if machine.gpus and vendors and machine.kind.vendor not in vendors:
        computes = " and ".join(vendors)
        return f"{of} computes on GPUs of {computes}, got {machine.name} of {machine.kind.vendor}"
    return ""


def _heads_left_over(specs: Specs, model: Model) -> Iterator[SpecError]:
    """Models whose attention heads their GPUs cannot share evenly."""
    spec = model.spec
    for role, what in versions(specs, spec).items():
        reason = heads_divided(MACHINES[spec.machine_type], what)
        if reason:
            at = () if role == "stable" else ("rollout", role)
            args = spec.arguments.get((*at, "args"), ())
            sharing = what.runtime.sharing
            said: list[Where] = [
                ("args", i) for i, word in enumerate(args) if flag_of(word) in sharing
            ]
            rest: Where = said[0] if said else () if at else ("machine_type",)
            yield model.source.error((*at, *rest), "E332", reason)


def _too_much_shared(model: Model) -> Iterator[SpecError]:
    """A /dev/shm that would leave its server too little of the pod's memory."""
    machine, asked = MACHINES[model.spec.machine_type], model.spec.shared_memory_gib or 0
    most = most_shared_gib(machine)
    if asked > most:
        message = (
            f"/dev/shm is half of the pod's memory at most, got {asked} of the "
            f"{machine.memory_gib} GiB of {machine.name}; write {most} or less, or take a larger "
            f"machine_type"
        )
        yield model.source.error(("shared_memory_gib",), "E334", message)


@dataclass(frozen=True, slots=True)
class _Use:
    """The most replicas of one workload on one machine type, and the field that bounds them."""

    project: str
    model: str
    machine: str
    replicas: int
    bound: str


def _uses(servers: Iterable[ServerPlan], jobs: Iterable[JobPlan]) -> Iterator[_Use]:
    for row in servers:
        for track in row.tracks:
            work, machine = row.workload, track.placement.machine_type
            yield _Use(work.project, work.model, machine, track.scaler.max, "scaling.max")
    for row_job in jobs:
        work, machine = row_job.workload, row_job.placement.machine_type
        pods = row_job.parallelism
        yield _Use(work.project, work.model, machine, pods, "batch.parallelism")


def _bounds(uses: Iterable[_Use], project: str, models: Iterable[str]) -> str:
    """The fields by which these models ask for less: a job has no `scaling`."""
    named = {(project, model) for model in models}
    found = {use.bound for use in uses if (use.project, use.model) in named}
    return " or ".join(sorted(found, reverse=True))


def _asked(use: _Use) -> dict[Where, int]:
    """What a workload takes of each quota, by the quota's field."""
    machine = MACHINES[use.machine]
    whole: dict[Where, int] = {
        ("cpu_quota",): use.replicas * machine.cpu,
        ("memory_quota_gib",): use.replicas * machine.memory_gib,
    }
    return whole | (
        {("gpu_quota", use.machine): use.replicas * machine.gpus} if machine.gpus else {}
    )


def _quota(spec: ProjectSpec, where: Where) -> int:
    if where[0] == "gpu_quota":
        return spec.gpu_quota.get(str(where[1]), 0)
    return spec.cpu_quota if where[0] == "cpu_quota" else spec.memory_quota_gib


_UNITS: Final = {"cpu_quota": "cores", "gpu_quota": "GPUs", "memory_quota_gib": "GiB of memory"}


def over_quota(
    specs: Specs, region: str, servers: Iterable[ServerPlan], jobs: Iterable[JobPlan]
) -> Iterator[SpecError]:
    """Projects whose models together may ask for more than their quota."""
    used: dict[tuple[str, Where], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    uses = [*_uses(servers, jobs)]
    for use in uses:
        for where, amount in _asked(use).items():
            used[use.project, where][use.model] += amount
    for (project, where), models in sorted(used.items(), key=str):
        owner = specs.projects[project]
        quota, asked = _quota(owner.spec, where), sum(models.values())
        if asked > quota:
            of = f" of {where[1]}" if len(where) > 1 else ""
            yield owner.source.error(
                where,
                "E381",
                f"{', '.join(sorted(models))} may use {asked} {_UNITS[str(where[0])]}{of} in "
                f"{region}, got a quota of {quota}; raise it or lower "
                f"{_bounds(uses, project, models)}",
            )


def over_budget(
    specs: Specs,
    profile: RegionProfile,
    region: str,
    servers: Iterable[ServerPlan],
    jobs: Iterable[JobPlan],
) -> Iterator[SpecError]:
    """Projects whose largest size costs more than their cap; what has no known price is left out.

    A replica costs its share of a node: price of the node / replicas per node * 730 h.
    """
    spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    uses = [*_uses(servers, jobs)]
    for use in uses:
        offer = profile.machines[use.machine]
        hourly = offer.price_usd_per_hour.on_demand or 0.0
        share = use.replicas * hourly / offer.replicas_per_node
        spent[use.project][use.model] += share * HOURS_PER_MONTH
    for project, models in sorted(spent.items()):
        cap, dollars = specs.projects[project].spec.cost_cap_usd_per_month, sum(models.values())
        if cap is not None and dollars > cap:
            shown_cap = f"{cap:,.0f}" if cap >= 1 else f"{cap:g}"
            yield specs.projects[project].source.error(
                ("cost_cap_usd_per_month",),
                "E382",
                f"at most replicas {', '.join(sorted(models))} cost {dollars:,.0f} USD a month in "
                f"{region} at on-demand prices, got a cap of {shown_cap}; raise it or lower "
                f"{_bounds(uses, project, models)}",
            )


def over_capacity(
    profile: RegionProfile,
    region: str,
    plan_rows: Mapping[tuple[str, str], tuple[int, int, int]],
    fallen: Mapping[str, tuple[int, int]],
) -> Iterator[SpecError]:
    """Pools whose nodes cannot hold the least replicas, those `fallen` from spot nodes included."""
    for machine, (least, _) in sorted(fallen.items()):
        offer = profile.machines[machine]
        slots = offer.on_demand.max * offer.replicas_per_node
        base = plan_rows.get((machine, "on_demand"), (0, 0, 0))[0]
        if base <= slots < base + least:
            message = (
                f"without spot nodes all models together keep {base + least} replicas of {machine} "
                f"on on-demand nodes, got room for {slots}; add nodes, lower scaling.min or write "
                f"capacity.spot_fallback: none"
            )
            yield _region_error(region, f"machines.{machine}", message)
    for (machine, capacity), (least, _, _) in sorted(plan_rows.items()):
        offer = profile.machines[machine]
        nodes = offer.spot if capacity == "spot" else offer.on_demand
        slots = nodes.max * offer.replicas_per_node
        if least > slots:
            message = (
                f"all models together keep {least} {capacity} replicas of {machine}, got room for "
                f"{slots}; add nodes, or lower scaling.min or batch.parallelism"
            )
            yield _region_error(region, f"machines.{machine}", message)


def _region_error(region: str, path: str, message: str) -> SpecError:
    return SpecError(
        file=f"regions/{region}.yaml", line=1, column=1, path=path, code="E381", message=message
    )
