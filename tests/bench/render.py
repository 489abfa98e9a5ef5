"""Measures `isoserve render` beside `helm template` on the same objects, and prints a table.

`cold` writes every file into an empty directory, `again` finds all of them unchanged; both are
fresh processes and include the start of Python, reading and checking the specs. Helm is run once a
region, as many at a time as there are cores, with its output into a file (see tests/bench/helm.py
for its charts); its objects are compared with ours before it is measured. The file system's cache
is warm for all. The table shows medians.

    python -m tests.bench.render [--models 1,10,100,1000] [--regions 1,3,8] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from tests.bench.helm import write_chart
from tests.bench.measure import Cost, measure, run_all
from tests.bench.tree import write_tree

_ROOT: Final = Path(__file__).resolve().parents[2]
_HELM: Final = _ROOT / ".isoserve" / "bin" / "helm"
_HELM_MODULE: Final = "helm.sh/helm/v3/cmd/helm@v3.19.0"
_RUNS: Final = 5
_LARGE_FILES: Final = 2000  # from here on the spread is small and a run takes seconds
_LARGE_RUNS: Final = 3
_PROVED_FILES: Final = 300  # comparing more objects takes longer than everything else


def _helm() -> Path | None:
    """Helm, built once from the module proxy; None where that is impossible."""
    if not _HELM.exists() and shutil.which("go"):
        environment = {**os.environ, "GOBIN": str(_HELM.parent)}
        subprocess.run(["go", "install", _HELM_MODULE], env=environment, check=False)
    return _HELM if _HELM.exists() else None


def _render(tree: Path, output: Path) -> None:
    words = ["render", "-o", str(output), "--specs", str(tree / "model_specs")]
    words += ["--regions", str(tree / "regions")]
    command = [sys.executable, "-m", "stacks.cli", *words]
    subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.DEVNULL)


def _row(tool: str, size: tuple[int, int], costs: list[Cost], output: Path) -> dict[str, Any]:
    files = [path for path in output.rglob("*") if path.is_file()]
    return {
        "tool": tool,
        "models": size[0],
        "regions": size[1],
        "wall_seconds": statistics.median(cost.wall_seconds for cost in costs),
        "cpu_seconds": statistics.median(cost.cpu_seconds for cost in costs),
        "peak_mib": max(cost.peak_mib for cost in costs),
        "files": len(files),
        "mib": sum(path.stat().st_size for path in files) / 2**20,
        "runs": [asdict(cost) for cost in costs],
    }


def _objects(text: str) -> list[str]:
    loaded = yaml.load_all(text, Loader=yaml.CSafeLoader)
    return sorted(json.dumps(made, sort_keys=True) for made in loaded if made)


def _prove_equal(ours: Path, theirs: Path) -> None:
    """Helm's objects are ours, or its time would say nothing."""
    for region in sorted(ours.iterdir()):
        mine = "".join(path.read_text() for path in sorted(region.rglob("*.yaml")))
        found = (theirs / f"{region.name}.yaml").read_text()
        assert _objects(mine) == _objects(found), f"helm's objects of {region.name} differ"


def _measure_helm(
    helm: Path, size: tuple[int, int], rendered: Path, work: Path, runs: int
) -> dict[str, Any]:
    output = work / "helm"
    output.mkdir()
    commands = []
    for region in sorted(rendered.iterdir()):
        chart, values = work / "charts" / region.name, work / f"{region.name}.json"
        write_chart(region, chart, values)
        command = [str(helm), "template", region.name, str(chart), "--values", str(values)]
        commands.append((command, output / f"{region.name}.yaml"))
    costs = [measure(lambda: run_all(commands)) for _ in range(runs)]
    if size[0] * size[1] <= _PROVED_FILES:
        _prove_equal(rendered, output)
    return _row("helm template", size, costs, output)


def measure_size(models: int, regions: int, helm: Path | None) -> Iterator[dict[str, Any]]:
    """The rows of one size of tree."""
    size = (models, regions)
    runs = _LARGE_RUNS if models * regions >= _LARGE_FILES else _RUNS
    with TemporaryDirectory(prefix="isoserve-bench-") as folder:
        work = Path(folder)
        tree, output = work / "tree", work / "ours"
        write_tree(tree, models, regions)
        cold: list[Cost] = []
        for _ in range(runs):
            shutil.rmtree(output, ignore_errors=True)
            cold.append(measure(lambda: _render(tree, output)))
        yield _row("isoserve, cold", size, cold, output)
        again = [measure(lambda: _render(tree, output)) for _ in range(runs)]
        yield _row("isoserve, again", size, again, output)
        if helm is not None:
            yield _measure_helm(helm, size, output, work, runs)


_COLUMNS: Final[tuple[tuple[str, Callable[[dict[str, Any]], str]], ...]] = (
    ("models x regions", lambda row: f"{row['models']} x {row['regions']}"),
    ("tool", lambda row: str(row["tool"])),
    ("wall s", lambda row: f"{row['wall_seconds']:.2f}"),
    ("CPU s", lambda row: f"{row['cpu_seconds']:.2f}"),
    ("peak MiB", lambda row: f"{row['peak_mib']:.0f}"),
    ("files", lambda row: str(row["files"])),
    ("MiB", lambda row: f"{row['mib']:.1f}"),
)


def _line(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> None:
    """Measure every size that is asked for."""
    parser = argparse.ArgumentParser(description="render benchmark")
    parser.add_argument("--models", type=_numbers, default=[1, 10, 100, 1000])
    parser.add_argument("--regions", type=_numbers, default=[1, 3, 8])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    helm, rows = _helm(), []
    _line([name for name, _ in _COLUMNS])
    _line(["---" for _ in _COLUMNS])
    for models in args.models:
        for regions in args.regions:
            for row in measure_size(models, regions, helm):
                rows.append(row)
                _line([show(row) for _, show in _COLUMNS])
    if helm is None:
        print(f"\nhelm is not here and could not be built ({_HELM_MODULE}): not measured")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
