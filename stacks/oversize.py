"""Finds the ConfigMaps that hold something of every model and are too large for the API server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from components.api_limits import DATA_BYTES, data_bytes
from components.kube import Object
from model_specs.errors import SpecError
from regions.plan import RegionPlan

_NAMED: Final = 3
_MOST_ESCAPED: Final = 6
"""JSON writes one character as six at most (\\u00e9)."""
_ROW_BYTES: Final = 2048
"""More than a probe without its texts, or a model in the agents' list, ever takes."""


def _large_projects(plan: RegionPlan) -> set[str]:
    """Projects whose probes can reach the limit, by a bound that costs next to nothing."""
    sizes = Counter[str]()
    for server in plan.servers:
        probe = server.probe
        text = len(repr(probe.body)) + len(probe.url) + len(probe.matches) + len(probe.json_path)
        rows = 2 if probe.candidate_url else 1
        sizes[server.workload.project] += rows * (_ROW_BYTES + _MOST_ESCAPED * text)
    return {project for project, size in sizes.items() if size > DATA_BYTES}


def _of_probes(config: Object) -> Counter[str]:
    rows = json.loads(config["data"]["config.json"])["probes"]
    return _summed((row["id"], row) for row in rows)


def _of_models(config: Object) -> Counter[str]:
    rows = json.loads(config["data"]["models.json"])["models"]
    return _summed((row["project"], row) for row in rows)


def _summed(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Counter[str]:
    sizes = Counter[str]()
    for name, row in rows:
        sizes[name] += len(json.dumps(row, sort_keys=True))
    return sizes


def _error(
    file: str, what: str, cure: str, config: Object, contributors: Callable[[Object], Counter[str]]
) -> SpecError:
    largest = contributors(config).most_common(_NAMED)
    named = ", ".join(f"{name} {size}" for name, size in largest)
    message = (
        f"{what} are one ConfigMap of {DATA_BYTES} bytes at most, got {data_bytes(config)} (the "
        f"largest: {named}); {cure}"
    )
    return SpecError(file=file, line=1, column=1, path="", code="E381", message=message)


def oversized(plan: RegionPlan) -> Iterator[SpecError]:
    """An E381 for each ConfigMap of all probes of a project, and of all models of a pool."""
    projects = _large_projects(plan)
    caches = [one for one in plan.caches if _ROW_BYTES * len(one.models) > DATA_BYTES]
    if not projects and not caches:
        return
    # Imported here: hardly a tree comes near, and `check` is quick without.
    from components.model_cache import objects as model_cache
    from components.synthetic_probe import objects as synthetic_probe

    for prober in plan.probers:
        if prober.project not in projects:
            continue
        servers = [row for row in plan.servers if row.workload.project == prober.project]
        made = synthetic_probe.objects(prober, servers, plan)
        for config in _large(made):
            what = f"the probes of {prober.project} in {plan.region}"
            cure = "send smaller probe.request.body, or move models to another project"
            file = f"model_specs/{prober.project}/project.yaml"
            yield _error(file, what, cure, config, _of_probes)
    for cache in caches:
        for config in _large(model_cache.objects(cache)):
            what = f"the cached models of {cache.machine_type}"
            cure = "cache fewer (`cache: never`), or use another machine_type"
            yield _error(f"regions/{plan.region}.yaml", what, cure, config, _of_models)


def _large(made: Iterable[Object]) -> Iterator[Object]:
    return (one for one in made if one["kind"] == "ConfigMap" and data_bytes(one) > DATA_BYTES)
