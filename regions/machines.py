"""The machine catalogue: what one replica of a machine type is given, the same in every region.

The rows are files of `model_specs/catalogue/machine_types/`, ours and a company's own
(model_specs.catalogue_files). A region profile says which instance type or which nodes carry a
machine type there; the rows say what a pod on it may use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final

from pydantic import Field

from model_specs.catalogue_files import Fact, Row, Text, read_folders, rows
from model_specs.per_region import Rate
from model_specs.schema import ModelSpec


class Gpus(Fact):
    """The GPUs of one replica, by the vendor's documents."""

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


class MachineRow(Row):
    """What a file says; cores and memory are what one replica asks for."""

    cpu: Annotated[int, Field(ge=1, le=1024)]
    """Cores."""
    memory_gib: Annotated[int, Field(ge=1, le=65_536)]
    gpu: Gpus | None = None
    gpu_usable: Usable | None = None
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineType:
    """One row. `cpu` in cores, memory in GiB, rates in MiB/s; all for one replica.

    `gpu_usable_gib` is what a program finds of `gpu_memory_gib`. `load_mib_per_second` is node disk
    to the engine's memory, `fetch_mib_per_second` registry to node disk; both are deliberately low
    ends, since start-up budgets are derived from them.
    """

    name: str
    gpu: str
    gpus: int
    gpu_memory_gib: int
    gpu_usable_gib: float
    cpu: int
    memory_gib: int
    load_mib_per_second: int
    fetch_mib_per_second: int


def _made(name: str, row: MachineRow) -> MachineType:
    """A row as the rest of the program takes it."""
    return MachineType(
        name=name,
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
    name: _made(name, row)
    for name, row in rows("machine_types", MachineRow, read_folders()).items()
}
"""By name, in order of it."""
