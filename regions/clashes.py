"""Finds names that two owners would both give to an object: the second would replace the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from model_specs.errors import SpecError
from model_specs.load import Specs
from model_specs.names import PROBER
from regions.model_plan import ServerPlan
from regions.namespaces import owner_of
from regions.profile import RegionProfile


def clashes(
    specs: Specs, profile: RegionProfile, servers: Iterable[ServerPlan]
) -> Iterator[SpecError]:
    """Names of the platform's parts, and of another model's second Deployment."""
    sources = {model.id: model.source for model in specs.models}
    for model in specs.models:
        if model.name == PROBER:
            message = f"{PROBER} is the project's own prober, got {model.name!r}; rename the file"
            yield model.source.error((), "E314", message)
    for project in specs.projects.values():
        owner = owner_of(project.name, profile)
        if owner:
            message = f"a project has a namespace of its own, got {project.name!r}, {owner}"
            yield project.source.error((), "E314", f"{message}; rename the folder")
    for server in servers:
        for track in server.tracks:
            other = f"{server.workload.project}/{track.name}"
            if other != server.workload.id and other in sources:
                message = (
                    f"{server.workload.id} has a Deployment of this name, got {track.name!r}; "
                    f"rename this file or {sources[server.workload.id].file}"
                )
                yield sources[other].error((), "E315", message)
