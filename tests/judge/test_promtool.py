"""promtool: Prometheus takes the rules of every model in every region.

What the rules say at which moment is tested in tests/components/test_synthetic_probe.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples import identity, of_kind
from tests.judge.corpus import Corpus, resource_of
from tests.judge.verdict import Finding, Verdict, Waiver, settle
from tests.promtool import check_rules

pytestmark = pytest.mark.judge


def test_every_rule_file_is_one(
    corpus: Corpus, waivers: list[Waiver], announce: Callable[[Verdict], None], tmp_path: Path
) -> None:
    findings: list[Finding] = []
    judged = 0
    for region, objects in corpus.objects.items():
        for made in of_kind("PrometheusRule", objects):
            judged += 1
            try:
                check_rules(tmp_path, json.dumps(made["spec"]))
            except AssertionError as refused:
                name = resource_of(*identity(made))
                findings.append(Finding("check-rules", name, region, str(refused)))
    verdict = settle("promtool", judged, findings, waivers)
    announce(verdict)
    assert judged >= 5 * len(corpus.objects), "at least five models are served in each region"
    verdict.check()


def test_it_refuses_an_expression_that_is_none(corpus: Corpus, tmp_path: Path) -> None:
    for objects in corpus.objects.values():
        spec = json.dumps(of_kind("PrometheusRule", objects)[0]["spec"])
        with pytest.raises(AssertionError, match="promtool check rules"):
            check_rules(tmp_path, spec.replace('"expr": "', '"expr": "sum by ('))
