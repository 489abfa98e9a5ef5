"""Which rule answers a request, as the Gateway API orders them, and which backend by weight."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from regions.sandbox.kube import Object
from regions.sandbox.traffic.listeners import attach, covers, listeners
from regions.sandbox.traffic.routes import Backend, Question, Rule, choose, draw, table
from tests.regions.traffic_objects import (
    NAMESPACES,
    SPACE,
    a_gateway,
    a_route,
    a_rule,
    a_service,
    by_key,
)

HOST = "ranker--search.internal.test"


def rule_for(
    question: Question, *routes: Object, host: str = HOST, gateway: Object | None = None
) -> Rule | None:
    found = listeners(by_key(gateway or a_gateway(80)))
    attached = attach(found, by_key(*routes), NAMESPACES)
    return choose(table(attached, by_key(a_service("ranker"))), host, question)


def asked(target: str = "/", method: str = "POST", **headers: str) -> Question:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Question(method, target, named)


def path(kind: str, value: str) -> Object:
    return {"path": {"type": kind, "value": value}}


def header(name: str, value: str, kind: str = "Exact") -> Object:
    return {"name": name, "type": kind, "value": value}


PREFIX = path("PathPrefix", "/")
PROBE = {**PREFIX, "headers": [header("x-isoserve-probe", "true")]}


@pytest.mark.parametrize(
    ("match", "question", "meets"),
    [
        (path("Exact", "/v1"), asked("/v1"), True),
        (path("Exact", "/v1"), asked("/v1?a=b"), True),
        (path("Exact", "/v1"), asked("/v1/"), False),
        (path("PathPrefix", "/v1"), asked("/v1"), True),
        (path("PathPrefix", "/v1"), asked("/v1/models"), True),
        (path("PathPrefix", "/v1/"), asked("/v1"), True),
        (path("PathPrefix", "/v1"), asked("/v12"), False),
        (path("RegularExpression", "/v[12]"), asked("/v2"), True),
        (path("RegularExpression", "/v[12]"), asked("/v2/x"), False),
        (path("RegularExpression", "["), asked("/["), False),
        ({"method": "GET"}, asked(method="GET"), True),
        ({"method": "GET"}, asked(method="POST"), False),
        (PROBE, asked(x_isoserve_probe="true"), True),
        (PROBE, asked(x_isoserve_probe="false"), False),
        (PROBE, asked(), False),
        ({"headers": [header("X-Isoserve-Probe", "true")]}, asked(x_isoserve_probe="true"), True),
        ({"headers": [header("a", "[0-9]+", "RegularExpression")]}, asked(a="12"), True),
        ({"headers": [header("a", "[0-9]+", "RegularExpression")]}, asked(a="12b"), False),
        ({"queryParams": [header("a", "b")]}, asked("/?a=b&a=c"), True),
        ({"queryParams": [header("a", "c")]}, asked("/?a=b&a=c"), False),
        ({"queryParams": [header("a", "b")]}, asked("/"), False),
    ],
)
def test_a_match_means_what_the_gateway_api_says(
    match: Object, question: Question, meets: bool
) -> None:
    found = rule_for(question, a_route("ranker", a_rule(match)))
    assert (found is not None) is meets, f"{match} and {question}"


def test_a_rule_without_matches_takes_everything() -> None:
    assert rule_for(asked("/any"), a_route("ranker", a_rule())) is not None


ALL = asked("/v1/a?q=1", "GET", a="1", b="2")


@pytest.mark.parametrize(
    ("why", "first", "second"),
    [
        ("exact before longer prefix", path("Exact", "/v1/a"), path("PathPrefix", "/v1/a/")),
        ("exact before pattern", path("Exact", "/v1/a"), path("RegularExpression", "/v1/.*")),
        ("longer prefix", path("PathPrefix", "/v1/a"), {**path("PathPrefix", "/v1"),
            "method": "GET"}),
        ("method before headers", {**PREFIX, "method": "GET"}, {**PREFIX, "headers":
            [header("a", "1"), header("b", "2")]}),
        ("more headers", {"headers": [header("a", "1"), header("b", "2")]},
            {"headers": [header("a", "1")], "queryParams": [header("q", "1")]}),
        ("queries before none", {"queryParams": [header("q", "1")]}, {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("turned", [False, True])
def test_the_closer_match_answers_wherever_it_is_written(
    why: str, first: Object, second: Object, turned: bool
) -> None:
    rules = [a_rule(first), a_rule(second)]
    found = rule_for(ALL, a_route("ranker", *(rules[::-1] if turned else rules)))
    assert found is not None
    expected = f"httproute/search/ranker/rule/{1 if turned else 0}"
    assert found.cluster == expected, why


def test_the_probers_rule_answers_the_prober_and_the_other_everybody_else() -> None:
    route = a_route("ranker", a_rule(PROBE), a_rule(PREFIX))
    of_prober = rule_for(asked("/v2/infer", x_isoserve_probe="true"), route)
    of_user = rule_for(asked("/v2/infer"), route)
    assert of_prober is not None
    assert of_user is not None
    assert of_prober.cluster.endswith("/rule/0"), "its requests wake no sleeping model"
    assert of_user.cluster.endswith("/rule/1")


@pytest.mark.parametrize(
    ("why", "other", "expected"),
    [
        ("the older route", {"created": "2025-01-01T00:00:00Z"}, "zeta"),
        ("of one age, by name", {}, "ranker"),
    ],
)
def test_of_equal_matches_answers(why: str, other: dict[str, Any], expected: str) -> None:
    routes = a_route("ranker", a_rule(PREFIX)), a_route("zeta", a_rule(PREFIX), **other)
    found = rule_for(asked(), *routes)
    assert found is not None
    assert found.cluster == f"httproute/search/{expected}/rule/0", why


def test_the_closest_host_alone_decides() -> None:
    wide = a_route("wide", a_rule(path("Exact", "/v1/a")), hostnames=["*.internal.test"])
    close = a_route("close", a_rule(path("Exact", "/other")))
    assert rule_for(ALL, wide, close) is None, "Envoy asks no other virtual host"
    elsewhere = rule_for(ALL, wide, close, host="b.internal.test")
    assert elsewhere is not None
    assert elsewhere.cluster.startswith("httproute/search/wide")


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("*.a.test", "b.a.test", True),
        ("*.a.test", "c.b.a.test", True),
        ("*.a.test", "a.test", False),
        ("*.a.test", "ba.test", False),
        ("*.a.test", "*.b.a.test", True),
        ("*.b.a.test", "*.a.test", False),
        ("a.test", "a.test", True),
        ("*", "a.test", True),
    ],
)
def test_a_pattern_covers_whole_labels(pattern: str, host: str, expected: bool) -> None:
    assert covers(pattern, host) is expected, f"{pattern} and {host}"


@pytest.mark.parametrize(
    ("why", "over", "gateway", "taken"),
    [
        ("its own gateway", {}, {}, True),
        ("another gateway", {"parent": {"name": "public"}}, {}, False),
        ("a kind that is no Gateway", {"parent": {"kind": "Service"}}, {}, False),
        ("another listener", {"parent": {"sectionName": "other"}}, {}, False),
        ("this listener", {"parent": {"sectionName": "models"}}, {}, True),
        ("another port", {"parent": {"port": 81}}, {}, False),
        ("a host of somebody else", {"hostnames": ["a.elsewhere.test"]}, {}, False),
        ("a namespace that isn't selected", {"namespace": "other"}, {}, False),
        ("all namespaces", {"namespace": "other"},
            {"allowedRoutes": {"namespaces": {"from": "All"}}}, True),
        ("the gateway's namespace only", {},
            {"allowedRoutes": {"namespaces": {"from": "Same"}}}, False),
        ("no host of its own", {"hostnames": []}, {}, True),
    ],
)  # fmt: skip
def test_a_listener_takes_the_routes_that_are_meant_for_it(
    why: str, over: dict[str, Any], gateway: dict[str, Any], taken: bool
) -> None:
    route = a_route("ranker", a_rule(), **over)
    found = rule_for(asked(), route, gateway=a_gateway(80, **gateway))
    assert (found is not None) is taken, why


@pytest.mark.parametrize(
    ("why", "rule"),
    [
        ("a Service that isn't", {"backendRefs": [{"name": "nobody", "port": 80}]}),
        ("a port that isn't", {"backendRefs": [{"name": "ranker", "port": 81}]}),
        ("another kind", {"backendRefs": [{"kind": "Bucket", "name": "ranker", "port": 80}]}),
        ("another namespace", {"backendRefs":
            [{"name": "ranker", "namespace": "other", "port": 80}]}),
    ],
)  # fmt: skip
def test_a_backend_that_cannot_be_says_why(why: str, rule: Object) -> None:
    found = rule_for(asked(), a_route("ranker", rule))
    assert found is not None
    assert found.backends[0].wrong, why


@pytest.mark.parametrize(
    "fields",
    [
        {"filters": [{"type": "URLRewrite", "urlRewrite": {}}]},
        {"filters": [{"type": "RequestMirror", "requestMirror":
            {"backendRef": {"name": "ranker", "port": 80}, "fraction": {"numerator": 1}}}]},
        {"backendRefs": [{"name": "ranker", "port": 80,
            "filters": [{"type": "RequestHeaderModifier"}]}]},
        {"backendRefs": []},
    ],
)  # fmt: skip
def test_what_the_stand_in_cannot_do_is_refused_not_forgotten(fields: Object) -> None:
    found = rule_for(asked(), a_route("ranker", a_rule(**fields)))
    assert found is not None
    assert found.refusal, fields


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("300s", 300.0), ("500ms", 0.5), ("1h30m", 5400.0), ("1m1s", 61.0), ("0s", None)],
)
def test_a_timeout_is_a_duration_of_the_gateway_api(written: str, seconds: float | None) -> None:
    found = rule_for(asked(), a_route("ranker", a_rule(timeouts={"request": written})))
    assert found is not None
    assert found.timeout_seconds == seconds, written


# -- weights ---------------------------------------------------------------------------------

DRAWS = 10_000


def weighing(*weights: int) -> Rule:
    backends = tuple(Backend((SPACE, str(n)), 80, w, "") for n, w in enumerate(weights))
    return Rule("cluster", backends, (), None, "")


@pytest.mark.parametrize("weights", [(95, 5), (50, 50), (1, 2, 7), (100, 0)])
def test_backends_are_drawn_by_weight(weights: tuple[int, ...]) -> None:
    chance, rule = random.Random(20_261_122), weighing(*weights)
    drawn = Counter(draw(rule, chance) for _ in range(DRAWS))
    for backend in rule.backends:
        share = backend.weight / sum(weights)
        # Five standard deviations of the binomial: once in 1.7 million such counts.
        bound = 5 * (DRAWS * share * (1 - share)) ** 0.5
        assert abs(drawn[backend] - DRAWS * share) <= bound, f"{backend.weight} of {weights}"


def test_backends_that_all_weigh_nothing_are_never_drawn() -> None:
    assert draw(weighing(0, 0), random.Random(1)) is None
    assert draw(weighing(), random.Random(1)) is None
