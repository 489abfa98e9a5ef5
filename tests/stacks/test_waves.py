"""A region waits for another exactly where the workflow's jobs say so."""

from __future__ import annotations

from itertools import pairwise

import pytest

from stacks.reviewing.waves import WORKFLOW, order
from tests.examples import REGIONS, ROOT


def workflow(**jobs: str) -> str:
    """A workflow of jobs, each the regions and the rest of its lines, divided by `|`."""
    lines = ["jobs:"]
    for name, words in jobs.items():
        regions, _, rest = words.partition("|")
        listed = ", ".join(f'"{one}"' for one in regions.split())
        lines += [f"  {name}:", "    uses: ./.github/workflows/wave.yml"]
        lines += [f"    with: {{regions: '[{listed}]'}}", *([f"    {rest}"] if rest else [])]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "regions", "waits"),
    [
        (workflow(one="a", two="b|needs: one"), "ab", True),
        (workflow(one="a", two="b|needs: [one]"), "ab", True),
        (workflow(one="a", two="b|needs: one", three="c|needs: two"), "ac", True),
        (workflow(one="a b", two="c|needs: one"), "ab", False),
        (workflow(one="a b", two="c|needs: one"), "abc", True),
        (workflow(one="a", two="b"), "ab", False),
        (workflow(one="a", two="b|needs: one"), "ax", False),
        (workflow(one="a", two="b|needs: other"), "ab", False),
        (workflow(one="a|needs: two", two="b|needs: one"), "a", False),
        (workflow(one="a", two="b|needs: one\n    if: always()"), "ab", False),
        (workflow(one="a", two="b|needs: one\n    if: github.ref == 'x'"), "ab", True),
        ("", "ab", False),
        ("jobs: [", "ab", False),
        ("jobs: {one: 1, two: {with: {regions: 5}}, three: {with: {regions: x}}}", "ab", False),
    ],
)
def test_waves_are_what_the_jobs_need(text: str, regions: str, waits: bool) -> None:
    assert order(text).staggers(regions) is waits


def test_the_shipped_workflow_staggers_all_regions() -> None:
    shipped = order((ROOT / WORKFLOW).read_text())
    real = [region for region in REGIONS if not region.startswith("sandbox-")]
    assert set(shipped.before) == set(real)
    assert all(shipped.staggers(pair) for pair in pairwise(real))
