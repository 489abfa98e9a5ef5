"""What a node's disk holds: the requests of its pods, the models they need, and images.

What a node's pods request beyond its disk stays Pending for ever; what is written beyond the
kubelet's thresholds gets pods evicted, or an agent that no longer fetches.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from model_specs.errors import SpecError
from regions.model_plan import JobPlan, PlacementPlan, ServerPlan
from regions.offers import IMAGES_GIB, Offer
from regions.plan import AGENT_DISK_GIB, CachePlan, HeldModelPlan
from regions.pools import capacity_of
from regions.profile import RegionProfile

_GIB: Final = 1024**3
_NODEFS_PERCENT: Final = 10
"""nodefs.available of evictionHard, the kubelet's own default and that of EKS: what it evicts at it
does not offer to pods. Source: nodeadm/internal/kubelet/config.go of awslabs/amazon-eks-ami; the
kubelet's imagefs.available<15% is within `cluster.disk_free_percent`."""
_RESERVED_DISK_GIB: Final = 1
"""ephemeral-storage of kubeReserved (the same file)."""

_Pods = dict[tuple[str, str], list[int]]


def _pods(servers: Iterable[ServerPlan], jobs: Iterable[JobPlan], most_per_node: int) -> _Pods:
    """By machine type and capacity: GiB that each pod requests of its node's disk.

    A rollout has one pod more beside the old ones; no more of a Deployment than a node can hold.
    """
    found: _Pods = defaultdict(list)

    def add(place: PlacementPlan, capacity: str, pods: int) -> None:
        row = found[place.machine_type, capacity]
        row += [place.ephemeral_gib] * min(pods, most_per_node)

    for server in servers:
        for track in server.tracks:
            add(track.placement, capacity_of(track), track.scaler.max + 1)
    for job in jobs:
        add(job.placement, "on_demand", job.parallelism)
    return found


def most_at_once(models: Iterable[HeldModelPlan], replicas_per_node: int) -> int:
    """Bytes of what a node must have room for at once, whatever the scheduler puts on it.

    That is what is pinned, the largest versions that its replicas may be of, and one that comes
    beside them: the next version of any model, or that of a pod which takes another's place. A
    model with a candidate has its next version already.
    """
    rows = list(models)
    versions: dict[tuple[str, str], list[int]] = defaultdict(list)
    for one in rows:
        versions[one.project, one.model].append(one.bytes)
    others = sorted((one.bytes for one in rows if not one.pinned), reverse=True)
    standing, more = others[:replicas_per_node], others[replicas_per_node:]
    comes = max(
        [*more[:1], *(sizes[0] for sizes in versions.values() if len(sizes) == 1)], default=0
    )
    return sum(one.bytes for one in rows if one.pinned) + sum(standing) + comes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Disk:
    """A node's disk as far as a profile says, and what is wanted of it, in GiB."""

    whole: int
    free_percent: int
    pods: int
    agent: int
    models: int

    @property
    def for_pods(self) -> int:
        """What the scheduler may give to pods."""
        return self.whole * (100 - _NODEFS_PERCENT) // 100 - _RESERVED_DISK_GIB

    @property
    def for_use(self) -> int:
        """What may be written before the agent stops fetching and the kubelet evicts."""
        return self.whole * (100 - self.free_percent) // 100

    @property
    def written(self) -> int:
        """Models, images and what pods write at most."""
        return self.models + IMAGES_GIB + self.pods + self.agent


def _disk(profile: RegionProfile, offer: Offer, pods: list[int], cache: CachePlan | None) -> _Disk:
    held = most_at_once(cache.models, offer.replicas_per_node) if cache else 0
    percent = profile.cluster.disk_free_percent
    return _Disk(
        whole=offer.disk_gib(percent),
        free_percent=percent,
        pods=sum(heapq.nlargest(offer.replicas_per_node, pods)),
        agent=AGENT_DISK_GIB if cache else 0,
        models=math.ceil(held / _GIB),
    )


def _told(offer: Offer, cache: CachePlan | None) -> str:
    """Of what models the room is for, the largest by name."""
    models = cache.models if cache else ()
    pinned = sum(one.pinned for one in models)
    standing = min(offer.replicas_per_node, len(models) - pinned)
    largest = max(models, key=lambda one: one.bytes, default=None)
    named = f", {largest.project}/{largest.model} the largest" if largest else ""
    return f"{pinned} pinned, {standing} of its replicas, and one that comes{named}"


def _least_cache_gib(disk: _Disk) -> int:
    """The smallest `cache_disk_gib` with which all that is wanted fits."""
    asked = math.ceil(100 * (disk.pods + disk.agent + _RESERVED_DISK_GIB) / (100 - _NODEFS_PERCENT))
    by_requests = math.ceil(asked * (100 - disk.free_percent) / 100) - IMAGES_GIB
    return max(by_requests + 1, disk.written - IMAGES_GIB, 1)


def _lack(disk: _Disk, machine: str, of_models: str) -> str:
    """What a node's disk lacks and what to write; empty where it holds everything."""
    asked = disk.pods + disk.agent
    if asked > disk.for_pods:
        why = (
            f"the pods of a node of {machine} request {asked} GiB of its disk, downloads among "
            f"them, got {disk.for_pods} of {disk.whole} GiB: they would be Pending for ever"
        )
        other = "lower tmp_gib, or let the nodes cache the models (`cache: auto`)"
    elif disk.written > disk.for_use:
        why = (
            f"a node of {machine} needs {disk.written} GiB for models ({disk.models}: {of_models})"
            f", images ({IMAGES_GIB}) and its pods ({asked}), got {disk.for_use} of {disk.whole} "
            f"GiB, since {disk.free_percent} % stay free"
        )
        other = "pin fewer models (`cache: always`), or let pods download them (`cache: never`)"
    else:
        return ""
    return f"{why}; write cache_disk_gib: {_least_cache_gib(disk)} or more, or {other}"


def over_disk(
    profile: RegionProfile,
    region: str,
    servers: Iterable[ServerPlan],
    jobs: Iterable[JobPlan],
    caches: Iterable[CachePlan],
) -> Iterator[SpecError]:
    """Pools whose nodes have not the disk for their replicas, or not beside the models they need.

    The disk is the volume that is made, and for listed nodes the one that `cache_disk_gib` needs.
    """
    kept = {cache.machine_type: cache for cache in caches}
    most = max((offer.replicas_per_node for offer in profile.machines.values()), default=0)
    lacks: dict[str, str] = {}
    for (machine, _), pods in sorted(_pods(servers, jobs, most).items()):
        disk = _disk(profile, profile.machines[machine], pods, kept.get(machine))
        of_models = _told(profile.machines[machine], kept.get(machine))
        lacks[machine] = lacks.get(machine) or _lack(disk, machine, of_models)
    for machine, why in lacks.items():
        if why:
            yield SpecError(
                file=f"regions/{region}.yaml",
                line=1,
                column=1,
                path=f"machines.{machine}.cache_disk_gib",
                code="E381",
                message=why,
            )
