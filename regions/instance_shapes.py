"""The shapes of EC2 instance types, and what EKS leaves of them to pods.

Types in use here and their relatives; one that is missing is not refused, since there are more
than a table can follow. As of 2026-07-11: instance-types.md of aws/karpenter-provider-aws, which is
generated from EC2's DescribeInstanceTypes (website/content/en/preview/reference); inf2, and c7g,
m7g and r7g, as of 2026-08-21 (1d92708).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_CPU_RANGES: Final = ((0, 600), (1000, 100), (2000, 50), (4000, 25))
"""From so many millicores on, what the kubelet is reserved of them in 1/10,000."""
_EVICTION_MIB: Final = 100
"""memory.available of evictionHard."""
_ARM_KERNEL_MIB: Final = 64
"""Contiguous memory for devices (CMA), of which pods get none. Source: Karpenter's
pkg/providers/instancetype/types.go@1d92708, memory."""
UNSEEN_PER_MILLE: Final = 75
"""Share of the memory that hypervisor and kernel may keep: Karpenter's
VM_MEMORY_OVERHEAD_PERCENT (its settings.md), a bound that no type exceeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceShape:
    """One instance type: `most_pods` by its network interfaces, `nvme_gb` of local disks.

    `gpu` is the product as NVIDIA's device plugin labels it, or EC2's name of another vendor's,
    empty without GPUs. Local disks are facts only: models and images stand on the volume of the
    launch template.
    """

    name: str
    cpu: int
    memory_gib: int
    most_pods: int
    gpus: int
    gpu: str
    gpu_memory_mib: int
    nvme_gb: int
    architecture: str

    @property
    def pod_millicores(self) -> int:
        """CPU that pods may request: all but kubeReserved.

        Source: getCPUMillicoresToReserve of awslabs/amazon-eks-ami,
        nodeadm/internal/kubelet/config.go at 2026-07-23, as for `pod_mib`.
        """
        whole = self.cpu * 1000
        ends = (*(start for start, _ in _CPU_RANGES[1:]), whole)
        reserved = (
            (max(min(whole, end) - start, 0)) * share // 10_000
            for (start, share), end in zip(_CPU_RANGES, ends, strict=True)
        )
        return whole - sum(reserved)

    @property
    def _memory_mib(self) -> int:
        """All but what the kernel of arm64 keeps for devices."""
        return self.memory_gib * 1024 - (_ARM_KERNEL_MIB if self.architecture == "arm64" else 0)

    @property
    def pod_mib(self) -> int:
        """Memory that pods may request at most: all but kubeReserved (11 MiB a pod and 255) and
        the eviction threshold. A node has less, since hypervisor and kernel take some."""
        return self._memory_mib - (11 * self.most_pods + 255) - _EVICTION_MIB

    @property
    def sure_pod_mib(self) -> int:
        """Memory that pods may request whatever hypervisor and kernel take."""
        unseen = self._memory_mib * UNSEEN_PER_MILLE
        return self.pod_mib + -unseen // 1000

    def __str__(self) -> str:
        gpus = f", {self.gpus} {self.gpu}" if self.gpus else ""
        gpus += "" if self.architecture == "amd64" else f", {self.architecture}"
        return f"{self.name} has {self.cpu} cores, {self.memory_gib} GiB{gpus}"


# name, vCPU, memory in GiB, pods, GPUs, product, MiB of each GPU, GB of local NVMe; all amd64. Of
# Inferentia2's memory: AWS Neuron, about-neuron/arch/neuron-hardware/inferentia2.rst, 2026-11-29.
_WITH_GPU: Final = """
g4dn.xlarge      4    16   29  1 Tesla-T4                16384    125
g4dn.2xlarge     8    32   29  1 Tesla-T4                16384    225
g4dn.4xlarge    16    64   29  1 Tesla-T4                16384    225
g4dn.8xlarge    32   128   58  1 Tesla-T4                16384    900
g4dn.12xlarge   48   192  234  4 Tesla-T4                16384    900
g4dn.16xlarge   64   256   58  1 Tesla-T4                16384    900
g5.xlarge        4    16   58  1 NVIDIA-A10G             22888    250
g5.2xlarge       8    32   58  1 NVIDIA-A10G             22888    450
g5.4xlarge      16    64  234  1 NVIDIA-A10G             22888    600
g5.8xlarge      32   128  234  1 NVIDIA-A10G             22888    900
g5.12xlarge     48   192  737  4 NVIDIA-A10G             22888   3800
g5.16xlarge     64   256  234  1 NVIDIA-A10G             22888   1900
g5.24xlarge     96   384  737  4 NVIDIA-A10G             22888   3800
g5.48xlarge    192   768  345  8 NVIDIA-A10G             22888   7600
g6.xlarge        4    16   58  1 NVIDIA-L4               22888    250
g6.2xlarge       8    32   58  1 NVIDIA-L4               22888    450
g6.4xlarge      16    64  234  1 NVIDIA-L4               22888    600
g6.8xlarge      32   128  234  1 NVIDIA-L4               22888    900
g6.12xlarge     48   192  234  4 NVIDIA-L4               22888   3760
g6.16xlarge     64   256  737  1 NVIDIA-L4               22888   1880
g6.24xlarge     96   384  737  4 NVIDIA-L4               22888   3760
g6.48xlarge    192   768  737  8 NVIDIA-L4               22888   7520
gr6.4xlarge     16   128  234  1 NVIDIA-L4               22888    600
gr6.8xlarge     32   256  234  1 NVIDIA-L4               22888    900
g6e.xlarge       4    32   58  1 NVIDIA-L40S             45776    250
g6e.2xlarge      8    64   58  1 NVIDIA-L40S             45776    450
g6e.4xlarge     16   128  234  1 NVIDIA-L40S             45776    600
g6e.8xlarge     32   256  234  1 NVIDIA-L40S             45776    900
g6e.12xlarge    48   384  292  4 NVIDIA-L40S             45776   3800
g6e.16xlarge    64   512  737  1 NVIDIA-L40S             45776   1900
g6e.24xlarge    96   768  492  4 NVIDIA-L40S             45776   3800
g6e.48xlarge   192  1536  492  8 NVIDIA-L40S             45776   7600
p4d.24xlarge    96  1152  737  8 NVIDIA-A100-SXM4-40GB   40960   8000
p4de.24xlarge   96  1152  737  8 NVIDIA-A100-SXM4-80GB   81920   8000
p5.4xlarge      16   256  118  1 NVIDIA-H100-80GB-HBM3   81920   3800
p5.48xlarge    192  2048  100  8 NVIDIA-H100-80GB-HBM3   81920  30400
p5e.48xlarge   192  2048  100  8 NVIDIA-H200            144384  30400
p5en.48xlarge  192  2048  198  8 NVIDIA-H200            144384  30400
inf2.xlarge      4    16   58  1 inferentia2             32768      0
inf2.8xlarge    32   128  234  1 inferentia2             32768      0
inf2.24xlarge   96   384  737  6 inferentia2             32768      0
inf2.48xlarge  192   768  737 12 inferentia2             32768      0
"""
_PER_CORE_GIB: Final = {"c": 2, "m": 4, "r": 8}
_INTEL_6: Final = (2, 4, 8, 16, 32, 48, 64, 96, 128)
_INTEL_7: Final = (2, 4, 8, 16, 32, 48, 64, 96, 192)
_AMD_7: Final = (2, 4, 8, 16, 32, 48, 64, 96, 128, 192)
_GRAVITON_7: Final = (2, 4, 8, 16, 32, 48, 64)
_ARM: Final = frozenset({"7g"})
"""The generations of arm64."""
_WITHOUT_GPU: Final = {"6i": _INTEL_6, "7a": _AMD_7, "7g": _GRAVITON_7, "7i": _INTEL_7}
"""By generation: the vCPUs of each size, of `c`, `m` and `r` alike; none has local disks."""
_MOST_PODS: Final = ((2, 29), (8, 58), (48, 234), (192, 737))
"""Pods of those up to so many vCPUs."""


def _with_gpu() -> Iterator[InstanceShape]:
    for line in _WITH_GPU.strip().splitlines():
        name, cpu, memory_gib, pods, gpus, gpu, gpu_mib, nvme_gb = line.split()
        yield InstanceShape(
            name=name,
            cpu=int(cpu),
            memory_gib=int(memory_gib),
            most_pods=int(pods),
            gpus=int(gpus),
            gpu=gpu,
            gpu_memory_mib=int(gpu_mib),
            nvme_gb=int(nvme_gb),
            architecture="amd64",
        )


def _without_gpu() -> Iterator[InstanceShape]:
    for family, per_core_gib in _PER_CORE_GIB.items():
        for generation, sizes in _WITHOUT_GPU.items():
            for cpu in sizes:
                size = {2: "large", 4: "xlarge"}.get(cpu, f"{cpu // 4}xlarge")
                yield InstanceShape(
                    name=f"{family}{generation}.{size}",
                    cpu=cpu,
                    memory_gib=cpu * per_core_gib,
                    most_pods=next(pods for most, pods in _MOST_PODS if cpu <= most),
                    gpus=0,
                    gpu="",
                    gpu_memory_mib=0,
                    nvme_gb=0,
                    architecture="arm64" if generation in _ARM else "amd64",
                )


INSTANCE_SHAPES: Final[dict[str, InstanceShape]] = {
    shape.name: shape for shape in (*_with_gpu(), *_without_gpu())
}
"""By name."""
