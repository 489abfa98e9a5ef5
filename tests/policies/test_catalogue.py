"""The law book is whole: every row has its judge, every rule a text, and none is deaf."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from policies.catalogue import ELSEWHERE, RULES
from policies.judge import Finding, judge
from policies.rule import MANDATORY, Rule
from regions.capabilities import CAPABILITIES
from regions.resolve import resolve
from stacks.policy import resources
from tests.examples import REGIONS, ROOT, a_model, a_profile, a_tree, address, specs
from tests.policies.cases import GONE, Case, Failing
from tests.policies.estate import NO_WAIVERS, REGION, facts, good, said

ROWS: Final = tuple(f"P{number:02}" for number in range(1, 38))
"""The policy catalogue of the project's hardening reference, section 6a; the last row is of the
closed set of everything that isoserve makes."""
SERVER: Final = "Deployment search/embedder"
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


@cache
def failing() -> Failing:
    """What the test modules of rules say makes these speak."""
    found: Failing = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.policies.{path.stem}")
        found |= getattr(module, "FAILING", {})
    return found


def broken(of: str, path: str = "", value: Any = GONE) -> Callable[[Rule], list[Finding]]:
    """What a rule says when a good thing is gone, or a field of it is."""
    return lambda rule: Case(rule=rule, of=of, path=path, value=value, says="").found()


SPEAKS: Final[dict[str, Callable[[Rule], list[Finding]]]] = {
    "image-digest": broken(SERVER, "spec template spec containers 0 image", "vllm"),
    "public-needs-auth": broken("SecurityPolicy chat/assistant"),
    "private-no-ingress": broken("NetworkPolicy search/embedder--8080", "spec ingress 0 from", []),
    "permissive-inside-only": broken("BackendTrafficPolicy chat/helper"),
    "no-side-door": broken("Service search/embedder", "spec type", "ExternalName"),
    "known-gateways": broken("Gateway isoserve-gateway/public", "spec listeners 0 port", 80),
    "tenant-isolation": broken(
        "HTTPRoute chat/helper", "spec rules 0 backendRefs 0 namespace", "search"
    ),
    "tenant-volumes": broken("PersistentVolume chat-models-gpu-l4-1"),
    "weights-read-only": broken(
        SERVER, "spec template spec containers 0 volumeMounts 0 readOnly", False
    ),
    "tenant-roles": broken(
        "ServiceAccount search/embedder",
        "metadata annotations eks.amazonaws.com/role-arn",
        "arn:aws:iam::123456789012:role/isoserve.sandbox-aws.chat",
    ),
    "route-own-name": broken("HTTPRoute chat/assistant", "spec hostnames", ["x.example.com"]),
    "netpol-default-deny": broken("NetworkPolicy chat/default-deny"),
    "egress-allow-list": broken("NetworkPolicy search/embedder--8080", "spec egress 0", {}),
    "rbac-least": broken("Role search/project-viewer", "rules 0 verbs", ["*"]),
    "rbac-bindings": broken("Role chat/project-admin"),
    "labels-owner-cost": broken("Service search/embedder", "metadata labels isoserve.dev/project"),
}
"""The same for rules whose own tests are written another way."""


def test_every_row_is_judged_by_a_rule_or_elsewhere() -> None:
    here = {rule.row for rule in RULES}
    assert here | set(ELSEWHERE) == set(ROWS)
    assert not here & set(ELSEWHERE), "a row has one judge"


def test_every_rule_has_a_name_of_its_own_that_a_waiver_can_write() -> None:
    names = [rule.name for rule in RULES]
    assert sorted(set(names)) == sorted(names)
    for name in names:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name), f"{name} is no kebab-case"


@every_rule
def test_every_rule_says_in_plain_words_what_it_asks_and_why(rule: Rule) -> None:
    assert rule.text.endswith("."), f"{rule.name} has no text for people"
    assert 40 <= len(rule.text) <= 400, f"{rule.name}: one or two sentences"
    assert rule.level == MANDATORY, f"{rule.name}: what may be left undone is no rule"


@pytest.mark.parametrize("region", REGIONS)
@every_rule
def test_no_rule_refuses_what_the_examples_are(rule: Rule, region: str) -> None:
    assert said(rule, region=region) == []


@pytest.mark.parametrize("lost", CAPABILITIES)
def test_no_rule_refuses_what_a_lesser_region_gets_instead(lost: str) -> None:
    profile = a_profile(REGION, without=[lost])
    things = resources(resolve(specs(), profile, REGION), ROOT)
    lesser = dataclasses.replace(facts(), profile=profile)
    wrong = judge(things, lesser, RULES, NO_WAIVERS).findings
    known = judge(good(REGION), facts(), RULES, NO_WAIVERS).findings
    more = {(f.rule, f.resource) for f in wrong} - {(f.rule, f.resource) for f in known}
    assert not more, "what a region lacks has an outcome, and that outcome is allowed"


NEXT: Final = {"model": address("search", "sentiment", 7)}
WISHES: Final[dict[str, dict[str, Any]]] = {
    "three lines": {},
    "one pod": {"scaling": {"min": 1, "max": 1}},
    "asleep": {"access": "permissive", "scaling": {"scale_to_zero": True}},
    "spot": {"capacity": {"spot": True}, "scaling": {"min": 1, "max": 4}},
    "spot asleep": {
        "access": "permissive",
        "capacity": {"spot": True},
        "scaling": {"min": 2, "max": 4, "scale_to_zero": True},
    },
    "swap": {"rollout": {"strategy": "blue_green", "step": 1, "candidate": NEXT}},
    "shadow": {"access": "permissive", "rollout": {"strategy": "shadow", "candidate": NEXT}},
    "canary": {
        "access": "public",
        "scaling": {"min": 3, "max": 5},
        "rollout": {"strategy": "canary", "step": 2, "candidate": NEXT},
    },
    "job": {"batch": {"command": ["python", "-m", "index"], "parallelism": 3, "completions": 3}},
    "high promise": {"slo": {"availability": 0.9995}, "scaling": {"min": 2, "max": 2}},
    "own image": {"image": "registry.example.com/own/server@sha256:" + "a" * 64},
    "secret files": {"secrets": [{"name": "store", "mount": "/secrets/store"}]},
    "own copies": {"cache": "never"},
    "no GPU": {"machine_type": "cpu.4", "image": "mlserver"},
    "many GPUs": {"machine_type": "gpu.l40s.4"},
    "triton": {"image": "triton"},
}


@pytest.mark.parametrize("wish", WISHES)
def test_no_rule_refuses_what_a_team_may_write(wish: str) -> None:
    tree = a_tree(a_model(**WISHES[wish]))
    plan = resolve(tree, facts().profile, REGION)
    asked = dataclasses.replace(facts(), specs=tree)
    wrong = judge(resources(plan, ROOT), asked, RULES, NO_WAIVERS).findings
    known = judge(good(REGION), facts(), RULES, NO_WAIVERS).findings
    more = {(f.rule, f.resource) for f in wrong} - {(f.rule, f.resource) for f in known}
    assert not more, "what the loader takes and the plan serves is no fault of the team"


@every_rule
def test_no_rule_is_deaf(rule: Rule) -> None:
    known = rule.name in failing() or rule.name in SPEAKS
    assert known, f"{rule.name} has no failing example; give its test module one in FAILING"
    found = failing()[rule.name]() if rule.name in failing() else SPEAKS[rule.name](rule)
    assert set(found) - set(said(rule)), f"nothing makes {rule.name} speak"
    assert {finding.rule for finding in found} == {rule.name}
    assert not any("cannot be judged" in finding.place.message for finding in found), (
        f"{rule.name} stumbles; a person needs the fact"
    )


def test_every_failing_example_is_of_a_rule_that_is_in_force() -> None:
    names = {rule.name for rule in RULES}
    assert set(failing()) | set(SPEAKS) <= names, (
        "a rule that is not in the catalogue judges nothing"
    )
