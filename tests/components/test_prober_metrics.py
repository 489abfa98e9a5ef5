from __future__ import annotations

import logging
import re

import pytest

from components.synthetic_probe.exposition import Exposition
from components.synthetic_probe.prober import Report
from components.synthetic_probe.verdict import Pace, Reason, Result
from tests.loopback import a_row
from tests.promtool import check_metrics

FAST = Pace(first_token_seconds=0.5, tokens_per_second=20.0)


def result(reason: Reason | None, pace: Pace | None) -> Result:
    return Result(seconds=1.5, reason=reason, detail="why" if reason else "", pace=pace)


def exported(*results: Result) -> dict[str, float]:
    """The series after these results of one model, finished at second 1700000000.25."""
    exposition = Exposition("search")
    for found in results:
        exposition.record(a_row(), found, 1700000000.25)
    text = exposition.text().decode()
    if results:
        check_metrics(text)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    pairs = [line.rsplit(" ", 1) for line in lines]
    return {
        name.replace('model="sentiment",project="search",track=""', ""): float(v)
        for name, v in pairs
    }


def test_no_series_before_the_first_answer() -> None:
    assert exported() == {}, "a 0 would be a failure that nobody saw"


def test_right_stream_has_every_metric_and_no_others() -> None:
    found = exported(result(None, FAST))
    assert {name: v for name, v in found.items() if "reason" not in name} == {
        "probe_attempts_total{}": 1,
        "probe_duration_seconds{}": 1.5,
        "probe_failures_in_a_row{}": 0,
        "probe_first_token_seconds{}": 0.5,
        "probe_last_timestamp_seconds{}": 1700000000.25,
        "probe_success{}": 1,
        "probe_tokens_per_second{}": 20,
    }, "a series more for each model is thousands more in Prometheus"


def test_every_reason_is_a_series_from_the_first_probe_on() -> None:
    found = exported(result(None, None), result(Reason.JSON, None), result(Reason.JSON, None))
    counted = {name: v for name, v in found.items() if "reason" in name}
    own = 'probe_failures_total{{model="sentiment",project="search",reason="{}",track=""}}'
    expected = {own.format(reason): 0.0 for reason in Reason}
    expected[own.format("json")] = 2
    assert counted == expected, "`increase` does not see the step from nothing to 1"


def test_pace_goes_when_its_answer_is_not_the_last() -> None:
    for after in (result(Reason.TIMEOUT, None), result(None, None)):
        found = exported(result(None, FAST), after)
        paced = [name for name in found if re.match("probe_(first|tokens)", name)]
        assert not paced, "it looked fast while it hung"
    only = exported(result(None, Pace(first_token_seconds=0.5, tokens_per_second=None)))
    assert "probe_first_token_seconds{}" in only, "one token has a first"
    assert "probe_tokens_per_second{}" not in only, "and no rate"


def test_failures_in_a_row_are_those_since_the_last_right_answer() -> None:
    wrong, other, right = (
        result(Reason.JSON, None),
        result(Reason.TIMEOUT, None),
        result(None, None),
    )
    name = "probe_failures_in_a_row{}"
    assert exported(wrong)[name] == 1
    assert exported(right, wrong, other)[name] == 2, "whatever was wrong with each"
    assert exported(wrong, other, right)[name] == 0, "one right answer ends the row"
    assert exported(wrong, other, right, wrong)[name] == 1, "and the next is another row"


def test_second_ask_counts_and_is_no_sample_of_the_time_between_turns() -> None:
    exposition = Exposition("search")
    report = Report(exposition)
    report(a_row(), result(Reason.TIMEOUT, None), False)
    before = exposition.text().decode().splitlines()
    report(a_row(), result(None, FAST), True)
    after = exposition.text().decode().splitlines()
    changed = {
        new.replace('{model="sentiment",project="search",track=""}', "")
        for new in after
        if new not in before
    }
    assert changed == {"probe_attempts_total 2.0", "probe_failures_in_a_row 0.0"}, (
        "a model that fails every third turn would lose a third of the budget that it should"
    )


def test_log_has_a_line_for_each_change_and_not_for_each_probe(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "prober")
    report = Report(Exposition("search"))
    reasons = [None, None, Reason.TIMEOUT, Reason.TIMEOUT, Reason.STATUS, None, None]
    for reason in reasons:
        report(a_row(), result(reason, None), False)
    report(a_row(id="search/rank"), result(Reason.STATUS, None), False)
    assert caplog.messages == [
        "search/sentiment ok: 1.500 s",
        "search/sentiment failing: timeout: why",
        "search/sentiment failing: status: why",
        "search/sentiment ok: 1.500 s",
        "search/rank failing: status: why",
    ], "a day of one wedged model is 3000 probes"
