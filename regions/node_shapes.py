"""What an instance type carries: its replicas, the cache agent and the cluster's daemons.

The scheduler places by requests. What asks for more than a node has stays Pending for ever, so it
is compared here with what EKS leaves of an instance type to pods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from model_specs.errors import SpecError, nearest, shown
from model_specs.source import Source
from regions.instance_shapes import INSTANCE_SHAPES, UNSEEN_PER_MILLE, InstanceShape
from regions.machines import MACHINES, MachineType
from regions.offers import Offer
from regions.plan import AGENT_CPU, AGENT_MEMORY_MIB

CODE: Final = "W406"
_DAEMON_MILLICORES: Final = 150
"""aws-node and its network policy agent 25 each, kube-proxy 100; none of them requests memory, and
neither do NVIDIA's device plugin and DCGM exporter. Source: pkg/addons/default/assets of eksctl."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """An instance type that cannot carry its machine type, or may not (`is_sure`)."""

    index: int
    why: str
    is_sure: bool


def _needs(row: MachineType, replicas: int) -> tuple[int, int]:
    """Millicores and MiB that `replicas` and what else runs on each node request."""
    cpu = 1000 * (replicas * row.cpu + AGENT_CPU) + _DAEMON_MILLICORES
    return cpu, replicas * row.memory_gib * 1024 + AGENT_MEMORY_MIB


def _wrong_kind(shape: InstanceShape, row: MachineType, replicas: int) -> str:
    """Why it is another machine than the row says, of whatever size; empty if it is not."""
    if shape.architecture != row.architecture:
        return f"{row.name} is of {row.architecture}, got {shape.name} of {shape.architecture}"
    wanted = replicas * row.gpus
    if shape.gpus and not wanted:
        return f"{row.name} has no GPUs, which its nodes would pay for, got {shape}"
    if wanted and shape.gpu != row.gpu:
        return f"{row.name} has GPUs of kind {row.gpu}, got {shape}"
    return f"{replicas} x {row.name} take {wanted} GPUs, got {shape}" if wanted > shape.gpus else ""


def _too_small(shape: InstanceShape, row: MachineType, replicas: int) -> str:
    """Why the replicas, the agent and the daemons cannot all stand on it; empty if they can."""
    cpu, mib = _needs(row, replicas)
    beside = f"{replicas} x {row.name} and the cache agent"
    if cpu > shape.pod_millicores:
        return (
            f"{beside} and daemons request {cpu / 1000:g} cores of a node, got {shape} "
            f"({shape.pod_millicores / 1000:g} cores for pods)"
        )
    if mib > shape.pod_mib:
        return (
            f"{beside} request {mib / 1024:.1f} GiB of a node, got {shape} "
            f"({shape.pod_mib / 1024:.1f} GiB for pods)"
        )
    return ""


def _fits(shape: InstanceShape, row: MachineType, replicas: int) -> bool:
    cpu, mib = _needs(row, replicas)
    return (
        bool(shape.gpus) == bool(row.gpus)
        and not _wrong_kind(shape, row, replicas)
        and cpu <= shape.pod_millicores
        and mib <= shape.sure_pod_mib
    )


def _cure(row: MachineType, shape: InstanceShape, replicas: int) -> str:
    """Fewer replicas where one fits, and the smallest type of the table that carries them."""
    fewer = next((n for n in range(replicas - 1, 0, -1) if _fits(shape, row, n)), 0)
    larger = [one for one in INSTANCE_SHAPES.values() if _fits(one, row, replicas)]
    # Of the same family where that has one: the price is nearest.
    family = [one for one in larger if one.name.split(".")[0] == shape.name.split(".")[0]]
    size = min(family or larger, key=lambda one: (one.cpu, one.memory_gib, one.name), default=None)
    ways = [f"replicas_per_node: {fewer}"] if fewer else []
    ways += [size.name] if size else []
    return f"write {' or '.join(ways)}" if ways else "take another machine type"


def misfits(offer: Offer, machine: str) -> Iterator[Misfit]:
    """The instance types of an offer on which its replicas do not fit, or may not."""
    row, replicas = MACHINES[machine], offer.replicas_per_node
    for index, name in enumerate(offer.instance_types):
        if row.architecture not in row.kind.ami_types:
            why = (
                f"EKS has no {row.architecture} image with the driver of {row.kind.name}, got "
                f"{shown(name)} for {machine}; take another machine type, or nodes of your own "
                f"(node_names)"
            )
            yield Misfit(index=index, why=why, is_sure=True)
            continue
        shape = INSTANCE_SHAPES.get(name)
        if shape is None:
            hint = nearest(name, INSTANCE_SHAPES)
            close = hint if hint.endswith("?") else f"compare it with {machine} by hand"
            why = f"no shape of this instance type is known here, got {shown(name)}; {close}"
            yield Misfit(index=index, why=why, is_sure=False)
            continue
        wrong = _wrong_kind(shape, row, replicas) or _too_small(shape, row, replicas)
        if wrong:
            why = f"{wrong}; {_cure(row, shape, replicas)}"
            yield Misfit(index=index, why=why, is_sure=True)
        elif not _fits(shape, row, replicas):
            why = (
                f"{replicas} x {machine} fit only if hypervisor and kernel leave enough, and they "
                f"may keep {UNSEEN_PER_MILLE / 10:g} % of the memory, got {shape}; compare with "
                f"`kubectl describe node`, or {_cure(row, shape, replicas)}"
            )
            yield Misfit(index=index, why=why, is_sure=False)


def unsure(source: Source, machines: Mapping[str, Offer]) -> Iterator[SpecError]:
    """A warning for every instance type that may not carry its machine type."""
    for machine, offer in machines.items():
        for one in misfits(offer, machine):
            if not one.is_sure:
                place = ("machines", machine, "instance_types", one.index)
                yield source.error(place, CODE, one.why)
