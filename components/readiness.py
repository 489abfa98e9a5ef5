"""Which workloads a gate waits for, and whether they serve."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from components.kube import Object
from components.parts import Part
from regions.plan import RegionPlan


@dataclass(frozen=True, slots=True)
class Target:
    """A workload that must be ready: at least `least` pods of its newest template.

    `project` is whose it is, empty for the region's own. `may_lack` says for what it may be away
    (`preemptible`, `spot`); empty where it must be there. `fallback_seconds` is above 0 where the
    node autoscaler adds an on-demand node after so long without a spot one.
    """

    kind: str
    namespace: str
    name: str
    least: int
    timeout_seconds: int
    project: str
    may_lack: str
    fallback_seconds: int

    @property
    def id(self) -> str:
        """`Kind namespace/name`."""
        return f"{self.kind} {self.namespace}/{self.name}"


def targets(parts: Iterable[Part], plan: RegionPlan) -> Iterator[Target]:
    """Every Deployment and DaemonSet of the parts, with the clock the plan gives it."""
    tracks = {(s.workload.namespace, t.name): t for s in plan.servers for t in s.tracks}
    clocks = [track.startup.gate_timeout_seconds for track in tracks.values()]
    slowest = max(clocks, default=300)
    projects = {project.namespace: project.name for project in plan.projects}
    for part in parts:
        for made in part.objects:
            if made["kind"] in ("DaemonSet", "Deployment"):
                key = (made["metadata"]["namespace"], made["metadata"]["name"])
                track = tracks.get(key)
                least = track.scaler.min if track else made["spec"].get("replicas", 1)
                limit = track.startup.gate_timeout_seconds if track else slowest
                yield Target(
                    kind=made["kind"],
                    namespace=key[0],
                    name=key[1],
                    least=least,
                    timeout_seconds=limit,
                    project=projects.get(key[0], ""),
                    may_lack=track.interruption if track else "",
                    fallback_seconds=track.placement.fallback_seconds if track else 0,
                )


def digest(parts: Iterable[Part]) -> str:
    """The digest of all pod templates: the gate looks again exactly when one has changed."""
    templates = [
        [made["kind"], made["metadata"], made["spec"]["template"]]
        for part in parts
        for made in part.objects
        if made["kind"] in ("DaemonSet", "Deployment")
    ]
    return hashlib.sha256(json.dumps(templates, sort_keys=True).encode()).hexdigest()


def is_ready(target: Target, live: Object) -> bool:
    """Whether the newest template serves and no older pod is left."""
    status = live.get("status", {})
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return False
    if target.kind == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(
            status.get("updatedNumberScheduled", 0) >= wanted
            and status.get("numberAvailable", 0) >= wanted
        )
    updated = status.get("updatedReplicas", 0)
    return bool(
        updated >= target.least
        and status.get("replicas", 0) == updated
        and status.get("availableReplicas", 0) >= target.least
    )
