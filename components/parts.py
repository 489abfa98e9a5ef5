"""Every noun of a region with its objects, in the one order in which all commands take them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final

from components import (
    admission_guard,
    gpu_node_pool,
    model_job,
    model_route,
    model_server,
    platform_space,
    project_space,
    replica_autoscaler,
    service_dashboard,
)
from components import gateway as entrance
from components.kube import Object
from components.model_cache import objects as model_cache
from components.model_cache.monitor import monitor
from components.synthetic_probe import objects as synthetic_probe
from components.synthetic_probe import rules
from model_specs.names import ANNOTATION_REGION
from regions.model_plan import JobPlan, ServerPlan
from regions.plan import RegionPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One component: a noun, its logical name (never with the region in it) and its objects.

    `model` is the id of the model it belongs to, or empty for the region's and projects' own.
    """

    noun: str
    name: str
    model: str
    objects: list[Object]


def _named(plan: RegionPlan, objects: list[Object]) -> list[Object]:
    """The objects with the region's name on them (see components.gates.claims)."""
    for made in objects:
        made["metadata"]["annotations"][ANNOTATION_REGION] = plan.region
    return objects


def _platform(plan: RegionPlan) -> Iterator[Part]:
    yield _own("PlatformSpace", "platform", _named(plan, platform_space.objects(plan)))


def _guard(plan: RegionPlan) -> Iterator[Part]:
    yield _own("AdmissionGuard", "guard", admission_guard.objects(plan))


def _projects(plan: RegionPlan) -> Iterator[Part]:
    for project in plan.projects:
        objects = project_space.objects(project)
        yield _own("ProjectSpace", project.name, _named(plan, objects))


def _pools(plan: RegionPlan) -> Iterator[Part]:
    for pool in plan.pools:
        yield _own("GpuNodePool", pool.name, gpu_node_pool.objects(pool))


def _caches(plan: RegionPlan) -> Iterator[Part]:
    for cache in plan.caches[:1]:
        monitored = "prometheus_operator" in plan.capabilities
        scrape = [monitor(cache.namespace, plan.prometheus.labels)] if monitored else []
        projects = sorted({one.project for held in plan.caches for one in held.models})
        yield _own("ModelCache", "cache", [*model_cache.shared(cache, projects), *scrape])
    for cache in plan.caches:
        yield _own("ModelCache", cache.name, model_cache.objects(cache))


def _gateways(plan: RegionPlan) -> Iterator[Part]:
    for gateway in plan.gateways:
        yield _own("Gateway", gateway.name, entrance.objects(gateway, plan))


def _own(noun: str, name: str, objects: list[Object]) -> Part:
    return Part(noun=noun, name=name, model="", objects=objects)


def _slo(server: ServerPlan, plan: RegionPlan) -> list[Object]:
    return [*rules.monitor(server, plan), *rules.rules(server, plan)]


_OF_SERVER: Final[dict[str, Callable[[ServerPlan, RegionPlan], list[Object]]]] = {
    "ModelServer": lambda server, plan: model_server.objects(server),
    "ReplicaAutoscaler": lambda server, plan: replica_autoscaler.objects(server),
    "ModelRoute": lambda server, plan: model_route.objects(server),
    "SyntheticProbe": _slo,
    "ServiceDashboard": lambda server, plan: [service_dashboard.model_dashboard(server)],
}


def facts(plan: RegionPlan) -> RegionPlan:
    """The region alone, without anything that follows from models: all that a model's parts see."""
    return replace(
        plan,
        projects=(),
        pools=(),
        caches=(),
        servers=(),
        jobs=(),
        probers=(),
        downgrades=(),
        gaps=(),
    )


def _servers(plan: RegionPlan) -> Iterator[Part]:
    region = facts(plan)
    for server in plan.servers:
        name = server.workload.id
        for noun, objects in _OF_SERVER.items():
            yield Part(noun=noun, name=name, model=name, objects=objects(server, region))


def _probers(plan: RegionPlan) -> Iterator[Part]:
    for prober in plan.probers:
        objects = synthetic_probe.objects(prober, plan.servers, plan)
        yield _own("SyntheticProbe", prober.project, objects)


def _dashboard(plan: RegionPlan) -> Iterator[Part]:
    if "cluster_scope" in plan.capabilities:
        yield _own("ServiceDashboard", "region", [service_dashboard.region_dashboard()])


def _jobs(plan: RegionPlan) -> Iterator[Part]:
    for job in plan.jobs:
        name = job.workload.id
        yield Part(noun="ModelJob", name=name, model=name, objects=model_job.objects(job))


NOUNS: Final[tuple[Callable[[RegionPlan], Iterator[Part]], ...]] = (
    _platform,
    _guard,
    _projects,
    _pools,
    _caches,
    _gateways,
    _servers,
    _jobs,
    _probers,
    _dashboard,
)
"""What makes the parts of one noun; the order is that of `up`."""


_OF_MODELS: Final = (_servers, _jobs)
"""The nouns whose parts each follow from one model's plan and the region's facts."""


def parts(plan: RegionPlan) -> Iterator[Part]:
    """All Kubernetes parts of a region; a part without objects is left out."""
    for noun in NOUNS:
        yield from (part for part in noun(plan) if part.objects)


def _by_model(plan: RegionPlan) -> dict[str, ServerPlan | JobPlan]:
    rows: tuple[ServerPlan | JobPlan, ...] = (*plan.servers, *plan.jobs)
    return {row.workload.id: row for row in rows}


def _is_alike(row: ServerPlan | JobPlan, other: ServerPlan | JobPlan | None) -> bool:
    """Whether two plans of a model say the same. Where a person wrote a value of any type, and
    where it is a float, texts are compared too: == takes true for 1, and 1.0 for both."""
    if row != other:
        return False
    free = [(one.probe, one.slo) for one in (row, other) if isinstance(one, ServerPlan)]
    return len({*map(repr, free)}) <= 1


def apart(plan: RegionPlan, other: RegionPlan) -> tuple[list[Part], list[Part]]:
    """The parts of two plans of a region, without those of models that both plan alike: a model's
    follow from its plan and the region's facts."""
    alike: set[str] = set()
    if repr(facts(plan)) == repr(facts(other)):
        others = _by_model(other)
        rows = _by_model(plan).items()
        alike = {name for name, row in rows if _is_alike(row, others.get(name))}
    return _without(plan, alike), _without(other, alike)


def _without(plan: RegionPlan, models: Collection[str]) -> list[Part]:
    """The parts of a plan but those of some models."""
    fewer = replace(
        plan,
        servers=tuple(row for row in plan.servers if row.workload.id not in models),
        jobs=tuple(row for row in plan.jobs if row.workload.id not in models),
    )
    made = (part for noun in NOUNS for part in noun(fewer if noun in _OF_MODELS else plan))
    return [part for part in made if part.objects]
