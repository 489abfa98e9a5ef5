"""The moment of a plan is an input; a duration is read as people write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from model_specs.advice import ttls
from model_specs.moment import VARIABLE, moment, span_of, written
from tests.examples import a_model, a_tree

AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "days"), [("14d", 14), ("12h", 0.5), ("2w", 14), ("1d", 1), ("9999h", 9999 / 24)]
)
def test_hours_days_and_weeks_are_durations(text: str, days: float) -> None:
    assert span_of(text) == timedelta(days=days)


@pytest.mark.parametrize(
    "text", ["", "d", "0d", "14", "14 d", "-1d", "1.5d", "14D", "1m", "10000d"]
)
def test_nothing_else_is_a_duration(text: str) -> None:
    assert span_of(text) is None


def test_an_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2026-01-01T00:00:00Z")
    assert written(moment("2026-11-22T09:00:00+09:00")) == "2026-11-22T00:00:00Z"
    assert written(moment("")) == "2026-01-01T00:00:00Z"


def test_a_wrong_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "noon")
    with pytest.raises(ValueError, match="ISOSERVE_AT is no moment with a time zone, got 'noon'"):
        moment("")


def test_what_is_given_nowhere_is_now_in_whole_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    before = datetime.now(UTC)
    found = moment("")
    assert found.microsecond == 0
    assert found <= datetime.now(UTC)
    assert before - found < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("ttl", "said"),
    [
        ("2026-11-22T00:00:00Z", "passed on 2026-11-22T00:00:00Z"),
        ("2026-11-22T00:00:01Z", "passes on 2026-11-22T00:00:01Z, within 7 days"),
        ("2026-11-29T00:00:00Z", "passes on 2026-11-29T00:00:00Z, within 7 days"),
        ("2026-11-29T00:00:01Z", ""),
    ],
)
def test_a_team_is_told_of_the_end_a_week_before_and_from_then_on(ttl: str, said: str) -> None:
    tree = a_tree(a_model(ttl=ttl)).wanted_at(AT)
    assert [one.message.startswith(said) for one in ttls(tree, AT)] == ([True] if said else [])


def test_a_tree_goes_to_any_moment_and_back() -> None:
    tree = a_tree(a_model(name="a"), a_model(name="b", ttl="2026-11-20T00:00:00Z"))
    later = tree.wanted_at(AT)
    assert [model.name for model in later.models] == ["a"]
    assert [model.name for model in later.expired] == ["b"]
    assert later.wanted_at(AT - timedelta(days=3)) == tree, "the order of models is by id, always"
