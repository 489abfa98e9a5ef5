"""Measures `isoserve check`: every spec read, typed, resolved in every region and judged.

A fresh process each time, with the start of Python; the file system's cache is warm. The table
shows medians.

    python -m tests.bench.check [--models 1000] [--regions 1,5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench.measure import measure
from tests.bench.tree import write_tree

_ROOT: Final = Path(__file__).resolve().parents[2]
_RUNS: Final = 5


def _check(tree: Path) -> None:
    words = ["check", "--specs", str(tree / "model_specs"), "--regions", str(tree / "regions")]
    command = [sys.executable, "-m", "stacks.cli", *words]
    subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.DEVNULL)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> None:
    """Measure every size that is asked for."""
    parser = argparse.ArgumentParser(description="check benchmark")
    parser.add_argument("--models", type=_numbers, default=[1, 100, 1000])
    parser.add_argument("--regions", type=_numbers, default=[1, 5])
    args = parser.parse_args()
    print("| models x regions | wall s | CPU s | peak MiB |\n| --- | --- | --- | --- |", flush=True)
    for models in args.models:
        for regions in args.regions:
            with TemporaryDirectory(prefix="isoserve-bench-") as folder:
                write_tree(Path(folder), models, regions)
                costs = [measure(lambda: _check(Path(folder))) for _ in range(_RUNS)]
            wall = statistics.median(cost.wall_seconds for cost in costs)
            cpu = statistics.median(cost.cpu_seconds for cost in costs)
            peak = max(cost.peak_mib for cost in costs)
            row = f"| {models} x {regions} | {wall:.2f} | {cpu:.2f} | {peak:.0f} |"
            print(row, flush=True)


if __name__ == "__main__":
    main()
