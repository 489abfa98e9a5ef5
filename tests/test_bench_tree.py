"""What the benchmarks measure is legal in every region, or they would measure refusals."""

from __future__ import annotations

from pathlib import Path

from stacks.tree import read_tree
from tests.bench.tree import write_tree


def test_a_tree_of_the_benchmarks_resolves_in_every_region(tmp_path: Path) -> None:
    # So many that each project has some shapes twice.
    write_tree(tmp_path, models=100, regions=3)
    plans = read_tree(tmp_path / "model_specs", tmp_path / "regions", []).plans()
    assert [plan.region for plan in plans] == ["region-0", "region-1", "region-2"]
    assert all(plan.servers for plan in plans)
