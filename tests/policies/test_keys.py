"""The key of the models is renewed, hard to lose and open to nobody, or is refused."""

from __future__ import annotations

from typing import Final

import pytest

from policies.keys import RULES
from policies.rule import Rule
from tests.examples import REGIONS
from tests.policies.amiss import ALIAS, KEY, amiss, assert_fails_closed, assert_refused
from tests.policies.cases import GONE, Case, failing
from tests.policies.estate import said

BASELINE, PRESENT = RULES

CASES: Final = (
    amiss(BASELINE, KEY, "isEnabled", False, "is switched off"),
    amiss(BASELINE, KEY, "isEnabled", GONE, "is switched off"),
    amiss(BASELINE, KEY, "enableKeyRotation", False, "is never renewed"),
    amiss(BASELINE, KEY, "enableKeyRotation", GONE, "is never renewed"),
    amiss(BASELINE, KEY, "deletionWindowInDays", 7, "can be gone in 7 days"),
    amiss(BASELINE, KEY, "deletionWindowInDays", GONE, "can be gone in None days"),
    amiss(BASELINE, KEY, "bypassPolicyLockoutSafetyCheck", True, "may lock its account out"),
    amiss(BASELINE, KEY, "policy! Statement 0 Principal", "*", "lets in '*'"),
    amiss(BASELINE, KEY, "policy! Statement 0 Principal", {"AWS": ["*"]}, "lets in '*'"),
    amiss(BASELINE, KEY, "policy! Statement 0 Principal", GONE, "without saying whom"),
    amiss(
        BASELINE,
        KEY,
        "policy! Statement 0 Principal AWS",
        "arn:aws:iam::1:root",
        "lets in 'arn:aws",
    ),
    amiss(
        BASELINE,
        KEY,
        "policy! Statement 0 Condition",
        {"Bool": {"a": "b"}},
        "a key that nobody manages",
    ),
    amiss(BASELINE, KEY, "policy! Statement 0 Action", "kms:Decrypt", "a key that nobody manages"),
    amiss(BASELINE, KEY, "policy! Statement 0 Effect", "Deny", "a key that nobody manages"),
    amiss(BASELINE, KEY, "policy! Statement 0 NotAction", "kms:Sign", "NotAction"),
    amiss(BASELINE, KEY, "policy", GONE, "without a statement"),
    amiss(PRESENT, ALIAS, "targetKeyId", GONE, "is of no key"),
)
FAILING: Final = failing(CASES)
LATER: Final = tuple(
    amiss(BASELINE, KEY, field, None, "")
    for field in ("deletionWindowInDays", "enableKeyRotation", "isEnabled", "policy")
)
"""Fields that might be unknown before the first `up`."""


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_key_of_every_region_passes(rule: Rule, region: str) -> None:
    assert said(rule, region=region) == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_field_makes_the_difference(case: Case) -> None:
    assert_refused(case)


@pytest.mark.parametrize("case", LATER, ids=str)
def test_a_key_that_is_not_known_yet_does_not_pass(case: Case) -> None:
    assert_fails_closed(case)


@pytest.mark.parametrize("label", [KEY, ALIAS])
def test_where_the_store_has_keys_ours_cannot_be_left_out(label: str) -> None:
    (finding,) = said(PRESENT, without=label)
    assert finding.resource == label
    assert "got 0" in finding.place.message
