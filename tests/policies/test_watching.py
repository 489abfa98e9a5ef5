"""No endpoint goes unwatched: each is asked, measured, drawn, and somebody is called."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from model_specs.probe import Expectation, Probe
from policies.judge import Finding, judge
from policies.podsets import pod_set
from policies.reach import Reach
from policies.resources import of_object
from policies.rule import Estate, Rule
from policies.walls import LABEL_NAMESPACE, Sender, admits, releases
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
CACHES_WALL: Final = "NetworkPolicy isoserve-cache/cache-agent"
ENDPOINT: Final = "spec podMetricsEndpoints 0"
NOBODY: Final = [{"podSelector": {"matchLabels": {"is": "nobody"}}}]


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
    Case(rule=PROBED, of=CONFIG, path="data config.json", value=asked(setting("probes 1", GONE)),
         says="is asked by 0 probes at its own Service", field="probe.request",
         on=f"{SERVER}-candidate"),
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
    *(
        Case(rule=SCRAPED, of=f"PodMonitor {of}", path=f"{ENDPOINT} {path}", value=value,
             says=says, field=field, on=on)
        for of, on, field, says, rows in (
            ("isoserve-gateway/public-proxies", "Gateway isoserve-gateway/public",
             "proxy_namespaces", "for /stats/prometheus at port 19001",
             (("path", GONE), ("path", "/metrics"), ("port", GONE), ("port", "http"))),
            ("search/embedder", "Deployment search/embedder", "slo",
             "has metrics that nobody reads; render its PodMonitor, or its annotations, for /metr",
             (("path", "/stats"), ("portNumber", GONE), ("portNumber", 1), ("port", "x"))),
            ("vision/prober", PROBER, "slo", "for /metrics at port 9090",
             (("path", "/healthz"), ("port", GONE), ("port", "http"))),
        )
        for path, value in rows
    ),
    *(
        Case(rule=SCRAPED, of=of, path=path, value=value, on=on, field="slo",
             says=f"lets Prometheus, in monitoring, not in to its metrics; let monitoring in at "
                  f"{port}/TCP in its NetworkPolicy")
        for of, on, port in (
            ("NetworkPolicy chat/assistant--8000", "Deployment chat/assistant", 8000),
            ("NetworkPolicy vision/prober", PROBER, 9090),
        )
        for path, value in (
            ("spec ingress 0 from", named(of).spec["ingress"][0]["from"][:-1] or NOBODY),
            ("spec ingress 0 ports", [{"port": 1, "protocol": "TCP"}]),
            ("spec ingress", GONE),
        )
    ),
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
    for read, track in (("tagger", SERVER), ("tagger-candidate", f"{SERVER}-candidate")):
        findings = said(SCRAPED, without=f"PodMonitor vision/{read}")
        assert {finding.resource for finding in findings} == {track}, "each has its own runtime"


def test_a_cache_that_nobody_reads_is_named_on_every_machine_type() -> None:
    unread = {finding.resource for finding in said(SCRAPED, without=CACHES_READ)}
    agents = {str(one) for one in good(REGION) if one.kind == "DaemonSet"}
    assert len(agents) > 1, "or it is not seen that all are named"
    assert unread == agents


@pytest.mark.parametrize(
    "change",
    [
        setting("spec ingress 0 from", NOBODY),
        setting("spec ingress 0 ports 0 port", 9092),
        setting("spec ingress 0", GONE),
    ],
)
def test_a_cache_that_lets_no_prometheus_in_is_named_on_every_machine_type(
    change: Callable[[Any], object],
) -> None:
    found = said(SCRAPED, changed(named(CACHES_WALL), change))
    assert {finding.resource for finding in found} == {
        str(one) for one in good(REGION) if one.kind == "DaemonSet"
    }
    assert all("let monitoring in at 9091/TCP" in finding.place.message for finding in found)


def test_a_monitor_reads_no_port_that_pods_do_not_declare() -> None:
    undeclared = setting("spec template spec containers 0 ports", [])
    (finding,) = said(SCRAPED, changed(named("Deployment chat/assistant"), undeclared))
    assert "has metrics that nobody reads" in finding.place.message


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


@pytest.mark.parametrize(("note", "value"), [("path", "/stats"), ("port", "1")])
def test_annotations_lead_to_the_metrics(note: str, value: str) -> None:
    astray = setting(f"spec template metadata annotations prometheus.io/{note}", value)
    assert SERVER in {finding.resource for finding in plain(SCRAPED, astray)}


def test_without_the_operator_a_prometheus_rule_calls_nobody() -> None:
    profile = a_profile("sandbox-aws", without=["prometheus_operator"])
    known = dataclasses.replace(facts(), profile=profile)
    found = judge(good("sandbox-aws"), known, (ALERTS,), NO_WAIVERS).findings
    assert "ConfigMap vision/tagger" in {finding.resource for finding in found}


def test_a_page_for_pods_that_others_may_take_is_a_finding() -> None:
    def preempt(values: Any) -> None:
        values["spec"]["template"]["spec"]["priorityClassName"] = "isoserve-preemptible"

    assert said(ALERTS) == [], "its pods stay, so the rule has nothing against a page"
    found = said(ALERTS, changed(named(SERVER), preempt))
    pages = [one.place.message for one in found if "pods that may go" in one.place.message]
    assert any("pages by ModelProbeFailing" in message for message in pages)
    assert {one.resource for one in found} == {RULE}


def test_a_prober_reaches_a_candidates_own_pods_through_every_wall() -> None:
    """By its port in the pod: that is where a Service leads."""
    reach = Reach(Estate(good(REGION), facts(REGION)))
    prober, pods = pod_set(named(PROBER)), pod_set(named(f"{SERVER}-candidate"))
    space = prober.namespace
    sender = Sender(space, {LABEL_NAMESPACE: space}, prober.labels, "")
    ((port, protocol),) = pods.ports["http"]
    assert admits(reach.walls(pods), pods, sender, port, protocol), "into the candidate"
    assert releases(reach.walls(prober), prober, pods, port, protocol), "out of the prober"
    stranger = Sender("elsewhere", {LABEL_NAMESPACE: "elsewhere"}, {}, "")
    assert not admits(reach.walls(pods), pods, stranger, port, protocol), "and it is no open door"
    own = [s.metadata["name"] for s in reach.services(pods)]
    assert "tagger-candidate" in own, "the Service by which it is asked leads there"
