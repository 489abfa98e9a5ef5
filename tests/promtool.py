"""Runs Prometheus's own judge of rules, and says how to get it where it is missing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from regions.sandbox.toolchain import find_promtool

HINT: Final = (
    "promtool is neither on PATH nor built; `python -m regions.sandbox.promtool` builds it"
)
STEP_SECONDS: Final = 5


def _promtool(*words: str, given: str = "") -> None:
    program = find_promtool()
    if program is None:
        pytest.fail(HINT)
    command = [str(program), *words]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"promtool {' '.join(words)}: {done.stdout}{done.stderr}"


def check_rules(directory: Path, text: str) -> None:
    """Prometheus takes `text` as a rule file."""
    file = directory / "rules.yaml"
    file.write_text(text)
    _promtool("check", "rules", str(file))


def check_metrics(text: str) -> None:
    """Prometheus reads `text` as what a program exports, and its linter finds nothing in it."""
    assert text, "a check of nothing proves nothing"
    _promtool("check", "metrics", given=text)


def check_expressions(directory: Path, exprs: Iterable[str]) -> None:
    """Prometheus parses every one of `exprs`."""
    rules = [{"expr": e, "record": f"expression:{i}"} for i, e in enumerate(exprs)]
    assert rules, "a check of nothing proves nothing"
    check_rules(directory, json.dumps({"groups": [{"name": "expressions", "rules": rules}]}))


def timeline(*spans: tuple[str, int], step: int = STEP_SECONDS) -> str:
    """Samples in promtool's notation: each span is a value and how many seconds it holds."""
    return " ".join(
        f"{value}+0x{seconds // step - 1}" if value not in "_" else f"_x{seconds // step}"
        for value, seconds in spans
    )


def check_alerts(
    directory: Path,
    groups: list[dict[str, Any]],
    series: Mapping[str, str],
    expected: Mapping[int, Iterable[str]],
    step: int = STEP_SECONDS,
    evaluated: int | None = None,
) -> None:
    """At each second of `expected`, exactly those alerts fire, written `Name/severity`.

    There is a sample every `step` seconds, and an evaluation too, or every `evaluated`.
    """
    (directory / "rules.yaml").write_text(json.dumps({"groups": groups}))
    samples = {
        second: [
            f'{{alertname="{alert.split("/")[0]}", severity="{alert.split("/")[1]}"}}'
            for alert in alerts
        ]
        for second, alerts in expected.items()
    }
    test = {
        "evaluation_interval": f"{evaluated or step}s",
        # Without it promtool takes the groups in another order at every run.
        "group_eval_order": [group["name"] for group in groups],
        "rule_files": ["rules.yaml"],
        "tests": [
            {
                "input_series": [{"series": s, "values": v} for s, v in series.items()],
                "interval": f"{step}s",
                "promql_expr_test": [
                    {
                        "eval_time": f"{second}s",
                        "exp_samples": [{"labels": label, "value": 1} for label in labels],
                        "expr": 'group by (alertname, severity) (ALERTS{alertstate="firing"})',
                    }
                    for second, labels in samples.items()
                ],
            }
        ],
    }
    (directory / "test.yaml").write_text(json.dumps(test))
    _promtool("test", "rules", str(directory / "test.yaml"))


def check_value(
    directory: Path,
    query: str,
    series: Mapping[str, str],
    expected: Mapping[int, tuple[str, float] | None],
    step: int = 15,
) -> None:
    """At each second of `expected`, `query` has one result, labels and value, or none."""
    test = {
        "evaluation_interval": f"{step}s",
        "tests": [
            {
                "input_series": [{"series": s, "values": v} for s, v in series.items()],
                "interval": f"{step}s",
                "promql_expr_test": [
                    {
                        "eval_time": f"{second}s",
                        "exp_samples": [{"labels": one[0], "value": one[1]}] if one else [],
                        "expr": query,
                    }
                    for second, one in expected.items()
                ],
            }
        ],
    }
    (directory / "value.yaml").write_text(json.dumps(test))
    _promtool("test", "rules", str(directory / "value.yaml"))
