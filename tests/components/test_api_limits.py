"""Nothing rendered from the longest names and largest values is refused by an API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from components.api_limits import beyond
from components.kube import Object, head
from model_specs.errors import SpecErrors
from model_specs.names import MAX_NAME
from regions.profile import MAX_DOMAIN, RegionProfile
from stacks.oversize import oversized
from tests.examples import REGIONS, a_model, a_profile, objects_of, planned, profiles, rendered

LONG: Final = "m" * MAX_NAME
OTHER: Final = "p" * MAX_NAME
DOMAIN: Final = ".".join(["d" * 59] * 3) + ".c"
CANARY: Final = {"strategy": "canary", "candidate": {"image": "triton"}}
SHAPES: Final[dict[str, dict[str, Any]]] = {
    "scaled": {"scaling": {"min": 1, "max": 8}, "access": "public", "rollout": CANARY},
    "spot": {"scaling": {"min": 1, "max": 3}, "capacity": {"spot": True}},
    "job": {"batch": {"command": ["score"], "schedule": "0 2 * * *"}},
    "once": {"batch": {"command": ["score"]}},
    "variables": {"env": {f"V{n}": "$" * 150 for n in range(1000)}},
    "secrets": {"secrets": [{"name": f"s{n}", "mount": f"/secrets/s{n}"} for n in range(100)]},
    "arguments": {"args": ["--chat-template", "{" + "$" * 4000] * 60},
}


def everything(profile: RegionProfile, **fields: Any) -> Iterator[Object]:
    yield from rendered(planned(a_model(project=OTHER, name=LONG, **fields), profile=profile))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "without", [(), ("keda",), ("keda", "custom_metrics", "prometheus_operator")]
)
def test_the_longest_names_make_no_object_that_is_refused(
    shape: str, without: tuple[str, ...]
) -> None:
    profile = a_profile(without=without, domain=DOMAIN)
    found = [
        (made["kind"], why) for made in everything(profile, **SHAPES[shape]) for why in beyond(made)
    ]
    assert not found


@pytest.mark.parametrize("region", REGIONS)
def test_the_examples_are_taken(region: str) -> None:
    assert not [why for made in objects_of(region) for why in beyond(made)]


def test_the_longest_domain_leaves_room_for_the_longest_host() -> None:
    host = f"{LONG}--{OTHER}.internal.{DOMAIN}"
    assert len(DOMAIN) == MAX_DOMAIN
    assert len(host) == 253, "Gateway API takes no longer hostname"


@pytest.mark.parametrize(
    "domain",
    ["d" * 64 + ".com", "a..com", "-a.com", "a-.com", ".com", DOMAIN + "om", f"{'a.' * 91}com"],
)
def test_a_domain_that_no_host_can_have_is_refused(domain: str) -> None:
    fields = profiles()["us-east-1"].model_dump(mode="json") | {"domain": domain}
    with pytest.raises(ValueError, match="domain"):
        RegionProfile.model_validate_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("env", {f"V{n}": "1" for n in range(1001)}),
        ("secrets", [{"name": f"s{n}", "mount": f"/secrets/s{n}"} for n in range(101)]),
    ],
)
def test_lists_that_would_outgrow_an_object_have_an_end(field: str, values: Any) -> None:
    with pytest.raises(SpecErrors) as refused:
        a_model(**{field: values})
    assert [(error.code, error.path) for error in refused.value.errors] == [("E301", field)]


def test_each_limit_is_told() -> None:
    config = head("v1", "ConfigMap", "a", "b", {}, {})
    assert not [*beyond(config | {"data": {"k" * 200: "x" * 1_048_576}})], "keys do not count"
    assert [*beyond(config | {"data": {"k": "x" * 1_048_577}})]
    assert [*beyond(config | {"data": {"k": "é" * 524_289}})], "bytes, not letters"
    assert not [*beyond(head("v1", "Secret", "a", "b", {}, {"k": "v" * 262_000}))]
    assert [*beyond(head("v1", "Secret", "a", "b", {}, {"k": "v" * 262_144}))]
    for kind, most in {"CronJob": 52, "Service": 63, "Job": 63, "Deployment": 253}.items():
        assert not [*beyond(head("x/v1", kind, "n" * most, "b", {}, {}))]
        assert [*beyond(head("x/v1", kind, "n" * (most + 1), "b", {}, {}))]
    assert [*beyond(head("v1", "Pod", "a", "b", {"k": "v" * 64}, {}))]
    assert [*beyond(head("v1", "Pod", "a", "b", {"k": "-v"}, {}))]
    assert [*beyond(head("v1", "Pod", "Upper", "b", {}, {}))]


def test_what_is_checked_before_rendering_is_what_grows_with_the_models() -> None:
    assert not [*oversized(planned(a_model(project=OTHER, name=LONG)))]
