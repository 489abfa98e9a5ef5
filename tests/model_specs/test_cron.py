"""A schedule is read as its controllers read it, and one that never comes is told."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from model_specs.cron import check_cron, parse_cron
from model_specs.errors import SpecErrors
from model_specs.field_types import Zone
from tests.examples import a_model
from tests.model_specs.schedules import REFUSED, TAKEN


@pytest.mark.parametrize("text", TAKEN)
def test_what_controllers_take_is_taken(text: str) -> None:
    assert check_cron(text) == text, "as it was written"


@pytest.mark.parametrize("text", REFUSED)
def test_what_controllers_refuse_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        check_cron(text)
    assert refused.value.type == "E305"
    assert REFUSED[text] in str(refused.value), "the field, what was got and what to write"


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 4,6,9,11 *"])
def test_a_day_that_no_year_has_is_refused(text: str) -> None:
    with pytest.raises(PydanticCustomError, match="no year has such a day"):
        check_cron(text)


def test_a_step_without_an_end_goes_on_to_the_fields_end() -> None:
    assert sorted(parse_cron("5/20 * * * *").minutes) == [5, 25, 45]
    assert parse_cron("*/90 * * * *").minutes == frozenset({0}), "the first alone is within an hour"


def test_two_bound_day_fields_are_either_or() -> None:
    first_or_monday = parse_cron("0 0 1 * 1")
    assert first_or_monday.strikes_on(date(2026, 6, 8)), "a Monday"
    assert first_or_monday.strikes_on(date(2026, 7, 1)), "a first, on a Wednesday"
    stepped = parse_cron("0 0 */2 * 1")
    assert stepped.strikes_on(date(2026, 6, 3)), "a star with a step is bound too"
    starred = parse_cron("0 0 1 * */01")
    assert not starred.strikes_on(date(2026, 6, 8)), "a star leaves the other field to decide"


def test_names_are_numbers_in_any_case() -> None:
    assert parse_cron("0 0 * Feb SUN").months == frozenset({2})
    assert parse_cron("0 0 * Feb SUN").weekdays == frozenset({0})


@pytest.mark.parametrize("name", ["Asia/Seoul", "UTC", "US/Pacific"])
def test_a_zone_of_the_tz_database_is_taken(name: str) -> None:
    assert TypeAdapter(Zone).validate_python(name) == name


@pytest.mark.parametrize("name", ["Local", "localtime", "asia/seoul", "UTC+9", "KST", ""])
def test_a_zone_that_a_controller_may_not_have_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="no time zone of the tz database"):
        TypeAdapter(Zone).validate_python(name)


@pytest.mark.parametrize("end", ["0 8 * * *", "00 08 * * *", "0 8 */1 ? 0-6"])
def test_a_window_that_closes_as_it_opens_is_refused(end: str) -> None:
    with pytest.raises(SpecErrors, match="a window that closes as it opens is none"):
        a_model(
            scaling={"schedules": [{"start": "0 8 * * *", "end": end, "replicas": 1}], "max": 2}
        )
