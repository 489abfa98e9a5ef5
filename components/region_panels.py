"""What the region's dashboard shows: all models, the pages, the nodes and their GPUs and caches."""

from __future__ import annotations

import re
from typing import Final

from components.charts import Panel, lines, number, rows
from model_specs.gpu_kinds import GPU_RESOURCES

_TYPE: Final = "label_isoserve_dev_machine_type"
_BY_TYPE: Final = f"sum by ({_TYPE})"
_ON_TYPE: Final = f'* on (node) group_left ({_TYPE}) kube_node_labels{{{_TYPE}!=""}}'
_FIRING: Final = 'ALERTS{alertstate="firing",severity="page",project!="",model!=""}'


def models() -> Panel:
    """Every model with its probe and what it lost."""
    columns = (
        ("Probe", "model:probe_success:max"),
        ("Failed, 1 hour", "model:probe_error:ratio1h"),
        ("Failed, 3 days", "model:probe_error:ratio3d"),
        ("Pages", f"count by (project, model) ({_FIRING})"),
    )
    return rows("Models", columns)


def firing() -> Panel:
    """How many pages are firing."""
    return number("Pages firing", "short", f"count({_FIRING}) or vector(0)")


def nodes() -> Panel:
    """Ready nodes of each machine type."""
    ready = 'kube_node_status_condition{condition="Ready",status="true"}'
    return lines("Ready nodes", "short", (f"{_BY_TYPE} ({ready} {_ON_TYPE})", f"{{{{{_TYPE}}}}}"))


def gpus() -> Panel:
    """GPUs of each machine type: there, and asked for by pods."""
    # kube-state-metrics writes `_` for what is no letter or digit (internal/store/utils.go).
    names = "|".join(re.sub("[^a-zA-Z0-9]", "_", resource) for resource in GPU_RESOURCES)
    there = f'kube_node_status_allocatable{{resource=~"{names}"}}'
    asked = f'sum by (node) (kube_pod_container_resource_requests{{resource=~"{names}"}})'
    return lines(
        "GPUs",
        "short",
        (f"{_BY_TYPE} ({there} {_ON_TYPE})", f"{{{{{_TYPE}}}}} there"),
        (f"{_BY_TYPE} ({asked} {_ON_TYPE})", f"{{{{{_TYPE}}}}} asked for"),
    )


def cache_fill() -> Panel:
    """The share of its cache disk that each node has filled."""
    share = (
        "sum by (node) (isoserve_cache_held_bytes) / sum by (node) (isoserve_cache_budget_bytes)"
    )
    return lines("Cache disk filled", "percentunit", (share, "{{node}}"))


def cache_gaps() -> Panel:
    """Versions that each node was to hold and could not, and projects whose pods it cannot see."""
    refused = 'isoserve_cache_models{state="refused"} > 0'
    unknown = "isoserve_cache_unknown_projects > 0"
    return lines(
        "Cache gaps",
        "short",
        (refused, "{{node}}: versions refused"),
        (unknown, "{{node}}: projects whose pods are not known"),
    )


REGION: Final = (firing, models, nodes, gpus, cache_fill, cache_gaps)
