"""Measures `pulumi up` and a no-change `pulumi preview` of N models in the sandbox's AWS region.

The engine, the provider and the API server are real; nodes and pods are simulated by kwok, AWS by
moto. The sandbox stands before the clock starts; `up` ends when the RolloutGate has seen every
server ready. Checkpoints are off, as `make up` has them.

    python -m tests.bench.up [--models 100] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from regions.sandbox.example.publish import SPEC
from tests.bench.measure import measure
from tests.bench.tree import write_tree
from tests.engine.world import World, copy_tree

_REGION: Final = "sandbox-aws"


def _enlarge(world: World, models: int) -> None:
    """The bench's specs in place of the examples, and node groups that can hold them."""
    write_tree(world.root / "bench", models, 0)
    for folder in (world.root / "bench" / "model_specs").iterdir():
        shutil.copytree(folder, world.root / "model_specs" / folder.name)
    path = world.root / "regions" / f"{_REGION}.yaml"
    profile = yaml.safe_load(path.read_text())
    for offer in profile["machines"].values():
        offer["on_demand"]["max"] = 4 * models
        offer["spot"]["max"] = models
        offer["cache_disk_gib"] = 10_000
        offer["price_usd_per_hour"]["as_of"] = str(offer["price_usd_per_hour"]["as_of"])
    path.write_text(yaml.safe_dump(profile))


def _empty(world: World) -> None:
    """Leave the one example that the sandbox publishes, and its project."""
    kept = world.root / SPEC
    names = {kept.name, "models.lock.yaml", "project.yaml"}
    for spec in (world.root / "model_specs").glob("*/*.yaml"):
        if spec.parent != kept.parent or spec.name not in names:
            spec.unlink()


def _simulate_all_nodes(world: World) -> None:
    """No pod runs for real here: a hundred servers would measure themselves, not the engine."""
    path = world.root / "regions" / "sandbox" / "nodes.yaml"
    path.write_text(path.read_text().replace(", simulated: false", ""))


def _timed(world: World, tool: str, *arguments: str) -> dict[str, Any]:
    codes: list[int] = []
    output: list[str] = []

    def work() -> None:
        done = world.pulumi(*arguments, "-s", _REGION)
        codes.append(done.returncode)
        output.append(done.stdout + done.stderr)

    cost = measure(work)
    if codes != [0]:
        sys.exit(f"{tool} failed:\n{output[0][-3000:]}")
    return {"tool": tool, **asdict(cost)}


def run(models: int) -> list[dict[str, Any]]:
    """The rows of one run on a fresh sandbox."""
    with TemporaryDirectory() as folder:
        world = copy_tree(Path(folder) / "tree")
        try:
            _empty(world)
            _simulate_all_nodes(world)
            world.up("--region", _REGION)
            _enlarge(world, models)
            rows = [
                _timed(world, "up", "up", "--yes", "--skip-preview"),
                _timed(world, "preview, no change", "preview", "--expect-no-changes"),
                _timed(world, "the same under the rules", "preview", "--policy-pack", "policies"),
            ]
            resources = len(
                json.loads(world.pulumi("stack", "export", "-s", _REGION).stdout)["deployment"][
                    "resources"
                ]
            )
        finally:
            world.sandbox("down")
    return [{**row, "models": models, "resources": resources} for row in rows]


def main() -> None:
    """Run once and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = run(options.models)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    print("| models | resources | what | wall s | CPU s of clients | peak MiB of clients |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['models']} | {row['resources']} | {row['tool']} | {row['wall_seconds']:.1f} "
            f"| {row['cpu_seconds']:.1f} | {row['peak_mib']:.0f} |"
        )


if __name__ == "__main__":
    main()
