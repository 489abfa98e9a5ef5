from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.panels import METRICS
from components.service_dashboard import (
    dashboard_uid,
    dashboard_url,
    model_dashboard,
    objects,
    region_dashboard,
)
from components.synthetic_probe.rules import rule_groups
from regions.model_plan import ServerPlan
from tests.builders import (
    a_placement,
    a_region_plan,
    a_scaler,
    a_server,
    a_track,
    a_workload,
    an_slo,
)
from tests.promtool import check_expressions

SLEEPER = a_server(tracks=(a_track(scaler=a_scaler(min=0)),))
_STRING = re.compile(r'"[^"]*"')
_GROUPED = re.compile(r"\b(by|on|without|ignoring|group_left|group_right) ?\([^)]*\)")
_MATCHERS = re.compile(r"\{[^}]*\}|\[[^\]]*\]")
_NAME = re.compile(r"\b[a-zA-Z_][a-zA-Z0-9_:]*\b(?!\s*\()")
_WORDS = {"and", "or", "unless", "offset", "bool", "by", "on", "without", "group_left"}


def content(found: dict[str, Any]) -> str:
    (text,) = found["data"].values()
    assert isinstance(text, str)
    return text


def expressions(text: str) -> list[str]:
    return [t["expr"] for panel in json.loads(text)["panels"] for t in panel["targets"]]


def all_expressions() -> list[str]:
    drawn = [content(model_dashboard(s)) for s in (a_server(), SLEEPER)]
    shown = [e for text in (*drawn, content(region_dashboard())) for e in expressions(text)]
    judged = [
        rule["expr"]
        for server in (a_server(), SLEEPER)
        for group in rule_groups(server, "https://grafana.example.com")
        for rule in group["rules"]
    ]
    return [*shown, *judged]


def metrics_in(expr: str) -> set[str]:
    """The metric names of an expression: what is left when labels and words are taken away."""
    bare = _MATCHERS.sub("", _GROUPED.sub(" ", _STRING.sub('""', expr)))
    durations = re.sub(r"\b[0-9]+[smhd]\b", "", bare)
    return set(_NAME.findall(durations)) - _WORDS


def titles(server: ServerPlan) -> list[str]:
    return [panel["title"] for panel in json.loads(content(model_dashboard(server)))["panels"]]


def test_every_expression_parses(tmp_path: Path) -> None:
    check_expressions(tmp_path, all_expressions())


def test_every_metric_has_an_exporter_that_we_know() -> None:
    used = {name for expr in all_expressions() for name in metrics_in(expr)}
    assert used <= METRICS.keys(), "nobody exports it, so the panel is empty and the alert silent"
    unread = METRICS.keys() - used
    queues = {name for name in unread if METRICS[name].startswith("runtime ")}
    assert unread == queues, "the list holds metrics that nothing reads"


def test_recorded_series_are_those_that_dashboards_show() -> None:
    recorded = {
        rule["record"]
        for group in rule_groups(a_server(), "")
        for rule in group["rules"]
        if "record" in rule
    }
    known = {name for name, who in METRICS.items() if who == "our rules"}
    assert recorded == known, "a panel over a series nobody records stays empty"


def test_model_has_the_same_dashboard_in_every_region() -> None:
    here, there = a_server(), a_server(tracks=(a_track(), a_track(track="spot", name="x-spot")))
    assert content(model_dashboard(here)) == content(model_dashboard(there)), (
        "what a region lacks must not change what a person sees"
    )
    asleep = a_server(tracks=(a_track(scaler=a_scaler(min=0, wake_query="vector(1)")),))
    assert content(model_dashboard(here)) == content(model_dashboard(asleep)), (
        "the guard for scale to zero is in some regions only"
    )


def test_dashboards_hold_no_value_of_a_region() -> None:
    plan = a_region_plan(region="mars-1", grafana_url="https://mars.example", domain="mars.example")
    text = "".join(content(found) for found in objects(plan))
    assert "mars" not in text, "the JSON is the same everywhere; the data source is a variable"
    for panel in json.loads(content(model_dashboard(a_server())))["panels"]:
        assert panel["datasource"]["uid"] == "$datasource", panel["title"]


def test_gpu_panels_are_for_gpu_machines_alone() -> None:
    def shown(resource: str) -> set[str]:
        placement = a_placement(machine_type="cpu.4", gpu_resource=resource)
        return set(titles(a_server(tracks=(a_track(placement=placement),))))

    assert set(titles(a_server())) - shown("") == {"GPU memory", "GPU utilisation"}, (
        "an empty panel makes people look for a fault"
    )
    assert shown("amd.com/gpu") == shown("aws.amazon.com/neuron") == shown(""), (
        "DCGM knows NVIDIA's alone"
    )


def test_panels_have_ids_and_places_of_their_own() -> None:
    for found in (model_dashboard(a_server()), region_dashboard()):
        panels = json.loads(content(found))["panels"]
        places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels}
        assert len(places) == len(panels), "panels lie on each other"
        assert len({p["id"] for p in panels}) == len(panels), "Grafana addresses panels by id"


def test_promise_of_the_spec_is_on_the_dashboard() -> None:
    server = a_server(slo=an_slo(availability=0.999, latency_seconds=2.5))
    exprs = expressions(content(model_dashboard(server)))
    assert "vector(2.5)" in exprs, "latency without its promise says nothing"
    assert any("(1 - 0.999)" in expr for expr in exprs), "the budget is the spec's"


def test_address_of_a_dashboard_is_stable_and_fits_grafana() -> None:
    longest = dashboard_uid("p" * 30, "m" * 30)
    assert len(longest) <= 40, "Grafana refuses longer ones"
    assert dashboard_uid("a-b", "c") != dashboard_uid("a", "b-c"), "two models, one address"
    uid = dashboard_uid("search", "sentiment")
    assert uid == "isoserve-26ea3d449c605640f7e156e7", "people keep links"
    assert json.loads(content(model_dashboard(a_server())))["uid"] == uid, "alerts link to it"
    assert dashboard_url("https://g.example/", uid) == f"https://g.example/d/{uid}"


def test_sidecar_finds_every_dashboard_in_the_namespace_of_its_model() -> None:
    other = replace(a_workload(), id="ads/rank", project="ads", model="rank", namespace="ads")
    plan = a_region_plan(servers=(a_server(), a_server(workload=other)))
    found = objects(plan)
    places = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in found]
    assert places == [
        ("isoserve-system", "isoserve-dashboard"),
        ("search", "sentiment-dashboard"),
        ("ads", "rank-dashboard"),
    ], "a tenant's dashboard stands with the tenant"
    for o in found:
        assert o["metadata"]["labels"]["grafana_dashboard"] == "1", "the sidecar selects on it"


def test_region_without_cluster_rights_has_the_models_dashboards_only() -> None:
    found = objects(a_region_plan(capabilities=()))
    assert [o["metadata"]["namespace"] for o in found] == ["search"], "no isoserve-system there"


@pytest.mark.parametrize("module", ["service_dashboard", "synthetic_probe.rules"])
def test_importing_the_component_loads_no_drawing_library(module: str) -> None:
    code = f"import components.{module}, sys; print('grafana_foundation_sdk' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "False", "most commands draw nothing and would wait 50 ms"
