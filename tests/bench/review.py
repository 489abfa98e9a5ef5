"""Measures `isoserve review` of a tree of which one spec has changed.

A fresh process each time, with the start of Python and git; the file system's cache is warm. The
table shows medians.

    python -m tests.bench.review [--models 1000] [--regions 5]
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
_RUNS: Final = 3
_CHANGED: Final = "model_specs/project-0/sentiment-0.yaml"


def _git(tree: Path, *words: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *author, *words], cwd=tree, check=True, stdout=subprocess.DEVNULL)


def write_change(tree: Path, models: int, regions: int) -> None:
    """A committed tree, and one spec that is another one since."""
    write_tree(tree, models, regions)
    _git(tree, "init", "-q")
    _git(tree, "add", ".")
    _git(tree, "commit", "-qm", "base")
    with (tree / _CHANGED).open("a") as spec:
        spec.write("env: {A: '1'}\n")


def _review(tree: Path) -> None:
    words = ["--specs", str(tree / "model_specs"), "--regions", str(tree / "regions")]
    command = [sys.executable, "-m", "stacks.cli", "review", "--base", "HEAD", *words]
    subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure the size that is asked for."""
    parser = argparse.ArgumentParser(description="review benchmark")
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--regions", type=int, default=5)
    args = parser.parse_args()
    print("| models x regions | wall s | CPU s | peak MiB |\n| --- | --- | --- | --- |", flush=True)
    with TemporaryDirectory(prefix="isoserve-bench-") as folder:
        write_change(Path(folder), args.models, args.regions)
        costs = [measure(lambda: _review(Path(folder))) for _ in range(_RUNS)]
    wall = statistics.median(cost.wall_seconds for cost in costs)
    cpu = statistics.median(cost.cpu_seconds for cost in costs)
    peak = max(cost.peak_mib for cost in costs)
    print(f"| {args.models} x {args.regions} | {wall:.2f} | {cpu:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
