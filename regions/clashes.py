"""Finds names that two owners would both give to an object: the second would replace the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from model_specs.errors import SpecError
from model_specs.load import Specs
from model_specs.names import PROBER
from regions.model_plan import JobPlan, ServerPlan
from regions.namespaces import owner_of
from regions.profile import RegionProfile


def clashes(
    specs: Specs,
    profile: RegionProfile,
    servers: Iterable[ServerPlan],
    jobs: Iterable[JobPlan],
) -> Iterator[SpecError]:
    """Names of the platform's parts, of another model's second Deployment, of results."""
    sources = {model.id: model.source for model in specs.models}
    yield from _of_platform(specs, profile)
    for server in servers:
        for track in server.tracks:
            other = f"{server.workload.project}/{track.name}"
            if other != server.workload.id and other in sources:
                message = (
                    f"{server.workload.id} has a Deployment of this name, got {track.name!r}; "
                    f"rename this file or {sources[server.workload.id].file}"
                )
                yield sources[other].error((), "E315", message)
    for one, later in _same_results(jobs):
        message = (
            f"{one.workload.id} writes there too, to {one.data.output_prefix} of the bucket, got "
            f"{later.data.output_prefix}; write to a folder of its own"
        )
        yield sources[later.workload.id].error(("batch", "output"), "E315", message)


def _same_results(jobs: Iterable[JobPlan]) -> Iterator[tuple[JobPlan, JobPlan]]:
    """Each job that writes inside the folder of another, and that other; prefixes end with `/`."""
    outer: JobPlan | None = None
    for job in sorted(jobs, key=lambda job: job.data.output_prefix):
        if outer and job.data.output_prefix.startswith(outer.data.output_prefix):
            yield outer, job
        elif job.data.output_prefix:
            outer = job


def _of_platform(specs: Specs, profile: RegionProfile) -> Iterator[SpecError]:
    """Names of the platform's own parts and namespaces."""
    for model in specs.models:
        if model.name == PROBER:
            message = f"{PROBER} is the project's own prober, got {model.name!r}; rename the file"
            yield model.source.error((), "E314", message)
    for project in specs.projects.values():
        owner = owner_of(project.name, profile.inhabited)
        if owner:
            message = f"a project has a namespace of its own, got {project.name!r}, {owner}"
            yield project.source.error((), "E314", f"{message}; rename the folder")
        for index, row in enumerate(profile.reachable):
            if row.namespace == project.name:
                message = f"the region's profile opens it to all models, got reachable[{index}]"
                cure = "take that out, since models are called by share_with, or rename the folder"
                yield project.source.error((), "E315", f"{message}; {cure}")
