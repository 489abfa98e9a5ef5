"""Measures the offline judge: what the rules cost per object, planning and rendering left out.

python -m tests.bench.policy [--models 100] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from model_specs.catalogue_files import project_root
from model_specs.source import Source
from policies.catalogue import RULES
from policies.facts import read_facts
from policies.judge import judge
from policies.rule import Rule
from policies.waivers import Waivers
from regions.resolve import resolve
from stacks.policy import resources
from tests.bench.tree import write_tree

_RUNS: Final = 5
_REGION: Final = "region-0"


def _rule_sets() -> dict[str, tuple[Rule, ...]]:
    """All rules, those that look at one resource, and those that look at all."""
    single = tuple(rule for rule in RULES if not rule.is_whole)
    return {
        "all": RULES,
        "about one resource": single,
        "about the region": tuple(rule for rule in RULES if rule.is_whole),
    }


def run(models: int) -> list[dict[str, Any]]:
    """A row for each set of rules."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write_tree(root, models, 1)
        at = datetime(2026, 11, 22, tzinfo=UTC)
        facts = read_facts(root / "model_specs", root / "regions", _REGION, at)
    found = resources(resolve(facts.specs, facts.profile, _REGION), project_root())
    rows = []
    for name, rules in _rule_sets().items():
        times = []
        for _ in range(_RUNS):
            start = time.perf_counter()
            verdict = judge(found, facts, rules, Waivers(Source("none"), ()))
            times.append(time.perf_counter() - start)
        seconds = statistics.median(times)
        rows.append(
            {
                "rules": name,
                "number": len(rules),
                "objects": len(found),
                "seconds": seconds,
                "us_per_object": seconds / len(found) * 1e6,
                "us_per_object_at_10_rules": seconds / len(found) / len(rules) * 1e7,
                "findings": len(verdict.findings),
            }
        )
    return rows


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = run(options.models)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    print("| rules | objects | ms | us per object | us per object at 10 rules | findings |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['number']} {row['rules']} | {row['objects']} | {row['seconds'] * 1e3:.0f} "
            f"| {row['us_per_object']:.1f} | {row['us_per_object_at_10_rules']:.1f} "
            f"| {row['findings']} |"
        )


if __name__ == "__main__":
    main()
