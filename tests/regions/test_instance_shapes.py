"""What EKS leaves of an instance type to pods, against figures of other people's software."""

from __future__ import annotations

import pytest

from regions.instance_shapes import INSTANCE_SHAPES
from regions.machines import MACHINES
from tests.examples import profiles

# Millicores, MiB: the Resources of instance-types.md of aws/karpenter-provider-aws at 2026-07-11,
# which takes kubeReserved, evictionHard and 7.5 % of memory off.
ALLOCATABLE = {
    "c6i.large": (1930, 3114),
    "c7a.48xlarge": (191450, 355262),
    "c7i.4xlarge": (15890, 27381),
    "g4dn.12xlarge": (47810, 178933),
    "g5.48xlarge": (191450, 723299),
    "g6.xlarge": (3920, 14162),
    "g6.2xlarge": (7910, 29317),
    "g6.12xlarge": (47810, 178933),
    "g6e.12xlarge": (47810, 360157),
    "gr6.4xlarge": (15890, 118312),
    "inf2.8xlarge": (31850, 118312),
    "inf2.24xlarge": (95690, 355262),
    "c7g.xlarge": (3920, 6525),
    "m7g.2xlarge": (7910, 29258),
    "m7i.4xlarge": (15890, 57691),
    "p4d.24xlarge": (95690, 1082712),
    "p5.48xlarge": (191450, 1938410),
    "r7i.24xlarge": (95690, 718987),
}


@pytest.mark.parametrize("name", ALLOCATABLE)
def test_what_is_left_to_pods_is_what_karpenter_publishes(name: str) -> None:
    shape = INSTANCE_SHAPES[name]
    assert (shape.pod_millicores, shape.sure_pod_mib) == ALLOCATABLE[name], (
        "two programs that read the same formula agree on it"
    )


def test_more_is_left_where_hypervisor_and_kernel_take_nothing() -> None:
    shape = INSTANCE_SHAPES["g6.2xlarge"]
    assert shape.pod_mib == 32 * 1024 - (11 * 58 + 255) - 100, "EKS's formula and the threshold"
    assert shape.pod_mib - shape.sure_pod_mib == 2458, "7.5 % of 32 GiB, rounded up"


def test_every_instance_type_of_the_examples_is_in_the_table() -> None:
    used = {
        name
        for profile in profiles().values()
        for offer in profile.machines.values()
        for name in offer.instance_types
    }
    assert used <= INSTANCE_SHAPES.keys()


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_machine_type_has_an_instance_type_that_carries_it(machine: str) -> None:
    row = MACHINES[machine]
    carriers = [
        shape.name
        for shape in INSTANCE_SHAPES.values()
        if shape.gpus >= row.gpus and (shape.gpu, shape.architecture) == (row.gpu, row.architecture)
    ]
    assert bool(carriers) == (row.architecture in row.kind.ami_types), (
        "its GPUs are spelled as the table spells them, where EKS has an image for them"
    )


def test_a_shape_says_what_a_person_compares() -> None:
    assert str(INSTANCE_SHAPES["g6.xlarge"]) == "g6.xlarge has 4 cores, 16 GiB, 1 NVIDIA-L4"
    assert str(INSTANCE_SHAPES["c7i.xlarge"]) == "c7i.xlarge has 4 cores, 8 GiB"
