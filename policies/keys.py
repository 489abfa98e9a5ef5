"""Rules about the key that encrypts the models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.documents import Block, allowing, faults_of_people, is_on, listed, principals
from policies.facts import Facts
from policies.resources import Resource
from policies.rule import Estate, Fault, Rule, each, whole

_KEY: Final = "aws:kms/key:Key"
_ALIAS: Final = "aws:kms/alias:Alias"
_WINDOW_DAYS: Final = 30
"""The longest there is, to notice that a key was given up."""


def _keeps_manageable(statement: Block, root: str) -> bool:
    return (
        principals(statement) == [root]
        and "kms:*" in listed(statement.get("Action"))
        and not statement.get("Condition")
    )


def _who_faults(document: object, facts: Facts) -> Iterator[tuple[str, str]]:
    """What is wrong with whom a key's policy lets in, and the cure."""
    account = facts.profile.account
    yield from faults_of_people(document, account.partition.name, account.account_id)
    root = facts.arn(f"iam::{account.account_id}:root")
    if not any(_keeps_manageable(one, root) for one in allowing(document)):
        yield "can become a key that nobody manages", f"allow kms:* to {root}"


@each("P25", "kms-baseline", _KEY)
def _baseline(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """The key is enabled, is renewed every year, takes 30 days to delete, is open to nobody outside
    its account and never to everyone, and stays manageable.
    """
    values, place = resource.values, "account.account_id"
    if not is_on(values.get("isEnabled")):
        yield Fault(resource, "is switched off", "set isEnabled", place)
    if not is_on(values.get("enableKeyRotation")):
        yield Fault(resource, "is never renewed", "set enableKeyRotation", place)
    if values.get("deletionWindowInDays") != _WINDOW_DAYS:
        what = f"can be gone in {values.get('deletionWindowInDays')} days"
        yield Fault(resource, what, f"set deletionWindowInDays to {_WINDOW_DAYS}", place)
    if values.get("bypassPolicyLockoutSafetyCheck"):
        yield Fault(resource, "may lock its account out", "take the bypass out", place)
    for what, fix in _who_faults(values.get("policy"), facts):
        yield Fault(resource, what, fix, place)


@whole("P25", "kms-present")
def _present(estate: Estate) -> Iterator[Fault]:
    """Where the store has keys there is one of ours, and the alias by which roles may use it.

    The alias holds the region's name: two stacks may share an account and an AWS region.
    """
    if "kms" not in estate.facts.profile.capabilities:
        return
    for kind in (_KEY, _ALIAS):
        found = estate.of(kind)
        if len(found) != 1:
            lost = Resource(kind, "models", {}, protected=False, provider="")
            what = f"should be there once, got {len(found)}"
            yield Fault(next(iter(found), lost), what, "register it once", "capabilities")
    wanted = f"alias/isoserve-{estate.facts.region}-models"
    for alias in estate.of(_ALIAS):
        if alias.values.get("name") != wanted:
            what = f"is named {alias.values.get('name')!r}"
            yield Fault(alias, what, f"name it {wanted}", "capabilities")
        if not alias.values.get("targetKeyId"):
            yield Fault(alias, "is of no key", "let it be of the registry's key", "capabilities")


RULES: Final[tuple[Rule, ...]] = (_baseline, _present)
