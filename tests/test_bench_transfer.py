"""The transfer benchmark says what its samples say: medians, ratios, and sizes by name."""

from __future__ import annotations

import pytest

from tests.bench.measure import Cost
from tests.bench.transfer_sets import FileSet
from tests.bench.transfer_table import Sample, aims, table


def a_sample(tool: str, wall: float, check: float) -> Sample:
    cost = Cost(wall_seconds=wall, cpu_seconds=wall / 2, peak_mib=wall * 10)
    extra = Cost(wall_seconds=check, cpu_seconds=check, peak_mib=1.0)
    return Sample(
        set="1 x 2 GiB",
        bytes=2_000_000_000,
        tool=tool,
        run=0,
        transfer=cost,
        check=extra if check else None,
        store_cpu_seconds=0.0,
    )


OURS = [a_sample("isoserve model pull", wall, 0.0) for wall in (9.0, 4.0, 5.0)]
THEIRS = [a_sample("s5cmd", wall, 2.0) for wall in (3.0, 4.0, 8.0)]
MIXED = [sample for pair in zip(OURS, THEIRS, strict=True) for sample in pair]


def test_a_table_has_medians_of_speed_and_the_worst_of_memory() -> None:
    _, _, ours, theirs = table(MIXED).splitlines()
    assert ours == (
        "| 1 x 2 GiB | isoserve model pull | 5.00 | 4.00-9.00 | 400 | 2.50 | 90 "
        "| included | included |"
    )
    assert theirs == "| 1 x 2 GiB | s5cmd | 4.00 | 3.00-8.00 | 500 | 2.00 | 80 | 6.00 | 4.00 |"


def test_our_speed_is_held_against_s5cmd_with_and_without_its_pass() -> None:
    _, _, line = aims(MIXED).splitlines()
    assert line == "| 1 x 2 GiB | isoserve model pull | 0.80 | 1.20 |"


@pytest.mark.parametrize(
    ("files", "file_bytes", "name"),
    [(1, 2 * 2**30, "1 x 2 GiB"), (2000, 64 * 2**10, "2000 x 64 KiB"), (3, 1000, "3 x 1000 B")],
)
def test_a_set_is_called_by_its_size(files: int, file_bytes: int, name: str) -> None:
    assert FileSet(files, file_bytes, 1).name == name
