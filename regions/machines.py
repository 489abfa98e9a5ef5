"""The machine catalogue: what one replica of a machine type is given, the same in every region.

A region profile says which instance type or which nodes carry a machine type there; the rows here
say what a pod on it may use. GPU memory is the vendor's data sheet; rates are sustained reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_USABLE_GIB: Final = {
    "": 0.0,
    "NVIDIA-A100-SXM4-40GB": 39.38,
    "NVIDIA-H100-80GB-HBM3": 79.1,
    "NVIDIA-L4": 22.03,
    "NVIDIA-L40S": 44.39,
}
"""What CUDA reports as a GPU's total memory: less than its name, for ECC and the driver. Sources,
read on 2026-11-28: `total_gpu_memory` in logs of vLLM (vllm-project/vllm#16570, #10511), and "has a
total capacity of" in PyTorch's out-of-memory errors on AWS g6 and g6e."""


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


def _row(name: str, gpu: str, gpu_memory_gib: int, cpu: int, memory_gib: int) -> MachineType:
    """A row whose GPU count is the last part of its name."""
    gpus = int(name.split(".")[-1]) if gpu else 0
    return MachineType(
        name=name,
        gpu=gpu,
        gpus=gpus,
        gpu_memory_gib=gpu_memory_gib,
        gpu_usable_gib=_USABLE_GIB[gpu],
        cpu=cpu,
        memory_gib=memory_gib,
        load_mib_per_second=400 if gpu else 200,
        fetch_mib_per_second=250 if gpu else 100,
    )


MACHINES: Final[dict[str, MachineType]] = {
    row.name: row
    for row in (
        _row("cpu.2", "", 0, 2, 4),
        _row("cpu.4", "", 0, 4, 8),
        _row("cpu.8", "", 0, 8, 24),
        _row("gpu.l4.1", "NVIDIA-L4", 24, 6, 24),
        _row("gpu.l4.4", "NVIDIA-L4", 24, 40, 160),
        _row("gpu.l40s.1", "NVIDIA-L40S", 48, 6, 48),
        _row("gpu.l40s.4", "NVIDIA-L40S", 48, 40, 320),
        _row("gpu.a100.8", "NVIDIA-A100-SXM4-40GB", 40, 88, 1000),
        _row("gpu.h100.8", "NVIDIA-H100-80GB-HBM3", 80, 180, 1800),
    )
}
