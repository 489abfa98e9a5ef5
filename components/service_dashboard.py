"""Renders the dashboard of each model and of the region, byte for byte the same in every region."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from components.kube import Object, head
from model_specs.gpu_kinds import GPU_KINDS
from model_specs.names import LABEL_ROLE, SYSTEM_NAMESPACE
from regions.model_plan import ServerPlan
from regions.plan import RegionPlan

REGION_UID: Final = "isoserve-region"
# Grafana's sidecar loads every ConfigMap that carries it (kiwigrid/k8s-sidecar, `LABEL`).
_LOADED: Final = {"grafana_dashboard": "1"}
_PROBED: Final = {True: "Probe answered rightly", False: "Ready (not probed for correctness)"}
"""What the probe shows, by whether the spec wrote its request."""


def dashboard_uid(project: str, model: str) -> str:
    """The address of a model's dashboard; Grafana takes 40 characters, and two names make 61."""
    digest = hashlib.sha256(f"{project}/{model}".encode()).hexdigest()
    return f"isoserve-{digest[:24]}"


def dashboard_url(grafana_url: str, uid: str) -> str:
    """Where a person sees the dashboard."""
    return f"{grafana_url.rstrip('/')}/d/{uid}"


@cache
def _model_json(of_candidate: bool, *of: str) -> str:
    """The dashboard of one `panels.Selector`, drawn once for all regions."""
    # Imported here: Grafana's builders take 50 ms to load, and most commands draw nothing.
    from components import charts, panels

    selector = panels.Selector(*of)
    extra = (
        *(panels.CANDIDATE if of_candidate else ()),
        *(panels.GPU if selector.gpu_busy else ()),
    )
    shown = [*panels.MODEL, *extra]
    title = f"{selector.project}/{selector.model}"
    uid = dashboard_uid(selector.project, selector.model)
    drawn = [panel(selector) for panel in shown]
    return charts.dashboard_json(title, uid, drawn)


@cache
def _region_json() -> str:
    from components import charts, region_panels

    drawn = [panel() for panel in region_panels.REGION]
    return charts.dashboard_json("Models and machines", REGION_UID, drawn)


def _gauges(resources: set[str]) -> tuple[str, str]:
    """How busy and how full GPUs are that are asked for so, by the vendor's exporter."""
    kinds = (kind for kind in GPU_KINDS.values() if kind.resource in resources and kind.exporter)
    return next(((kind.busy_metric, kind.used_metric) for kind in kinds), ("", ""))


def model_dashboard(server: ServerPlan) -> Object:
    """The ConfigMap with a model's dashboard."""
    work, load = server.workload, {track.role: track.scaler.query for track in server.tracks}
    resources = {track.placement.gpu_resource for track in server.tracks}
    content = _model_json(
        server.probe.candidate_url != "",
        work.project,
        work.model,
        work.namespace,
        load["stable"],
        f"{server.slo.availability:.6g}",
        f"{server.slo.latency_seconds:.6g}",
        _PROBED[server.probe.written],
        load.get("candidate", ""),
        *_gauges(resources),
    )
    labels = {**work.labels, **_LOADED}
    config = head("v1", "ConfigMap", f"{work.model}-dashboard", work.namespace, labels, {})
    return config | {"data": {f"{work.project}-{work.model}.json": content}}


def region_dashboard() -> Object:
    """The ConfigMap with the region's dashboard."""
    labels = {LABEL_ROLE: "dashboard", **_LOADED}
    config = head("v1", "ConfigMap", "isoserve-dashboard", SYSTEM_NAMESPACE, labels, {})
    return config | {"data": {"isoserve-region.json": _region_json()}}


def objects(plan: RegionPlan) -> list[Object]:
    """All dashboards of a region; its own stands in a namespace that takes cluster rights."""
    region = [region_dashboard()] if "cluster_scope" in plan.capabilities else []
    return [*region, *(model_dashboard(server) for server in plan.servers)]
