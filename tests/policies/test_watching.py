"""No endpoint goes unwatched: each is asked, measured, drawn, and somebody is called."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from model_specs.schema import Expectation, Probe
from policies.judge import Finding, judge
from policies.resources import of_object
from policies.rule import Rule
from policies.watching import RULES
from regions.resolve import resolve
from tests.examples import a_profile, rendered, specs
from tests.policies.cases import (
    GONE,
    Case,
    check,
    check_unknown,
    failing,
    respecified,
    setting,
    with_path,
)
from tests.policies.estate import NO_WAIVERS, REGION, changed, facts, good, named, said

PROBED, ALERTS, SCRAPED, DRAWN = RULES
SERVER: Final = "Deployment vision/tagger"
RULE: Final = "PrometheusRule vision/tagger"
PROBER: Final = "Deployment vision/prober"
CONFIG: Final = "ConfigMap vision/prober"
BOARD: Final = "ConfigMap vision/tagger-dashboard"
CACHES_READ: Final = "PodMonitor isoserve-cache/cache-agent"


def asked(change: Callable[[Any], object]) -> str:
    """What the prober of `vision` is told, after `change`."""
    config = json.loads(named(CONFIG).values["data"]["config.json"])
    change(config)
    return json.dumps(config)


def twice(config: Any) -> None:
    config["probes"] *= 2


def without(name: str, window: str = "") -> list[Any]:
    """The groups of rules without an alert, or without one of its windows."""
    return [
        {**group, "rules": [
            rule for rule in group["rules"]
            if rule.get("alert") != name or (window and rule["labels"].get("window") != window)
        ]}
        for group in named(RULE).values["spec"]["groups"]
    ]  # fmt: skip


CASES: Final = (
    *(
        Case(rule=PROBED, of=of, path=path, value=value, says=says, field=field, on=SERVER)
        for of, path, value, says, field in (
            (CONFIG, "data config.json", asked(setting("probes", [])), "is asked by 0 probes",
             "probe"),
            (CONFIG, "data config.json", asked(twice), "is asked by 2 probes", "probe"),
            (CONFIG, "data config.json", asked(setting("probes 0 interval_seconds", 300)),
             "is asked every 300 s, the spec says 30", "probe.interval_seconds"),
            (CONFIG, "metadata labels isoserve.dev/role", GONE, "is asked by 0 probes", "probe"),
            (PROBER, "spec replicas", 0, "is asked by 0 probes", "probe"),
            (PROBER, "spec template spec volumes 0 configMap name", "other",
             "is asked by 0 probes", "probe"),
        )
    ),
    *(
        Case(rule=PROBED, of=of, says="is asked by 0 probes", field="probe", on=SERVER)
        for of in (CONFIG, PROBER)
    ),
    *(
        Case(rule=ALERTS, of=RULE, path=path, value=value, says=says, field="slo")
        for path, value, says in (
            ("spec groups", without("ModelProbeFailing"), "has no alert ModelProbeFailing"),
            ("spec groups", without("ModelProbeAbsent"), "has no alert ModelProbeAbsent"),
            ("spec groups", without("ModelBudgetBurning"), "has no alert ModelBudgetBurning"),
            ("spec groups", without("ModelBudgetBurning", "1h"),
             "has no burn rate of page over 1h"),
            ("spec groups 0 rules 1 annotations runbook_url", GONE,
             "does not say by ModelProbeFailing what to do"),
            ("spec groups 0 rules 1 labels model", "other",
             "calls for another model by ModelProbeFailing"),
        )
    ),
    Case(rule=ALERTS, of=RULE, says="is not made: nobody is called", field="slo"),
    *(
        Case(rule=SCRAPED, of=f"PodMonitor vision/{of}", path=path, value=value,
             says="has metrics that nobody reads", field=field, on=on, times=times)
        for of, path, value, on, field, times in (
            ("prober", "", GONE, PROBER, "slo", 1),
            ("prober", "spec podMetricsEndpoints", [], PROBER, "slo", 1),
            ("prober", "spec selector matchLabels isoserve.dev/role", "x", PROBER, "slo", 1),
        )
    ),
    Case(rule=SCRAPED, of="PodMonitor search/embedder", says="that nobody reads", field="slo",
         on="Deployment search/embedder"),
    Case(rule=DRAWN, of=BOARD, says="is not made: nobody sees the model", field="slo"),
    Case(rule=DRAWN, of=BOARD, path="metadata labels grafana_dashboard", on=BOARD, field="slo",
         says="is not made: nobody sees"),
    Case(rule=DRAWN, of=BOARD, path="data", value={}, says="nobody sees the model", field="slo"),
)  # fmt: skip
FAILING: Final = failing(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule.name} {case.says}")
def test_one_field_makes_the_difference(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", with_path(CASES), ids=str)
def test_a_field_that_is_not_known_yet_is_no_good_field(case: Case) -> None:
    check_unknown(case)


def test_every_track_of_a_model_is_read() -> None:
    findings = said(SCRAPED, without="PodMonitor vision/tagger")
    assert {finding.resource for finding in findings} == {SERVER, f"{SERVER}-candidate"}


def test_a_cache_that_nobody_reads_is_named_on_every_machine_type() -> None:
    unread = {finding.resource for finding in said(SCRAPED, without=CACHES_READ)}
    agents = {str(one) for one in good(REGION) if one.kind == "DaemonSet"}
    assert len(agents) > 1, "or it is not seen that all are named"
    assert unread == agents


def test_a_batch_job_is_no_endpoint() -> None:
    for rule in RULES:
        found = said(rule, without="CronJob search/nightly-index")
        assert found == [], "nobody calls a job, so nobody is called for it"


def test_a_spec_that_asks_more_often_is_held_to() -> None:
    often = respecified(
        "vision/tagger", probe=Probe(interval_seconds=20, expect=Expectation(latency_seconds=5.0))
    )
    (finding,) = said(PROBED, wished=often)
    assert "is asked every 30 s, the spec says 20" in finding.place.message


def plain(rule: Rule, change: Callable[[Any], object] | None = None) -> list[Finding]:
    """What is said in a region without the operator, of all servers after `change`."""
    profile = a_profile("sandbox-aws", without=["prometheus_operator"])
    found = [of_object(o, "cluster") for o in rendered(resolve(specs(), profile, "sandbox-aws"))]
    if change is not None:
        found = [changed(one, change) if one.kind == "Deployment" else one for one in found]
    known = dataclasses.replace(facts(), profile=profile)
    return list(judge(found, known, (rule,), NO_WAIVERS).findings)


def test_without_the_operator_rules_are_files_and_pods_are_found_by_annotations() -> None:
    for rule in RULES:
        assert plain(rule) == []
    unnoted = setting("spec template metadata annotations prometheus.io/scrape", "false")
    assert "Deployment vision/tagger" in {finding.resource for finding in plain(SCRAPED, unnoted)}


def test_metrics_without_a_port_are_found_by_nobody() -> None:
    portless = setting("spec template metadata annotations prometheus.io/port", "")
    assert SERVER in {finding.resource for finding in plain(SCRAPED, portless)}


def test_without_the_operator_a_prometheus_rule_calls_nobody() -> None:
    profile = a_profile("sandbox-aws", without=["prometheus_operator"])
    known = dataclasses.replace(facts(), profile=profile)
    found = judge(good("sandbox-aws"), known, (ALERTS,), NO_WAIVERS).findings
    assert "ConfigMap vision/tagger" in {finding.resource for finding in found}
