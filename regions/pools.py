"""Shares node pools by machine type, and gives a rollout only the room that is proved to exist."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from model_specs.names import (
    LABEL_ACCELERATOR,
    LABEL_CAPACITY,
    LABEL_MACHINE,
    TAG_NODE_RESOURCE,
)
from regions.abilities import Abilities
from regions.machines import MACHINES, MachineType
from regions.model_plan import JobPlan, ServerPlan, Toleration, TrackPlan
from regions.offers import Nodes, Offer
from regions.plan import NodeGroupPlan, PoolPlan
from regions.profile import RegionProfile

PRIORITIES: Final = '{20: [".*isoserve-.*-spot-[0-9a-f]{8}.*"], 10: [".*"]}'
"""What the cluster autoscaler's priority expander must be told, as YAML: the highest wins, and the
expressions are of Auto Scaling groups' names, which hold the EKS group's. It is printed and not
rendered: the one ConfigMap orders the groups of everybody in the cluster, in a namespace that is
not ours. Source: kubernetes/autoscaler, cluster-autoscaler/expander/priority/readme.md. That EKS
names the Auto Scaling group eks-<node group>-<uuid> was not looked up: compare with the account."""
Demand = dict[tuple[str, str], tuple[int, int, int]]
"""By machine type and capacity: replicas at least, replicas at most, number of tracks."""


def demand(servers: Iterable[ServerPlan], jobs: Iterable[JobPlan]) -> Demand:
    """What all workloads of a region want of each pool."""
    rows: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for server in servers:
        for track in server.tracks:
            row = rows[track.placement.machine_type, capacity_of(track)]
            row[0] += track.scaler.min
            row[1] += track.scaler.max
            row[2] += 1
    for job in jobs:
        row = rows[job.placement.machine_type, job.capacity]
        row[0] += job.parallelism
        row[1] += job.parallelism
    return {key: (row[0], row[1], row[2]) for key, row in rows.items()}


def fallen(servers: Iterable[ServerPlan], jobs: Iterable[JobPlan]) -> dict[str, tuple[int, int]]:
    """By machine type, the pods at least and at most that on-demand nodes hold on top of their own
    when no spot node is there."""
    pods = [(t.placement, t.scaler.min, t.scaler.max) for s in servers for t in s.tracks]
    pods += [(job.placement, job.parallelism, job.parallelism) for job in jobs]
    found: dict[str, tuple[int, int]] = {}
    for place, least, most in pods:
        if place.fallback_seconds:
            sums = found.get(place.machine_type, (0, 0))
            found[place.machine_type] = (sums[0] + least, sums[1] + most)
    return found


def capacity_of(track: TrackPlan) -> str:
    """`on_demand` or `spot`."""
    return "spot" if track.track == "spot" else "on_demand"


def nodes_of(offer: Offer, capacity: str) -> Nodes:
    """The offer's bounds for one capacity type."""
    return offer.spot if capacity == "spot" else offer.on_demand


def with_surge(
    server: ServerPlan,
    profile: RegionProfile,
    wanted: Demand,
    fallen: Mapping[str, tuple[int, int]],
) -> ServerPlan:
    """The server without surge where the pool has no room for one replica of each track at once.

    room = (most nodes * replicas per node - replicas at most) // tracks in the pool. A default
    surge of 25 % on a full GPU pool waits for ever for a GPU that the old replica holds. Pods that
    have `fallen` from spot nodes leave less room on the on-demand ones.
    """
    changed = {}
    for track in server.tracks:
        capacity = capacity_of(track)
        offer = profile.machines[track.placement.machine_type]
        _, most, tracks = wanted[track.placement.machine_type, capacity]
        guests = fallen.get(track.placement.machine_type, (0, 0)) if capacity != "spot" else (0, 0)
        held = most + guests[1]
        room = (nodes_of(offer, capacity).max * offer.replicas_per_node - held) // tracks
        if room < 1:
            changed[track.name] = replace(track, surge=0, unavailable=1)
    if not changed:
        return server
    return replace(server, tracks=tuple(changed.get(row.name, row) for row in server.tracks))


def _labels(row: MachineType, provider: str) -> dict[str, str]:
    """What nodes of a machine type are found by: our pods, and the add-ons that look for GPUs.

    The cluster autoscaler of AWS takes a node with the accelerator label for one whose GPUs are
    still to come, and else buys a second one.
    """
    is_awaited = row.kind.is_awaited and provider == "aws"
    aws = {LABEL_ACCELERATOR: row.gpu.lower()} if is_awaited else {}
    return {LABEL_MACHINE: row.name, **row.kind.labels, **row.labels, **aws}


def _taints(row: MachineType, capacity: str) -> tuple[Toleration, ...]:
    """What keeps other pods off the nodes, and lets the vendor's device plugin on.

    It tolerates the taint of the GPU's vendor, where any, and no other: not even one for spot
    nodes, which pods of ours select by their label.
    """
    if row.gpus:
        key, value = row.kind.taint
        return (Toleration(key=key, value=value),) if row.kind.is_tainted else ()
    return (Toleration(key=LABEL_CAPACITY, value="spot"),) if capacity == "spot" else ()


def _ami_type(row: MachineType, offer: Offer) -> str:
    return row.kind.ami_types[row.architecture] if offer.instance_types else ""


def _tags(row: MachineType, offer: Offer) -> dict[str, str]:
    """GPUs that the cluster autoscaler does not know of before a node is there."""
    if row.kind.is_counted or not offer.instance_types:
        return {}
    gpus = row.gpus * offer.replicas_per_node
    return {f"{TAG_NODE_RESOURCE}{row.kind.resource}": str(gpus)}


def _group_name(profile: RegionProfile, row: MachineType, capacity: str) -> str:
    """A name that changes with what EKS cannot change in a group: so the new group can be made
    before the old one goes, which one fixed name would not allow."""
    offer = profile.machines[row.name]
    if not offer.instance_types:
        return ""
    fixed = (
        profile.cluster.name,
        sorted(profile.account.subnet_ids),
        offer.instance_types,
        _ami_type(row, offer),
    )
    digest = hashlib.sha256(json.dumps(fixed).encode()).hexdigest()
    return f"isoserve-{_slug(row.name)}-{_slug(capacity)}-{digest[:8]}"


def _slug(name: str) -> str:
    return name.replace(".", "-").replace("_", "-")


def _group(
    profile: RegionProfile, capacity: str, wanted: Demand, row: MachineType
) -> NodeGroupPlan:
    machine, offer = row.name, profile.machines[row.name]
    bounds = nodes_of(offer, capacity)
    least = wanted.get((machine, capacity), (0, 0, 0))[0]
    desired = min(max(math.ceil(least / offer.replicas_per_node), bounds.min), bounds.max)
    return NodeGroupPlan(
        name=_group_name(profile, row, capacity),
        capacity=capacity,
        min=bounds.min,
        max=bounds.max,
        desired=desired,
        taints=_taints(row, capacity),
    )


def pools(profile: RegionProfile, abilities: Abilities, wanted: Demand) -> tuple[PoolPlan, ...]:
    """One pool for each machine type that a workload wants."""
    found = []
    for machine in sorted({machine for machine, _ in wanted}):
        offer, row = profile.machines[machine], MACHINES[machine]
        if offer.node_names and not abilities.allow("node labels", "", "machines"):
            continue
        groups = tuple(
            _group(profile, capacity, wanted, row)
            for capacity in ("on_demand", "spot")
            if nodes_of(offer, capacity).max
        )
        found.append(
            PoolPlan(
                name=_slug(machine),
                machine_type=machine,
                gpus_per_node=row.gpus * offer.replicas_per_node,
                instance_types=offer.instance_types,
                ami_type=_ami_type(row, offer),
                node_names=offer.node_names,
                groups=groups,
                labels=_labels(row, profile.provider),
                tags=_tags(row, offer),
                replicas_per_node=offer.replicas_per_node,
                replicas_wanted=sum(wanted.get((machine, g.capacity), (0,))[0] for g in groups),
                replicas_most=sum(g.max for g in groups) * offer.replicas_per_node,
                volume_gib=offer.volume_gib(profile.cluster.disk_free_percent),
            )
        )
    return tuple(found)
