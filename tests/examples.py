"""The example tree planned and rendered once, and trees and regions made in memory to break it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from components.kube import Object
from components.parts import Part, parts
from model_specs.load import Model, Project, Specs, load, parse
from model_specs.lock import ModelFacts
from model_specs.project import ProjectSpec
from model_specs.schema import ModelSpec
from model_specs.source import Source
from regions.addons import ADDONS
from regions.capabilities import CAPABILITIES
from regions.offers import Nodes, Offer
from regions.plan import RegionPlan
from regions.profile import RegionProfile, load_profiles
from regions.resolve import resolve

ROOT: Final = Path(__file__).resolve().parents[1]
REGIONS: Final = tuple(sorted(path.stem for path in (ROOT / "regions").glob("*.yaml")))
WORKLOADS: Final = ("Deployment", "DaemonSet", "Job", "CronJob")
GIB: Final = 1024**3


class Identity(NamedTuple):
    """By what the cluster tells two objects apart."""

    kind: str
    namespace: str
    name: str


# -- the examples ----------------------------------------------------------------------------


@cache
def specs() -> Specs:
    return load(ROOT / "model_specs")


@cache
def profiles() -> dict[str, RegionProfile]:
    return load_profiles(ROOT / "regions")


@cache
def plan_of(region: str) -> RegionPlan:
    return resolve(specs(), profiles()[region], region)


@cache
def parts_of(region: str) -> tuple[Part, ...]:
    return tuple(parts(plan_of(region)))


def objects_of(region: str) -> list[Object]:
    return objects(parts_of(region))


# -- looking at what was rendered ------------------------------------------------------------


def objects(found: Iterable[Part]) -> list[Object]:
    return [made for part in found for made in part.objects]


def rendered(plan: RegionPlan) -> list[Object]:
    return objects(parts(plan))


def identity(made: Object) -> Identity:
    metadata = made["metadata"]
    return Identity(made["kind"], metadata.get("namespace", ""), metadata["name"])


def by_identity(found: Iterable[Object]) -> dict[Identity, Object]:
    return {identity(made): made for made in found}


def of_kind(kind: str, found: Iterable[Object]) -> list[Object]:
    return [made for made in found if made["kind"] == kind]


def template(made: Object) -> Object:
    """The pod template of a workload."""
    spec = made["spec"]
    if made["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found: Object = spec["template"]
    return found


def workloads(found: Iterable[Object]) -> list[Object]:
    return [made for made in found if made["kind"] in WORKLOADS]


def containers(pod: Object) -> Iterator[Object]:
    """All containers of a pod spec, those that prepare it too."""
    yield from pod.get("initContainers", ())
    yield from pod["containers"]


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


# -- trees and regions of one's own ----------------------------------------------------------


def address(project: str, model: str, number: int = 0) -> str:
    return f"{project}/{model}:v1@sha256:{number:064x}"


def a_model(project: str = "search", name: str = "sentiment", **fields: Any) -> Model:
    """A model of the three fields, and of those a test is about."""
    short: dict[str, Any] = {
        "machine_type": "gpu.l4.1",
        "image": "vllm",
        "model": address(project, name),
    }
    source = Source(f"model_specs/{project}/{name}.yaml", {**short, **fields})
    return Model(project=project, name=name, spec=parse(source, ModelSpec), source=source)


def a_tree(
    *models: Model, facts: Mapping[str, int | ModelFacts] | None = None, **project_fields: Any
) -> Specs:
    """A tree of `models` with `facts` (or bytes) by address; its projects have room for all."""
    room: dict[str, Any] = {
        "gpu_quota": {"gpu.l4.1": 10_000, "gpu.l4.4": 10_000, "gpu.l40s.4": 10_000},
        "cpu_quota": 100_000,
        "memory_quota_gib": 1_000_000,
        "members": {"admins": ["leads"], "developers": ["ml"], "viewers": ["oncall"]},
    }
    named = sorted({model.project for model in models})
    projects = {}
    for name in named:
        source = Source(f"model_specs/{name}/project.yaml", {**room, **project_fields})
        projects[name] = Project(name=name, spec=parse(source, ProjectSpec), source=source)
    told = facts or {model.spec.model: 3 * GIB for model in models}
    return Specs(
        models=models,
        expired=(),
        projects=projects,
        facts={
            key: one if isinstance(one, ModelFacts) else ModelFacts(bytes=one, files=3)
            for key, one in told.items()
        },
    )


def a_profile(like: str = "us-east-1", without: Iterable[str] = (), **over: Any) -> RegionProfile:
    """The profile of `like` with every capability but `without`."""
    able = [name for name in CAPABILITIES if name not in set(without)]
    return with_capabilities(profiles()[like], able).model_copy(update=over)


def with_capabilities(profile: RegionProfile, able: Collection[str]) -> RegionProfile:
    """The profile with just these capabilities, those of its add-ons among them."""
    brought = {name: row.capability for name, row in ADDONS.items() if row.capability}
    addons = {name: "provided" if it in able else "absent" for name, it in brought.items()}
    claimed = tuple(name for name in able if name not in brought.values())
    return profile.model_copy(
        update={"capabilities": claimed, "addons": {**profile.addons, **addons}}
    )


def an_offer(on_demand: int, spot: int = 0, replicas_per_node: int = 1, **over: Any) -> Offer:
    """Room for so many nodes of each capacity."""
    like = profiles()["us-east-1"].machines["gpu.l4.1"]
    return like.model_copy(
        update={
            "on_demand": Nodes(min=0, max=on_demand),
            "spot": Nodes(min=0, max=spot),
            "replicas_per_node": replicas_per_node,
            **over,
        }
    )


def planned(*models: Model, profile: RegionProfile | None = None, **tree: Any) -> RegionPlan:
    """The plan of a tree of `models` in a region that can do everything."""
    return resolve(a_tree(*models, **tree), profile or a_profile(), "test-region")
