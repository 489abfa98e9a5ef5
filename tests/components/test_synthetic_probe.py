from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.kube import namespace_named
from components.model_network import LABEL_VERSION
from components.synthetic_probe.objects import SCRAPE_SECONDS, TOKEN_PATH, objects
from components.synthetic_probe.rules import monitor, rule_groups, rules
from model_specs.names import LABEL_MODEL, LABEL_PROJECT, LABEL_ROLE
from tests.builders import (
    a_probe,
    a_prober,
    a_public_access,
    a_region_plan,
    a_scaler,
    a_server,
    a_track,
    a_workload,
    an_slo,
)
from tests.promtool import STEP_SECONDS, check_alerts, check_rules, timeline

HOUR = 3600
MINUTE = 60
GRAFANA = "https://grafana.example.com"
SUCCESS = 'probe_success{project="search",model="sentiment",pod="prober-0"}'
IN_A_ROW = 'probe_failures_in_a_row{project="search",model="sentiment",pod="prober-0"}'
DURATION = 'probe_duration_seconds{project="search",model="sentiment",pod="prober-0"}'
FINISHED = 'probe_last_timestamp_seconds{project="search",model="sentiment",pod="prober-0"}'
WANTED = 'kube_deployment_spec_replicas{namespace="search",deployment="sentiment"}'
FAILING, ABSENT = "ModelProbeFailing/page", "ModelProbeAbsent/page"
BURN_PAGE, BURN_TICKET = "ModelBudgetBurning/page", "ModelBudgetBurning/ticket"
SLOW = "ModelProbeSlow/ticket"
REFUSED_PAGE, REFUSED_TICKET = "ModelRequestsFailing/page", "ModelRequestsFailing/ticket"
IN_ROW = {"1": "0", "0": "2"}
BARE = a_region_plan(capabilities=())
UNWRITTEN = a_probe(method="GET", body={}, written=False)


def of_kind(kind: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    return next(o for o in found if o["kind"] == kind)


def render(**over: Any) -> list[dict[str, Any]]:
    plan = a_region_plan(servers=(a_server(**over),))
    return objects(plan.probers[0], plan.servers, plan)


def pod_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = of_kind("Deployment", found)["spec"]["template"]["spec"]
    return spec


def template_annotations(found: list[dict[str, Any]]) -> dict[str, str]:
    template = of_kind("Deployment", found)["spec"]["template"]
    annotations: dict[str, str] = template["metadata"]["annotations"]
    return annotations


# -- the prober ------------------------------------------------------------------------------


def test_every_object_of_a_prober_says_whose_it_is() -> None:
    for found in render():
        labels = found["metadata"]["labels"]
        assert labels[LABEL_PROJECT] == "search", f"{found['kind']} belongs to nobody"
        assert labels[LABEL_ROLE] == "prober", f"{found['kind']} is taken for a model's"
        assert found["metadata"]["namespace"] == "search", "a prober lives with its project"


def test_prober_asks_the_models_it_names_and_no_others() -> None:
    other = a_server(workload=a_workload(id="ads/rank", project="ads", model="rank"))
    plan = a_region_plan(servers=(a_server(), other))
    config = of_kind("ConfigMap", objects(plan.probers[0], plan.servers, plan))
    asked = json.loads(config["data"]["config.json"])["probes"]
    assert [row["id"] for row in asked] == ["search/sentiment"], "another project's model"
    assert asked[0]["body"] == plan.servers[0].probe.body, "the request is the spec's own"


def test_changed_config_restarts_the_prober() -> None:
    before, after = render(), render(probe=a_probe(interval_seconds=60))
    key = "isoserve.dev/config-sha256"
    assert template_annotations(before)[key] != template_annotations(after)[key], (
        "the program reads its config once, so an unchanged pod would keep the old one"
    )


def test_prober_holds_a_token_only_where_a_model_asks_for_one() -> None:
    private = pod_of(render())
    assert [v["name"] for v in private["volumes"]] == ["config"], "a token nobody needs"
    probe = a_probe(url="https://sentiment--search.models.example.com/", needs_token=True)
    public = pod_of(render(access=a_public_access(), probe=probe))
    token = public["volumes"][1]["projected"]["sources"][0]["serviceAccountToken"]
    assert token["audience"] == "isoserve", "the route takes tokens of its own audience only"
    mounts = {m["name"]: m["mountPath"] for m in public["containers"][0]["volumeMounts"]}
    assert f"{mounts['token']}/{token['path']}" == TOKEN_PATH, "the config names this file"


def test_prober_runs_under_the_restricted_standard() -> None:
    pod = pod_of(render())
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False, "the prober never calls the API"
    assert pod["securityContext"]["runAsNonRoot"] is True, "Pod Security restricted"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True, "it writes nothing"
    resources = container["resources"]
    assert resources["requests"] == resources["limits"], "a squeezed prober cries wolf"
    assert "nvidia.com/gpu" not in resources["limits"], "GPUs are for models"
    asked = {
        probe: container[probe]["httpGet"]["path"]
        for probe in ("livenessProbe", "readinessProbe", "startupProbe")
    }
    assert asked == {
        "livenessProbe": "/healthz",
        "readinessProbe": "/metrics",
        "startupProbe": "/healthz",
    }, "ready is what can be read; only a loop that stands still is worth a restart"


@pytest.mark.parametrize(
    ("access", "outside"),
    [({}, []), ({"access": a_public_access()}, [443])],
    ids=["private", "public"],
)
def test_prober_leaves_the_cluster_only_for_models_with_a_route(
    access: dict[str, Any], outside: list[int]
) -> None:
    probe = a_probe(url="https://sentiment--search.models.example.com/")
    policy = of_kind("NetworkPolicy", render(probe=probe, **access))["spec"]
    blocks = [rule for rule in policy["egress"] if "ipBlock" in rule["to"][0]]
    assert [rule["ports"][0]["port"] for rule in blocks] == outside, "egress beyond the probes"
    for rule in blocks:
        block = rule["to"][0]["ipBlock"]
        assert block["except"] == [
            "100.100.100.200/32", "168.63.129.16/32", "169.254.0.0/16", "192.0.0.192/32"
        ], "Alibaba's, Azure's, most clouds' and Oracle's credentials"  # fmt: skip
    assert policy["policyTypes"] == ["Egress", "Ingress"], "an unnamed direction is open"
    (ingress,) = policy["ingress"]
    assert ingress["ports"] == [{"port": 9090, "protocol": "TCP"}], "only metrics are read from it"
    assert ingress["from"] == [namespace_named("monitoring")], "and only by who scrapes"


def test_no_object_of_a_kind_that_the_region_lacks() -> None:
    server = BARE.servers[0]
    found = [
        *objects(a_prober(), BARE.servers, BARE),
        *rules(server, BARE),
        *monitor(server, BARE),
    ]
    kinds = {o["apiVersion"] for o in found}
    assert "monitoring.coreos.com/v1" not in kinds, "the API server would refuse the kind"
    scraped = template_annotations(found)
    assert scraped["prometheus.io/scrape"] == "true", "else nobody finds the prober"


def test_operator_scrapes_the_prober_and_the_model() -> None:
    plan, server = a_region_plan(), a_server()
    (endpoint,) = of_kind("PodMonitor", render())["spec"]["podMetricsEndpoints"]
    assert endpoint["interval"] == f"{SCRAPE_SECONDS}s", "the two-interval promise counts on it"
    (found,) = monitor(server, plan)
    assert found["spec"]["selector"]["matchLabels"] == {
        LABEL_MODEL: "sentiment",
        LABEL_PROJECT: "search",
        LABEL_VERSION: "stable",
    }, "it must select this version's pods and no others"
    assert found["spec"]["podMetricsEndpoints"][0]["path"] == "/metrics", "the runtime's path"


# -- the rules -------------------------------------------------------------------------------


def test_rules_are_the_same_with_and_without_the_operator(tmp_path: Path) -> None:
    server = a_server()
    (operated,) = rules(server, a_region_plan())
    (plain,) = rules(server, BARE)
    text = plain["data"]["search-sentiment.rules.yaml"]
    assert json.loads(text) == operated["spec"], "a region must not be judged by other rules"
    check_rules(tmp_path, text)


def test_every_alert_says_who_is_called_and_where_to_look() -> None:
    for group in rule_groups(a_server(), GRAFANA):
        for rule in group["rules"]:
            if "alert" not in rule:
                continue
            assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
            assert rule["labels"]["project"] == "search", "alerts are routed by project"
            assert rule["annotations"]["dashboard_url"].startswith(f"{GRAFANA}/d/"), rule["alert"]
            assert rule["annotations"]["runbook_url"], f"{rule['alert']} has no runbook"


def healthy(seconds: int, step: int = STEP_SECONDS) -> dict[str, str]:
    """A prober at work for `seconds`: its samples, without those of success."""
    steps = seconds // step - 1
    return {DURATION: f"0.2+0x{steps}", FINISHED: f"0+{step}x{steps}"}


def check(
    directory: Path,
    spans: list[tuple[str, int]],
    expected: dict[int, list[str]],
    more: dict[str, str] | None = None,
    step: int = STEP_SECONDS,
    **over: Any,
) -> None:
    """With the probe's successes in `spans`, exactly the `expected` alerts fire at each second.

    What fails, fails again when it is asked again, unless `more` says otherwise.
    """
    length = sum(seconds for _, seconds in spans)
    rows = timeline(*((IN_ROW[value], seconds) for value, seconds in spans), step=step)
    series = {SUCCESS: timeline(*spans, step=step), IN_A_ROW: rows, **(more or {})}
    series = {**healthy(length, step), **series}
    check_alerts(directory, rule_groups(a_server(**over), GRAFANA), series, expected, step)


def test_healthy_model_calls_nobody(tmp_path: Path) -> None:
    quiet: dict[int, list[str]] = {second: [] for second in range(0, 3 * HOUR, 5 * MINUTE)}
    check(tmp_path, [("1", 3 * HOUR)], quiet, step=15)


def test_second_wrong_answer_pages_at_once_and_a_right_one_resolves(tmp_path: Path) -> None:
    begin, last = 30 * MINUTE, 33 * MINUTE
    check(
        tmp_path,
        [("1", begin), ("0", last - begin), ("1", 10 * MINUTE)],
        {begin + 5: [], begin + 10: [FAILING], last - 5: [FAILING], last: []},
        {IN_A_ROW: timeline(("0", begin), ("1", 10), ("2", last - begin - 10), ("0", 10 * MINUTE))},
    )


@pytest.mark.parametrize("seconds", [30, 40], ids=["next-is-fast", "next-takes-its-limit"])
def test_one_failed_probe_calls_nobody(tmp_path: Path, seconds: int) -> None:
    begin = 30 * MINUTE
    quiet: dict[int, list[str]] = {begin + after: [] for after in range(0, 5 * MINUTE, 5)}
    mended = {IN_A_ROW: timeline(("0", begin), ("1", 10), ("0", seconds - 10), ("0", 10 * MINUTE))}
    check(tmp_path, [("1", begin), ("0", seconds), ("1", 10 * MINUTE)], quiet, mended)


def test_starting_model_calls_nobody_until_its_start_is_overdue(tmp_path: Path) -> None:
    overdue = a_track().startup.gate_timeout_seconds
    check(
        tmp_path,
        [("0", overdue + 5 * MINUTE)],
        {MINUTE: [], overdue - 5: [], overdue + MINUTE: [FAILING]},
    )


def test_start_that_took_long_is_no_loss_of_budget(tmp_path: Path) -> None:
    start = 12 * MINUTE
    quiet: dict[int, list[str]] = {start + after: [] for after in range(0, 2 * HOUR, MINUTE)}
    check(tmp_path, [("0", start), ("1", 3 * HOUR)], quiet, step=15)


def test_outage_burns_the_budget_within_minutes_and_resolves(tmp_path: Path) -> None:
    begin, last = 2 * HOUR, 2 * HOUR + 10 * MINUTE
    check(
        tmp_path,
        [("1", begin), ("0", last - begin), ("1", 10 * MINUTE)],
        {
            begin + 4 * MINUTE: [FAILING],
            begin + 6 * MINUTE: [FAILING, BURN_PAGE],
            last + 6 * MINUTE: [],
        },
    )


@pytest.mark.parametrize("availability", [0.9, 0.995, 0.999, 0.9999])
def test_one_bad_minute_burns_no_budget(tmp_path: Path, availability: float) -> None:
    # A minute of failure shows until the next probe's answer: up to 60 + 30 seconds.
    begin, shown = 7 * HOUR, 90
    quiet: dict[int, list[str]] = {begin + after: [] for after in range(shown + 30, HOUR, MINUTE)}
    spans = [("1", begin), ("0", shown), ("1", HOUR)]
    check(tmp_path, spans, quiet, step=30, slo=an_slo(availability=availability))


def test_rare_probe_that_failed_once_calls_nobody(tmp_path: Path) -> None:
    hourly = a_probe(interval_seconds=HOUR)
    begin = 7 * HOUR
    quiet: dict[int, list[str]] = {begin + after: [] for after in range(0, 2 * HOUR, 5 * MINUTE)}
    mended = {IN_A_ROW: timeline(("0", begin), ("1", MINUTE), ("0", 2 * HOUR - MINUTE), step=60)}
    spans = [("1", begin), ("0", HOUR), ("1", HOUR)]
    check(tmp_path, spans, quiet, mended, step=60, probe=hourly)


@pytest.mark.parametrize(
    ("history_hours", "period", "hours", "called"),
    [(7, 20, 5, BURN_PAGE), (48, 50, 21, BURN_TICKET), (48, 100, 45, BURN_TICKET)],
    ids=["6x-6h", "3x-1d", "1x-3d"],
)
def test_each_slower_loss_has_its_alert(
    tmp_path: Path, history_hours: int, period: int, hours: int, called: str
) -> None:
    # One sample of `period` fails, so no faster row burns and no slower one has its history.
    step = 2 * MINUTE
    cycles = hours * HOUR // step // period
    begin, length = history_hours * HOUR, history_hours * HOUR + cycles * period * step
    values = " ".join([f"1+0x{begin // step - 1}", *[f"1+0x{period - 2} 0"] * cycles])
    series = {SUCCESS: values, FINISHED: f"0+{step}x{length // step}"}
    groups = rule_groups(a_server(), GRAFANA)
    check_alerts(tmp_path, groups, series, {begin: [], length - step: [called]}, step)


@pytest.mark.parametrize(
    ("success", "finished"),
    [
        ([("1", 1800), ("stale", 5), ("_", 1200)], "0+5x359 stale"),
        ([("1", 3000)], "0+5x359 1795+0x300"),
    ],
    ids=["gone", "stands-still"],
)
def test_silent_prober_pages(tmp_path: Path, success: list[tuple[str, int]], finished: str) -> None:
    values = timeline(*success).replace("stale+0x0", "stale")
    series = {SUCCESS: values, FINISHED: finished}
    expected = {1800: [], 1800 + 4 * MINUTE: [], 1800 + 8 * MINUTE: [ABSENT]}
    check_alerts(tmp_path, rule_groups(a_server(), GRAFANA), series, expected)


def test_slow_answers_are_a_ticket(tmp_path: Path) -> None:
    slow = {DURATION: timeline(("0.2", 1800), ("6", 3600))}
    expected = {1800: [], 1800 + 10 * MINUTE: [], 1800 + 35 * MINUTE: [SLOW]}
    check(tmp_path, [("1", 5400)], expected, slow)


def answers(rule: int, code: int) -> str:
    """The series in which an Envoy counts the answers of one rule of the model's route."""
    labels = f'envoy_cluster_name="httproute/search/sentiment/rule/{rule}"'
    return f'envoy_cluster_upstream_rq_xx{{{labels},envoy_response_code_class="{code}"}}'


def test_errors_that_callers_meet_call_people_while_the_probe_is_right(tmp_path: Path) -> None:
    step, spans = 15, [("1", 2 * HOUR)]
    # Five right answers a second, and from the second hour on as many wrong ones.
    met = {answers(1, 2): "0+75x479", answers(1, 5): "0+0x240 75+75x238"}
    expected = {HOUR + 30: [], HOUR + 3 * MINUTE: [REFUSED_TICKET],
                HOUR + 40 * MINUTE: [REFUSED_PAGE, REFUSED_TICKET]}  # fmt: skip
    check(tmp_path, spans, expected, met, step, access=a_public_access())


@pytest.mark.parametrize(
    "met",
    [
        {answers(0, 2): "0+1x479", answers(0, 5): "0+75x479"},
        {answers(1, 2): "0+1x479", answers(1, 5): "0+0x440 1 2 3+0x36"},
        {answers(1, 2): "0+1x479", answers(1, 4): "0+75x479"},
    ],
    ids=["the prober's own", "three of few", "the callers' own faults"],
)
def test_what_no_caller_met_or_only_some_did_calls_nobody(
    tmp_path: Path, met: dict[str, str]
) -> None:
    quiet: dict[int, list[str]] = {second: [] for second in range(HOUR, 2 * HOUR, 5 * MINUTE)}
    check(tmp_path, [("1", 2 * HOUR)], quiet, met, 15, access=a_public_access())


def test_nobody_is_called_for_a_gateway_that_leads_to_no_model_of_it() -> None:
    names = {group["name"] for group in rule_groups(a_server(), GRAFANA)}
    assert "search-sentiment-gateway" not in names, "private"


def test_model_that_times_out_fails_and_is_not_slow_too(tmp_path: Path) -> None:
    slow = {DURATION: timeline(("0.2", 1800), ("6", 2400))}
    down = [BURN_PAGE, FAILING]
    check(tmp_path, [("1", 1800), ("0", 2400)], {1740: [], 1800 + 35 * MINUTE: down}, slow)


def test_model_asleep_at_zero_calls_nobody_and_a_wedged_one_does(tmp_path: Path) -> None:
    to_zero = (a_track(scaler=a_scaler(min=0)),)
    awake = 30 * MINUTE
    wanted = {WANTED: timeline(("1", awake), ("0", HOUR))}
    spans = [("1", awake), ("0", HOUR)]
    quiet: dict[int, list[str]] = {awake + a: [] for a in range(MINUTE, HOUR, MINUTE)}
    check(tmp_path, spans, quiet, wanted, tracks=to_zero)
    wedged = {WANTED: timeline(("1", awake + HOUR))}
    check(tmp_path, spans, {awake + MINUTE: [FAILING]}, wedged, tracks=to_zero)


def test_prober_that_moves_to_another_pod_calls_nobody(tmp_path: Path) -> None:
    second = SUCCESS.replace("prober-0", "prober-1")
    begin = HOUR
    more = {second: timeline(("_", begin + 30), ("1", HOUR))}
    spans = [("1", begin), ("stale", 5), ("_", HOUR + 25)]
    length = 2 * HOUR + 30
    series = {**healthy(length), SUCCESS: timeline(*spans).replace("stale+0x0", "stale"), **more}
    quiet: dict[int, list[str]] = {begin + a: [] for a in range(0, HOUR, MINUTE)}
    check_alerts(tmp_path, rule_groups(a_server(), GRAFANA), series, quiet)


def test_page_goes_on_while_the_prober_moves_and_nobody_answers_rightly(tmp_path: Path) -> None:
    second = {s: s.replace("prober-0", "prober-1") for s in (SUCCESS, IN_A_ROW)}
    begin, moved = 30 * MINUTE, 31 * MINUTE
    found = {
        SUCCESS: timeline(("1", begin), ("0", 10 * MINUTE)),
        IN_A_ROW: timeline(("0", begin), ("3", 10 * MINUTE)),
        second[SUCCESS]: timeline(("_", moved), ("0", MINUTE), ("1", 8 * MINUTE)),
        second[IN_A_ROW]: timeline(("_", moved), ("1", MINUTE), ("0", 8 * MINUTE)),
    }
    expected = {moved - 5: [FAILING], moved: [FAILING], moved + 30: [FAILING], moved + MINUTE: []}
    series = {**healthy(40 * MINUTE), **found}
    check_alerts(tmp_path, rule_groups(a_server(), GRAFANA), series, expected)


def test_rules_of_two_models_do_not_meet() -> None:
    other = a_server(workload=replace(a_workload(), id="search/rank", model="rank"))
    names = [g["name"] for s in (a_server(), other) for g in rule_groups(s, GRAFANA)]
    assert len(set(names)) == len(names), "Prometheus refuses two groups of one name in a file"


def test_nobody_is_paged_by_a_request_that_nobody_wrote() -> None:
    written, unwritten = (
        {
            (rule["alert"], rule["labels"].get("window"), rule["labels"]["severity"])
            for group in rule_groups(a_server(probe=probe), GRAFANA)
            for rule in group["rules"]
            if "alert" in rule
        }
        for probe in (a_probe(), UNWRITTEN)
    )
    assert {severity for _, _, severity in unwritten} == {"ticket"}, (
        "the request may be wrong where the model is right"
    )
    assert {row[:2] for row in unwritten} == {row[:2] for row in written}, "all else is told alike"
    assert "page" in {severity for _, _, severity in written}, "a written request wakes people"


@pytest.mark.parametrize(
    ("interruptions", "pages"),
    [
        (("",), True),
        (("preemptible",), False),
        (("spot",), False),
        (("", "spot"), True),
        (("preemptible", "preemptible"), False),
    ],
)
def test_nobody_is_paged_for_pods_that_others_may_take(
    interruptions: tuple[str, ...], pages: bool
) -> None:
    server = a_server(tracks=tuple(a_track(interruption=one) for one in interruptions))
    alerts = [r for g in rule_groups(server, GRAFANA) for r in g["rules"] if "alert" in r]
    severities = {alert["labels"]["severity"] for alert in alerts}
    assert severities == ({"page", "ticket"} if pages else {"ticket"}), (
        "a base on demand that does not answer is broken; what was preempted is not"
    )


def test_a_prober_is_told_how_to_ask() -> None:
    config = json.loads(of_kind("ConfigMap", render(probe=UNWRITTEN))["data"]["config.json"])
    (row,) = config["probes"]
    assert (row["method"], row["body"]) == ("GET", {})


def test_a_gateway_with_a_certificate_of_ones_own_is_trusted_by_the_named_authorities() -> None:
    server = a_server(access=a_public_access(), probe=a_probe(needs_token=True))
    plan = a_region_plan(servers=(server,))
    pod = pod_of(objects(a_prober(tls_ca="company-ca"), plan.servers, plan))
    (container,) = pod["containers"]
    (volume,) = (one for one in pod["volumes"] if one["name"] == "tls-ca")
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "tls-ca")
    assert volume["configMap"] == {"name": "company-ca"}
    assert container["env"] == [{"name": "SSL_CERT_FILE", "value": f"{mount['mountPath']}/ca.crt"}]


def test_who_asks_no_gateway_by_tls_is_given_no_authorities() -> None:
    plan = a_region_plan(servers=(a_server(),))
    pod = pod_of(objects(a_prober(tls_ca="company-ca"), plan.servers, plan))
    assert [one["name"] for one in pod["volumes"]] == ["config"]
    assert "env" not in pod["containers"][0]
