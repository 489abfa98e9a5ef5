"""The judge fails closed, knows exceptions, and points at the line to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest

from model_specs.source import Source
from policies.facts import Facts
from policies.judge import Verdict, judge
from policies.resources import Resource, Unknown
from policies.rule import ADVISORY, MANDATORY, Estate, Fault, Rule, each, whole
from policies.waivers import Waiver, Waivers
from tests.policies.estate import NO_WAIVERS, TODAY, facts, named

GOOD = "Deployment search/embedder"


@each("P02", "too-slow", "Deployment")
def too_slow(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Every Deployment is too slow."""
    yield Fault(resource, "is too slow", "raise scaling.min", "scaling.min")


@each("P02", "breaks", "Deployment")
def breaks(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A rule with a mistake in it."""
    yield Fault(resource, "is one thing", "mend it", "image")
    raise KeyError("spec")


@whole("P20", "breaks-whole")
def breaks_whole(estate: Estate) -> Iterator[Fault]:
    """A rule about everything with a mistake in it."""
    raise ZeroDivisionError
    yield


@each("P02", "reads-image", "Deployment")
def reads_image(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Reads a value."""
    if resource.values["image"] != "good":
        yield Fault(resource, "is bad", "change it", "image")


def verdict(rule: Rule, waivers: Waivers = NO_WAIVERS) -> Verdict:
    return judge([named(GOOD)], facts(), (rule,), waivers)


def a_waiver(**changes: object) -> Waiver:
    row = {
        "rule": "too-slow",
        "resource": GOOD,
        "owner": "search-leads",
        "reason": "the new node type comes in January",
        "expires": TODAY + timedelta(days=30),
    }
    return Waiver.model_validate({**row, **changes})


def waivers_of(*rows: Waiver) -> Waivers:
    return Waivers(Source("policies/waivers.yaml"), rows)


def test_a_finding_names_the_line_that_would_mend_it() -> None:
    (finding,) = verdict(too_slow).findings
    assert str(finding).startswith("model_specs/search/embedder.yaml:2:1  scaling.min  P02  "), (
        "scaling is not written in this spec, so its first line is named"
    )
    assert str(finding).endswith(f"too-slow: {GOOD} is too slow; raise scaling.min")


def test_a_rule_is_not_asked_about_other_kinds() -> None:
    assert not judge([named("Namespace search")], facts(), (too_slow,), NO_WAIVERS).findings


def test_a_rule_that_fails_is_a_mandatory_finding_beside_what_it_said() -> None:
    said = [finding.place.message for finding in verdict(breaks).findings]
    assert len(said) == 2, "what it found before it failed counts"
    assert any("cannot be judged: the rule failed with KeyError: 'spec'" in text for text in said)


def test_a_rule_about_everything_that_fails_is_a_mandatory_finding() -> None:
    (finding,) = verdict(breaks_whole).findings
    assert finding.level == MANDATORY
    assert "ZeroDivisionError" in finding.place.message


def test_an_advisory_rule_that_cannot_see_its_value_still_blocks() -> None:
    advice = Rule("P02", "reads", ADVISORY, reads_image.kinds, "", reads_image.judge,
                  reads_image.judge_whole)  # fmt: skip
    unseen = Resource("kubernetes:apps/v1:Deployment", "a", {"image": Unknown("image")}, False, "")
    found = judge([unseen], facts(), (advice,), NO_WAIVERS)
    (finding,) = found.findings
    assert found.blocks, "what cannot be judged has not passed"
    assert "cannot be judged: image is not known" in finding.place.message


def test_an_exception_covers_its_finding_and_stays_visible() -> None:
    found = verdict(too_slow, waivers_of(a_waiver()))
    assert not found.findings
    ((finding, waiver),) = found.waived
    assert (finding.resource, waiver.owner) == (GOOD, "search-leads")


@pytest.mark.parametrize(
    "changes",
    [
        {"resource": "Deployment search/ranker"},
        {"rule": "image-digest"},
        {"expires": TODAY - timedelta(days=1)},
    ],
)
def test_an_exception_covers_nothing_else(changes: dict[str, object]) -> None:
    assert verdict(too_slow, waivers_of(a_waiver(**changes))).blocks


def test_the_last_day_of_an_exception_counts() -> None:
    assert not verdict(too_slow, waivers_of(a_waiver(expires=TODAY))).blocks


def test_findings_come_in_the_order_of_their_places() -> None:
    several = [named("Deployment vision/tagger"), named(GOOD)]
    found = judge(several, facts(), (too_slow,), NO_WAIVERS).findings
    assert [f.place.file for f in found] == sorted(f.place.file for f in found)


def test_a_date_is_no_part_of_the_verdict_but_through_rules() -> None:
    later = replace(facts(), today=date(2030, 1, 1))
    assert judge([named(GOOD)], later, (too_slow,), NO_WAIVERS) == verdict(too_slow)
