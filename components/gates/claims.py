"""Refuses to take over an object that somebody else made under one of our fixed names.

Names are fixed, so that a killed `up` that runs again meets its own objects, and the provider
creates by server-side apply, which merges into whatever stands there (provider/pkg/await/await.go
of pulumi-kubernetes 4.25, Creation: "we currently always upsert the object"). So before the first
object is made, a claim looks for the names that the last `up` did not have. As it knows all names
of an `up` before anything is made, a refresh looks by it for objects that have none of them
(components.gates.extra_objects).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from components.gates.acts import Asked, Gate
from components.gates.extra_objects import secrets_of
from components.kube import FIELD_MANAGER, Object
from components.parts import Part
from model_specs.names import ANNOTATION_REGION
from regions.plan import RegionPlan

CLAIM: Final = "NameClaim"
REGION: Final = "isoserve"
"""Names the region's own gate; no project may be called so (model_specs.names.RESERVED)."""
JOINED: Final = "Node"
"""Made by machines that join; we only ever apply fields of ours to them."""
Get = Callable[[str], Object | None]
"""(path at the API server) -> an object, or a list of them; None where there is none."""
Name = tuple[str, str, str, str]
"""apiVersion, kind, namespace (empty where there is none), name."""


def plural(kind: str) -> str:
    """A kind's name in paths of the API server."""
    low = kind.lower()
    if low.endswith("y") and low[-2] not in "aeiou":
        return f"{low[:-1]}ies"
    return f"{low}es" if low.endswith("s") else f"{low}s"


def projects_of(plan: RegionPlan) -> dict[str, str]:
    """The projects by their namespaces."""
    return {project.namespace: project.name for project in plan.projects}


def owner(made: Object, projects: Mapping[str, str]) -> str:
    """The project that an object belongs to; empty for the region's own. `projects` are by their
    namespaces."""
    metadata = made["metadata"]
    space = metadata["name"] if made["kind"] == "Namespace" else metadata.get("namespace", "")
    return projects.get(space, "")


def claims(parts: Iterable[Part], plan: RegionPlan) -> Iterator[Gate]:
    """The region's own claim and one of each project, so that one's clash holds up it alone."""
    projects = projects_of(plan)
    found: dict[str, list[Name]] = {name: [] for name in ("", *projects.values())}
    secrets: dict[str, set[tuple[str, str]]] = {name: set() for name in found}
    for made in (made for part in parts for made in part.objects if made["kind"] != JOINED):
        metadata = made["metadata"]
        space, name = metadata.get("namespace", ""), metadata["name"]
        found[owner(made, projects)].append((made["apiVersion"], made["kind"], space, name))
        secrets[owner(made, projects)] |= {(space, secret) for secret in secrets_of(made)}
    if plan.pull_secret:
        # People are asked for it there, also where no pod names it at this moment.
        for space, project in projects.items():
            secrets[project].add((space, plan.pull_secret))
        secrets[""] |= {(space, plan.pull_secret) for space in plan.system_namespaces}
    for project, names in found.items():
        asked = {"names": sorted(names), "region": plan.region, "secrets": sorted(secrets[project])}
        if plan.addon_objects:
            asked["addons"] = sorted(plan.addon_objects)
        yield Gate(kind=CLAIM, name=project or REGION, model=project, asked=asked)


def unclaimed(olds: Asked, news: Asked) -> list[Name]:
    """The names that the last `up` did not have."""
    had = {tuple(name) for name in olds.get("names", ())}
    return [(a, b, c, d) for a, b, c, d in news["names"] if (a, b, c, d) not in had]


def folder(version: str, kind: str, namespace: str) -> str:
    """The API server's path of a kind's objects in a namespace, empty where there is none."""
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    space = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{space}/{plural(kind)}"


def is_ours(live: Object, region: str) -> bool:
    """Whether an object is of the region, or of an earlier version of ours that did not say so."""
    metadata = live["metadata"]
    said = metadata.get("annotations", {}).get(ANNOTATION_REGION)
    if said is not None:
        return bool(said == region)
    applied = {"manager": FIELD_MANAGER, "operation": "Apply"}
    fields: list[Mapping[str, str]] = metadata.get("managedFields", [])
    return any(applied.items() <= entry.items() for entry in fields)


def taken(names: Iterable[Name], region: str, get: Get) -> Iterator[str]:
    """Each name that another's object bears, in words, and what to do.

    Asks once for each kind and namespace. What is in a namespace of another is not asked for.
    """
    folders: dict[str, list[Name]] = defaultdict(list)
    for one in names:
        folders[folder(*one[:3])].append(one)
    for path, wanted in folders.items():
        live = {one["metadata"]["name"]: one for one in (get(path) or {}).get("items", ())}
        for _, kind, namespace, name in wanted:
            if name in live and not is_ours(live[name], region):
                whose = live[name]["metadata"].get("annotations", {}).get(ANNOTATION_REGION)
                of = f"of region {whose}" if whose else "made by somebody else"
                where = f"{namespace}/{name}" if namespace else name
                yield (
                    f"{kind} {where} stands there already, {of}: nothing is changed in it; "
                    f"choose another name, remove it, or give it the annotation "
                    f"{ANNOTATION_REGION}: {region} to have it taken over"
                )
