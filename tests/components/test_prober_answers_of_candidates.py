"""A candidate is asked by itself, and proven only by right answers in a row of its own version."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import ValidationError

from components.kube_client import ApiError
from components.model_network import services
from components.synthetic_probe.answer_lines import Tally, tallies
from components.synthetic_probe.answers import (
    Candidate,
    asked,
    candidates,
    unproven,
)
from components.synthetic_probe.exposition import Exposition
from components.synthetic_probe.objects import probe_config
from components.synthetic_probe.prober import Report
from components.synthetic_probe.rules import rule_groups
from components.synthetic_probe.verdict import Reason, Result
from model_specs.load import Model
from model_specs.schema import ModelSpec
from regions.model_plan import ServerPlan
from tests.builders import a_server
from tests.examples import a_model, address, planned
from tests.loopback import a_row
from tests.promtool import check_alerts, timeline

NEXT = {"model": address("search", "sentiment", 9)}
REQUEST = {"path": "/v1/completions", "body": {"prompt": "ping"}}
ONE = Candidate(
    id="search/sentiment candidate",
    namespace="search",
    version="v9",
    right_answers=3,
    timeout_seconds=120,
)
PODS = "/api/v1/namespaces/search/pods"
RIGHT = Result(seconds=0.1, reason=None, detail="", pace=None)
WRONG = Result(seconds=0.1, reason=Reason.STATUS, detail="why", pace=None)
every_strategy = pytest.mark.parametrize("strategy", ["canary", "blue_green", "shadow"])


def the_server(model: Model) -> ServerPlan:
    (server,) = planned(model).servers
    return server


def with_candidate(
    strategy: str, probe: dict[str, Any] | None = None, **rollout: Any
) -> ServerPlan:
    rollout = {"strategy": strategy, "candidate": NEXT, **rollout}
    asks = {"request": REQUEST} if probe is None else probe
    return the_server(a_model(access="public", rollout=rollout, probe=asks))


def rows(server: ServerPlan) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(probe_config("search", [server]))["probes"]
    return found


class Api:
    """An API server with a prober's pods, each with the log that it is given."""

    def __init__(self, **logs: str) -> None:
        self.logs = logs

    def read(self, path: str) -> str:
        where, _, query = path.partition("?")
        if where == PODS:
            assert unquote(query) == "labelSelector=isoserve.dev/role=prober"
            return json.dumps(
                {
                    "items": [
                        {"metadata": {"name": n, "uid": f"uid-{n}"}, "status": {"phase": "Running"}}
                        for n in self.logs
                    ]
                }
            )
        return self.logs[where.removeprefix(f"{PODS}/").removesuffix("/log")]


def log(right: int, asked: int, version: str = "v9") -> str:
    """What a prober that has asked so often and got so many right ones wrote last."""
    line = Tally(asked=asked, right_in_a_row=right).line(ONE.id, version)
    return f"2026-11-28 16:00:00,000 INFO search/other ok\n2026-11-28 16:00:01,000 INFO {line}\n"


@every_strategy
def test_a_candidate_is_asked_what_the_spec_wrote_at_its_own_service(strategy: str) -> None:
    server = with_candidate(strategy)
    users, own = rows(server)
    assert users["track"] == "", "the user's way stays as it was"
    assert own["url"] == "http://sentiment-candidate.search.svc/v1/completions"
    assert own["track"] == "candidate"
    assert own["token_path"] == "", "a Service asks for no token, and none is shown to it"
    same = ("body", "method", "status", "json_path", "matches", "length", "latency_seconds")
    assert all(own[key] == users[key] for key in same), "it is judged as it will be by users"
    names = {made["metadata"]["name"]: made["spec"]["selector"] for made in services(server)}
    assert names["sentiment-candidate"]["isoserve.dev/version"] == "candidate"


def test_nothing_that_nobody_wrote_is_asked_of_a_candidate() -> None:
    server = with_candidate("canary", probe={})
    assert len(rows(server)) == 1, "its readiness the gate looks at already"
    assert candidates([server]) == []


def test_a_rare_probe_asks_a_candidate_often_enough_to_be_waited_for() -> None:
    rare = {"request": REQUEST, "interval_seconds": 3600}
    server = with_candidate("canary", probe=rare, right_answers=4)
    users, own = rows(server)
    assert (users["interval_seconds"], own["interval_seconds"]) == (3600, 15)
    (one,) = candidates([server])
    assert one.right_answers == 4
    assert one.timeout_seconds == 60 + 5 * 15, "and the gate knows how long it may take"


def test_another_candidate_is_another_version_and_asks_anew() -> None:
    found = {
        candidates([with_candidate("canary", candidate=changed)])[0].version
        for changed in (NEXT, {**NEXT, "args": ["--seed", "1"]}, {"image": "triton"})
    }
    assert len(found) == 3, "what the one answered says nothing of the next"
    shares = {
        candidates([with_candidate("canary", steps=[10, 100], step=step)])[0].version
        for step in (0, 1)
    }
    assert len(shares) == 1, "a step changes no candidate"


def test_a_candidate_is_proven_by_right_answers_in_a_row_since_its_pods_are_ready() -> None:
    api = Api(prober=log(right=2, asked=2))
    before = asked([ONE], api.read)
    (fault,) = unproven([ONE], api.read, before)
    assert "0 right answers in a row of 3" in fault, "those were its predecessor's pods"
    for right, times, proven in ((4, 4, False), (5, 5, True), (0, 6, False), (2, 8, False)):
        api.logs["prober"] = log(right=right, asked=times)
        assert (unproven([ONE], api.read, before) == []) == proven, (right, times)
    assert "2 right answers in a row of 3, asked 6 times" in unproven([ONE], api.read, before)[0]


def test_answers_of_another_version_prove_nothing() -> None:
    api = Api(prober=log(right=9, asked=9, version="v8"))
    assert unproven([ONE], api.read, {}), "the prober has not heard of this one yet"
    api.logs["prober"] += log(right=3, asked=3)
    assert unproven([ONE], api.read, {}) == []


def test_a_prober_that_moves_starts_its_own_count() -> None:
    api = Api(prober=log(right=2, asked=2))
    before = asked([ONE], api.read)
    api.logs = {"next": log(right=2, asked=2)}
    assert unproven([ONE], api.read, before), "two and two of two probers are no four in a row"
    api.logs = {"next": log(right=3, asked=3)}
    assert unproven([ONE], api.read, before) == []


def test_without_an_answer_and_without_a_log_nobody_is_proven() -> None:
    assert "0 right answers" in unproven([ONE], Api(prober="").read, {})[0]
    assert "0 right answers" in unproven([ONE], Api().read, {})[0]

    def refuses(path: str) -> str:
        raise ApiError("403 Forbidden", passes=False)

    (fault,) = unproven([ONE], refuses, {})
    assert fault == f"{ONE.id}: its answers cannot be read: 403 Forbidden"
    assert unproven([], refuses, {}) == [], "who has no candidate asks nothing"


def test_the_prober_tells_each_answer_of_a_candidate(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "prober")
    report = Report(Exposition("search"))
    row = a_row(id=ONE.id, track="candidate", version="v9")
    for result in (RIGHT, RIGHT, WRONG, RIGHT):
        report(row, result, again=False)
        report(a_row(), result, again=False)
    assert tallies(caplog.messages) == {(ONE.id, "v9"): Tally(asked=4, right_in_a_row=1)}
    assert sum("answers" in line for line in caplog.messages) == 4, "and of nobody else"


def test_the_series_of_a_candidate_are_its_own() -> None:
    exposition = Exposition("search")
    exposition.record(a_row(), RIGHT, 1.0)
    exposition.record(a_row(id=ONE.id, track="candidate", version="v9"), WRONG, 1.0)
    text = exposition.text().decode()
    labels = 'model="sentiment",project="search"'
    assert f'probe_success{{{labels},track=""}} 1.0' in text
    assert f'probe_success{{{labels},track="candidate"}} 0.0' in text


def test_a_candidate_that_answers_wrongly_is_a_ticket_and_no_page(tmp_path: Path) -> None:
    server = with_candidate("canary")
    start = max(track.startup.gate_timeout_seconds for track in server.tracks)
    own, end = 'project="search",model="sentiment"', start + 3600
    series = {
        f'probe_success{{{own},track=""}}': timeline(("1", end), step=15),
        f'probe_failures_in_a_row{{{own},track=""}}': timeline(("0", end), step=15),
        f'probe_duration_seconds{{{own},track=""}}': timeline(("0.1", end), step=15),
        f'probe_last_timestamp_seconds{{{own},track=""}}': f"0+15x{end // 15}",
        f'probe_success{{{own},track="candidate"}}': timeline(("0", end), step=15),
        f'probe_failures_in_a_row{{{own},track="candidate"}}': timeline(("9", end), step=15),
    }
    expected = {60: [], start + 60: ["ModelCandidateFailing/ticket"]}
    check_alerts(tmp_path, rule_groups(server, "https://g"), series, expected, 15)


def test_a_model_without_a_candidate_has_no_alert_for_one() -> None:
    names = {r.get("alert") for g in rule_groups(a_server(), "https://g") for r in g["rules"]}
    assert "ModelCandidateFailing" not in names


def test_plans_of_other_probes_have_no_candidate() -> None:
    server = a_server()
    assert candidates([server, replace(server, tracks=())]) == []


@pytest.mark.parametrize(
    ("rollout", "probe"),
    [
        ({"right_answers": 5}, {"request": REQUEST}),
        ({"right_answers": 3, "strategy": "blue_green", "candidate": NEXT}, {}),
    ],
    ids=["no candidate", "no request"],
)
def test_a_number_of_answers_that_nobody_counts_is_an_error(
    rollout: dict[str, Any], probe: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match=r"E353|counts a candidate's answers"):
        ModelSpec.model_validate(
            {
                "machine_type": "gpu.l4.1",
                "image": "vllm",
                "model": NEXT["model"],
                "rollout": rollout,
                "probe": probe,
            }
        )
