"""A model's own code gets out to what its spec calls and the region's profile lists, no further."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import pytest
from pydantic import ValidationError

from components.model_job import objects as objects_of_job
from components.model_server import objects
from model_specs.errors import SpecErrors
from policies.catalogue import RULES as ALL
from policies.judge import judge
from policies.network import RULES
from policies.resources import Resource, of_object
from regions.profile import RegionProfile
from regions.reachable import Reachable
from regions.resolve import resolve
from stacks.policy import resources
from tests.examples import ROOT, a_model, a_profile, of_kind, planned
from tests.policies.estate import NO_WAIVERS, facts

EGRESS: Final = RULES[1]
HOST: Final = {"host": "features.example.com", "port": 8443}
SERVICE: Final = {"service": "redis.feature-store", "port": 6379}
NETWORKS: Final = ["10.1.2.0/28", "2001:db8::/64"]
AT_HOST: Final = [{"ipBlock": {"cidr": cidr}} for cidr in NETWORKS]
TO_HOST: Final = {"ports": [{"port": 8443, "protocol": "TCP"}], "to": AT_HOST}
AT_SERVICE: Final = [
    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "feature-store"}}}
]
TO_SERVICE: Final = {"ports": [{"port": 6379, "protocol": "TCP"}], "to": AT_SERVICE}


NO_HOSTS: Final = (
    "redis.feature-store.svc", "redis.feature-store.svc.cluster.local", "redis.feature-store",
    "x.localhost", "x.internal", "metadata.google.internal", "features", "features.local",
    "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "1.2.3.4.", "10-0-0-1.search.pod", "x.onion",
    "x.test", "x.invalid", "x.example", "x.alt", "1.0.0.127.in-addr.arpa", "printer.home.arpa",
    "db.corp", "db.lan", "xn--fa-hia.de", "fa\u00df.de", "features.example.xn--p1ai", "x.c0m",
    "FEATURES.example.com", "-a.example.com", "a-.example.com", "a_b.example.com", "a..b.com",
    "features.example.com:443", "user@example.com", "features.example.com/x", "metadata.goog", "",
)  # fmt: skip
"""Names of the cluster or of a machine, addresses in odd spellings, and what no reviewer reads."""


def listed(row: dict[str, Any]) -> Reachable:
    return Reachable.model_validate_json(json.dumps(row))


def listing(*rows: dict[str, Any]) -> RegionProfile:
    return a_profile(reachable=tuple(map(listed, rows)))


LISTED: Final = listing({**HOST, "networks": NETWORKS}, SERVICE)


def egress(*calls: dict[str, Any], profile: RegionProfile = LISTED) -> list[Any]:
    """The ways out of a model whose files the node brings."""
    plan = planned(a_model(calls=list(calls), cache="always"), profile=profile)
    (policy,) = of_kind("NetworkPolicy", objects(plan.servers[0]))
    return list(policy["spec"].get("egress", []))


def test_a_host_is_its_networks_and_a_service_its_namespace() -> None:
    assert egress(HOST) == [TO_HOST]
    assert egress(SERVICE) == [TO_SERVICE]
    assert egress(SERVICE, HOST) == [TO_SERVICE, TO_HOST]
    assert egress() == [], "who calls nothing goes nowhere"


def test_a_service_whose_pods_are_known_opens_no_others_of_its_namespace() -> None:
    labels = {"app": "redis", "tier": "front"}
    (rule,) = egress(SERVICE, profile=listing({**SERVICE, "pods": labels}))
    assert rule["to"] == [{**AT_SERVICE[0], "podSelector": {"matchLabels": labels}}]


def test_a_job_calls_too() -> None:
    job = a_model(name="index", batch={"command": ["x"]}, calls=[SERVICE], cache="always")
    (policy,) = of_kind("NetworkPolicy", objects_of_job(planned(job, profile=LISTED).jobs[0]))
    assert policy["spec"]["egress"] == [TO_SERVICE]


def test_a_download_reaches_the_registry_beside_it() -> None:
    plan = planned(a_model(calls=[SERVICE], cache="never"), profile=LISTED)
    (policy,) = of_kind("NetworkPolicy", objects(plan.servers[0]))
    assert policy["spec"]["egress"][-1] == TO_SERVICE
    assert len(policy["spec"]["egress"]) == 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"host": "other.example.com", "port": 443}, "features.example.com:8443"),
        ({**HOST, "port": 443}, "got 'features.example.com:443'"),
        ({"service": "redis.other", "port": 6379}, "lists it in `reachable`"),
        ({"service": "ranker.search", "port": 8080}, "called by share_with"),
    ],
)
def test_what_the_region_does_not_list_is_refused_there(call: dict[str, Any], words: str) -> None:
    plan = planned(a_model(calls=[HOST, call]), profile=LISTED)
    (gap,) = plan.gaps
    assert (gap.path, gap.code) == ("calls", "E333")
    assert words in gap.reason
    assert plan.servers == ()


def test_a_job_that_calls_what_is_not_listed_is_not_made() -> None:
    job = a_model(name="index", batch={"command": ["x"]}, calls=[SERVICE])
    plan = planned(job, profile=listing())
    assert [(gap.path, gap.code) for gap in plan.gaps] == [("calls", "E333")]
    assert plan.jobs == ()


@pytest.mark.parametrize(
    "call",
    [
        {"port": 443},
        {**HOST, **SERVICE},
        {"host": "169.254.169.254", "port": 80},
        {"host": "10.0.0.1", "port": 80},
        {"host": "[fd00:ec2::254]", "port": 80},
        {"host": "0x7f000001", "port": 80},
        {"host": "localhost", "port": 80},
        {"host": "*.example.com", "port": 443},
        {"host": "Features.example.com", "port": 443},
        {"host": "features.example.com.", "port": 443},
        {"host": "features..example.com", "port": 443},
        {"host": "https://features.example.com", "port": 443},
        {"host": "a." * 130 + "com", "port": 443},
        *({"host": host, "port": 443} for host in NO_HOSTS),
        {"service": "redis", "port": 6379},
        {"service": "redis.feature-store.svc", "port": 6379},
        {"service": "*.feature-store", "port": 6379},
        {"service": "127.1", "port": 6379},
        {"service": "Redis.feature-store", "port": 6379},
        {"service": "redis.feature-store.", "port": 6379},
        {"host": "features.example.com", "port": 0},
        {"host": "features.example.com", "port": 65_536},
        {"host": "features.example.com", "port": "https"},
        {"host": "features.example.com", "port": 443, "protocol": "UDP"},
    ],
    ids=str,
)
def test_what_no_policy_can_say_is_refused(call: dict[str, Any]) -> None:
    with pytest.raises(SpecErrors, match=r"E[23]\d\d"):
        a_model(calls=[call])


def test_the_same_call_twice_is_refused() -> None:
    with pytest.raises(SpecErrors) as refused:
        a_model(calls=[HOST, SERVICE, HOST])
    (error,) = refused.value.errors
    assert error.path == "calls[2]"
    assert "of calls[0] again" in error.message, "both places are said"
    assert a_model(calls=[HOST, {**HOST, "port": 443}]), "another port is another call"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (HOST, "a host has networks"),
        ({**SERVICE, "networks": ["10.0.0.0/24"]}, "a Service none"),
        ({**HOST, "networks": NETWORKS, "pods": {"app": "redis"}}, "no pods of the cluster"),
        ({**SERVICE, "pods": {"app": ""}}, "at least 1 character"),
        ({**SERVICE, "pods": {"app": "a b"}}, "pattern"),
        ({**HOST, "networks": ["0.0.0.0/0"]}, "credentials"),
        ({**HOST, "networks": ["169.254.169.254/32"]}, "credentials"),
        ({**HOST, "networks": ["features.example.com"]}, "no network"),
    ],
)
def test_what_a_profile_may_not_list(row: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        listed(row)


def a_way_out(rule: Any) -> Resource:
    """A wall of the nightly index with one way out."""
    labels = {"isoserve.dev/project": "search", "isoserve.dev/model": "nightly-index"}
    made = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "out", "namespace": "search", "labels": labels},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]},
    }
    return of_object(made, "cluster")


@pytest.mark.parametrize(
    ("rule", "may", "why"),
    [
        (TO_SERVICE, True, "the spec asks and the profile lists it"),
        (TO_HOST, False, "the profile lists it, but the spec does not ask"),
        ({**TO_SERVICE, "ports": [{"port": 22, "protocol": "TCP"}]}, False, "another port"),
        ({"ports": TO_SERVICE["ports"]}, False, "every address"),
        ({**TO_SERVICE, "to": [{"namespaceSelector": {}}]}, False, "every namespace"),
        ({**TO_SERVICE, "to": [*AT_SERVICE, *AT_HOST]}, False, "one more"),
    ],
)
def test_the_rules_hold_a_way_out_to_the_spec(rule: dict[str, Any], may: bool, why: str) -> None:
    known = facts()
    (asks,) = (model for model in known.specs.models if model.id == "search/nightly-index")
    spec = asks.spec.model_copy(update={"calls": a_model(calls=[SERVICE]).spec.calls})
    models = tuple(replace(one, spec=spec) if one is asks else one for one in known.specs.models)
    told = replace(
        known,
        specs=replace(known.specs, models=models),
        profile=known.profile.model_copy(update={"reachable": LISTED.reachable}),
    )
    found = judge([a_way_out(rule)], told, (EGRESS,), NO_WAIVERS).findings
    assert (not found) is may, why


@pytest.mark.parametrize(
    ("to", "may"),
    [
        ({**AT_SERVICE[0], "podSelector": {"matchLabels": {"app": "redis"}}}, True),
        (AT_SERVICE[0], False),
        ({**AT_SERVICE[0], "podSelector": {}}, False),
        ({**AT_SERVICE[0], "podSelector": {"matchLabels": {"app": "admin"}}}, False),
    ],
)
def test_the_rules_hold_a_way_out_to_the_pods_that_are_listed(to: Any, may: bool) -> None:
    known = facts()
    (asks,) = (model for model in known.specs.models if model.id == "search/nightly-index")
    spec = asks.spec.model_copy(update={"calls": a_model(calls=[SERVICE]).spec.calls})
    models = tuple(replace(one, spec=spec) if one is asks else one for one in known.specs.models)
    rows = (listed({**SERVICE, "pods": {"app": "redis"}}),)
    told = replace(
        known,
        specs=replace(known.specs, models=models),
        profile=known.profile.model_copy(update={"reachable": rows}),
    )
    found = judge([a_way_out({**TO_SERVICE, "to": [to]})], told, (EGRESS,), NO_WAIVERS).findings
    assert (not found) is may


def test_all_rules_agree_to_known_networks_and_to_what_is_listed() -> None:
    known = facts()
    registry = known.profile.registry.model_copy(update={"addresses": ("10.0.8.0/24",)})
    (vectors,) = known.profile.reachable
    rows = (vectors.model_copy(update={"pods": {"app": "v", "tier": "a"}}), *LISTED.reachable)
    profile = known.profile.model_copy(update={"registry": registry, "reachable": rows})
    told = replace(known, profile=profile)
    plan = resolve(known.specs, profile, known.region)
    found = judge(resources(plan, ROOT), told, ALL, NO_WAIVERS).findings
    assert [one for one in found if one.rule != "waiver-unused"] == []
