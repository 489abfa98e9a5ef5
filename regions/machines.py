"""The machine catalogue: what one replica of a machine type is given, the same in every region.

The rows are files of `model_specs/catalogue/machine_types/`, ours and a company's own
(model_specs.catalogue_files). A region profile says which instance type or which nodes carry a
machine type there; the rows say what a pod on it may use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from model_specs.catalogue_files import Fact, Row, Text, read_folders, rows
from model_specs.errors import nearest, refuse, shown
from model_specs.gpu_kinds import GPU_KINDS, NO_GPU, Architecture, GpuKind, Key, Labels, Value
from model_specs.names import DOMAIN, LABEL_ACCELERATOR
from model_specs.per_region import Rate
from model_specs.schema import ModelSpec
from regions.offers import check_taint


def _check_kind(kind: str) -> str:
    known = [name for name, row in GPU_KINDS.items() if row.resource]
    if kind not in known:
        raise refuse("E301", f"no such kind of GPU, got {shown(kind)}; {nearest(kind, known)}")
    return kind


class Gpus(Fact):
    """The GPUs of one replica, by the vendor's documents."""

    kind: Annotated[str, AfterValidator(_check_kind)] = "nvidia"
    """A row of model_specs.gpu_kinds."""
    name: Text
    """As the vendor's tools label its nodes."""
    count: Annotated[int, Field(ge=1, le=64)]
    memory_gib: Annotated[int, Field(ge=1, le=2048)]
    """Of one GPU."""


class Usable(Fact):
    """What a program finds of a GPU's memory: less than its name says, for ECC and the driver."""

    gib: Annotated[float, Field(gt=0, le=2048)]


class Rates(Fact):
    """Sustained reads, deliberately low ends: start-up budgets are derived from them."""

    load_mib_per_second: Rate
    """Node disk to the engine's memory."""
    fetch_mib_per_second: Rate
    """Registry to node disk."""


def _check_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    for key in labels:
        if key == LABEL_ACCELERATOR or key.startswith(f"{DOMAIN}/"):
            why = f"this label is put on nodes by what they are, got {shown(key)}"
            raise refuse("E301", f"{why}; give these nodes a label of your own")
    return labels


class Tolerated(Row):
    """A taint (effect NoSchedule) of the nodes of one machine type, whoever puts it there."""

    key: Annotated[Key, AfterValidator(check_taint)]
    value: Value = ""
    """Empty is any."""


class MachineRow(Row):
    """What a file says; cores and memory are what one replica asks for."""

    architecture: Architecture = "amd64"
    """Of its nodes' processors."""
    cpu: Annotated[int, Field(ge=1, le=1024)]
    """Cores."""
    memory_gib: Annotated[int, Field(ge=1, le=65_536)]
    gpu: Gpus | None = None
    gpu_usable: Usable | None = None
    labels: Annotated[Labels, AfterValidator(_check_labels)] = Field(default={})
    """What its nodes carry besides the labels of its kind of GPU."""
    tolerations: tuple[Tolerated, ...] = ()
    """What its pods tolerate besides the taint of its kind of GPU."""
    runtime_class: Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$")] = ""
    """The RuntimeClass of its pods; empty is the nodes' own container runtime."""
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineType:
    """One row. `cpu` in cores, memory in GiB, rates in MiB/s; all for one replica.

    `kind` is how its GPUs are asked for and its nodes found, `architecture` as in
    `kubernetes.io/arch`. `labels` and `tolerations` are the row's own, beside those of the kind;
    an empty `runtime_class` is the nodes' own container runtime.
    `gpu_usable_gib` is what a program finds of `gpu_memory_gib`, 0 where nobody has looked.
    `load_mib_per_second` is node disk to the engine's memory, `fetch_mib_per_second` registry to
    node disk; both are deliberately low ends, since start-up budgets are derived from them.
    """

    name: str
    kind: GpuKind
    architecture: str
    labels: Mapping[str, str]
    tolerations: tuple[tuple[str, str], ...]
    runtime_class: str
    gpu: str
    gpus: int
    gpu_memory_gib: int
    gpu_usable_gib: float
    cpu: int
    memory_gib: int
    load_mib_per_second: int
    fetch_mib_per_second: int


def made(name: str, row: MachineRow) -> MachineType:
    """A row as the rest of the program takes it."""
    return MachineType(
        name=name,
        kind=GPU_KINDS[row.gpu.kind if row.gpu else NO_GPU],
        architecture=row.architecture,
        labels=row.labels,
        tolerations=tuple((one.key, one.value) for one in row.tolerations),
        runtime_class=row.runtime_class,
        gpu=row.gpu.name if row.gpu else "",
        gpus=row.gpu.count if row.gpu else 0,
        gpu_memory_gib=row.gpu.memory_gib if row.gpu else 0,
        gpu_usable_gib=row.gpu_usable.gib if row.gpu_usable else 0.0,
        cpu=row.cpu,
        memory_gib=row.memory_gib,
        load_mib_per_second=row.rates.load_mib_per_second,
        fetch_mib_per_second=row.rates.fetch_mib_per_second,
    )


def machine_of(spec: ModelSpec) -> MachineType:
    """The row of a spec's machine type, with the rates that its team has measured."""
    said = spec.rates.model_dump()
    return replace(MACHINES[spec.machine_type], **said) if said else MACHINES[spec.machine_type]


MACHINES: Final[dict[str, MachineType]] = {
    name: made(name, row) for name, row in rows("machine_types", MachineRow, read_folders()).items()
}
"""By name, in order of it."""
