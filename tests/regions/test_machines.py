"""The machine catalogue is sound, and every offer of it stands on nodes that can carry it."""

from __future__ import annotations

import pytest

from model_specs.errors import nearest
from regions.machines import MACHINES, MachineType
from tests.examples import REGIONS, profiles

ROWS = tuple(MACHINES.values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_says_what_its_name_says(row: MachineType) -> None:
    family, last = row.name.split(".")[0], int(row.name.split(".")[-1])
    assert MACHINES[row.name] is row, "a row is found by its name"
    if family in ("gpu", "neuron"):
        assert row.gpus == last, "the last part of the name is the number of GPUs"
        assert row.gpu, "people see which GPU it is"
        assert row.gpu_memory_gib > 0
    else:
        assert row.gpus == row.gpu_memory_gib == 0
        assert row.cpu == last, "the last part of the name is the number of cores"
        assert not row.gpu


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_a_legal_label_value_and_has_rates(row: MachineType) -> None:
    assert len(row.name) <= 63, "it becomes a node label"
    assert row.load_mib_per_second > 0, "clocks divide by it"
    assert row.fetch_mib_per_second > 0, "clocks divide by it"
    assert row.memory_gib > 0
    assert row.cpu > 0


@pytest.mark.parametrize("wish", ["gpu.l4", "gpu.L4.1", "gpu.l4.2", "g6.2xlarge"])
def test_a_near_miss_is_answered_with_a_known_name(wish: str) -> None:
    hint = nearest(wish, MACHINES)
    assert any(name in hint for name in MACHINES), "a person takes the name that is proposed"


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_offers_machines_of_the_catalogue(region: str) -> None:
    machines = profiles()[region].machines
    assert machines, "a region without machines serves nothing"
    assert set(machines) <= set(MACHINES), "an unknown machine type has no GPU count"
