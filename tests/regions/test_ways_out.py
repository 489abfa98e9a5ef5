"""What a profile opens to models' own code is nothing else's of the region."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import pytest

from components.admission_guard import objects
from model_specs.errors import SpecError, SpecErrors
from regions.calls import way
from regions.namespaces import TAKEN
from regions.networks import MOST_NETWORKS
from regions.profile import load_profile
from regions.reachable import Reachable
from regions.resolve import resolve
from regions.sandbox import control_plane
from regions.sandbox.node.network import POD_RANGE, SERVICE_RANGE
from tests.examples import REGIONS, a_model, a_profile, a_tree, plan_of, profiles
from tests.regions.test_profile import values_of, written

HOST = {"host": "features.example.com", "port": 8443, "networks": ["10.1.2.0/28"]}
REDIS = {"service": "redis.feature-store", "port": 6379}
LIKE = "us-east-1"


def said_of(folder: Path, *rows: dict[str, Any], like: str = LIKE, **over: Any) -> list[SpecError]:
    """What a profile with these rows in `reachable` is refused for; `over` by dotted place."""
    values = values_of(like) | {"reachable": [json.loads(json.dumps(row)) for row in rows]}
    for place, value in json.loads(json.dumps(over)).items():
        *steps, last = place.split("__")
        inner = values
        for step in steps:
            inner = inner[step]
        inner[last] = value
    try:
        load_profile(written(folder, values))
    except SpecErrors as refused:
        return list(refused.errors)
    return []


def test_what_is_outside_of_the_platform_is_listed(tmp_path: Path) -> None:
    other = {**HOST, "port": 443}
    vectors = {"service": "vectors.feature-store", "port": 6334}
    db = {
        "host": "db.example.com",
        "port": 5432,
        "networks": ["10.1.2.16/28", "fd12:3456:789a::/48"],
    }
    assert said_of(tmp_path, HOST, other, REDIS, vectors, db) == []


@pytest.mark.parametrize(
    "namespace",
    [
        *TAKEN, "default", "kube-system", "kube-public", "isoserve-cache", "isoserve-gateway",
        "isoserve-system", "system-upgrade", "openshift-ingress", "cattle-system", "capi-system",
    ],
)  # fmt: skip
def test_a_namespace_of_the_platform_is_nobodys_to_call(tmp_path: Path, namespace: str) -> None:
    (error,) = said_of(tmp_path, HOST, {"service": f"api.{namespace}", "port": 443})
    assert (error.code, error.path) == ("E371", "reachable[1].service")
    assert f"api.{namespace}" in error.message


@pytest.mark.parametrize(
    ("over", "namespace"),
    [
        ({"prometheus_url": "http://kps.observability.svc:9090"}, "observability"),
        ({"prometheus_namespace": "scrapers"}, "scrapers"),
        ({"proxy_namespaces": ["edge", "edge-two"]}, "edge-two"),
        ({"grafana_url": "http://grafana.charts.svc:3000"}, "charts"),
    ],
)
def test_a_namespace_that_the_profile_names_is_nobodys_to_call(
    tmp_path: Path, over: dict[str, Any], namespace: str
) -> None:
    row = {"service": f"api.{namespace}", "port": 443}
    (error,) = said_of(tmp_path, row, **over)
    assert error.path == "reachable[0].service"
    assert said_of(tmp_path, row) == [], "elsewhere it is somebody's feature store"


def test_the_store_behind_a_service_is_nobodys_to_call(tmp_path: Path) -> None:
    store = {"registry__endpoint": "http://store.objects.svc:80", "registry__pod_port": 8080}
    row = {"service": "store.objects", "port": 8080}
    (error,) = said_of(tmp_path, row, like="seoul-dc1", **store)
    assert "registry.endpoint" in error.message


def test_a_projects_namespace_is_opened_by_share_with_alone() -> None:
    profile = a_profile()
    (row,) = profile.reachable
    listed = row.model_copy(update={"service": "ranker.search"})
    with pytest.raises(SpecErrors) as refused:
        resolve(
            a_tree(a_model(project="search")),
            profile.model_copy(update={"reachable": (row, listed)}),
            "here",
        )
    (error,) = refused.value.errors
    assert error.file == "model_specs/search/project.yaml"
    assert "reachable[1]" in error.message
    assert "share_with" in error.message


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("s3.dc1.example.com", "registry.endpoint"),
        ("grafana.dc1.example.com", "grafana_url"),
        ("ranker--search.dc1.models.example.com", "share_with"),
        ("ranker--search.internal.dc1.models.example.com", "share_with"),
    ],
)
def test_a_host_of_the_platform_is_nobodys_to_call(tmp_path: Path, host: str, words: str) -> None:
    (error,) = said_of(tmp_path, {**HOST, "host": host}, like="seoul-dc1")
    assert error.path == "reachable[0].host"
    assert words in error.message


def test_a_way_out_is_listed_once(tmp_path: Path) -> None:
    again = {**HOST, "networks": ["10.9.9.0/28"]}
    (error,) = said_of(tmp_path, HOST, REDIS, again)
    assert error.path == "reachable[2]"
    assert "reachable[0]" in error.message, "both places are said"
    (error,) = said_of(tmp_path, REDIS, {**REDIS, "pods": {"app": "redis"}})
    assert error.path == "reachable[1]"


@pytest.mark.parametrize(
    ("first", "second", "may"),
    [
        ({}, {}, False),
        ({"pods": {"app": "redis"}}, {}, False),
        ({}, {"pods": {"app": "cache"}}, False),
        ({"pods": {"app": "redis"}}, {"pods": {"app": "redis"}}, False),
        ({"pods": {"app": "redis"}}, {"pods": {"app": "cache"}}, True),
    ],
)
def test_services_of_one_namespace_and_port_are_told_apart_by_their_pods(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], may: bool
) -> None:
    cache = {"service": "cache.feature-store", "port": 6379}
    found = said_of(tmp_path, {**REDIS, **first}, {**cache, **second})
    assert (found == []) is may, "a call of one would open the other"
    assert may or found[0].path == "reachable[1].pods"
    assert may or "reachable[0]" in found[0].message


@pytest.mark.parametrize(
    ("rows", "over", "path", "other"),
    [
        ([{**HOST, "networks": ["10.1.2.0/28", "10.1.2.0/28"]}], {},
         "reachable[0].networks[1]", "reachable[0].networks[0]"),
        ([{**HOST, "networks": ["10.1.2.0/28", "10.1.0.0/16"]}], {},
         "reachable[0].networks[1]", "reachable[0].networks[0]"),
        ([HOST, {**HOST, "host": "db.example.com", "networks": ["10.1.2.4/32"]}], {},
         "reachable[1].networks[0]", "reachable[0].networks[0]"),
        ([{**HOST, "port": 443}], {"registry__addresses": ["10.1.2.0/24"]},
         "reachable[0].networks[0]", "registry.addresses[0]"),
        ([], {"registry__addresses": ["10.0.8.0/24", "10.0.9.0/24", "10.0.8.7/32"]},
         "registry.addresses[2]", "registry.addresses[0]"),
        ([HOST], {"cluster__networks": ["10.1.0.0/16"]},
         "reachable[0].networks[0]", "cluster.networks[0]"),
        ([{**HOST, "networks": ["10.1.0.0/16"]}],
         {"cluster__networks": ["100.64.0.0/10", "10.1.2.3/32"]},
         "reachable[0].networks[0]", "cluster.networks[1]"),
        ([], {"cluster__networks": ["10.0.0.0/16"], "registry__addresses": ["10.0.8.0/24"]},
         "registry.addresses[0]", "cluster.networks[0]"),
        ([HOST], {"cluster__jwks_uri": "https://10.1.2.1:6443/openid/v1/jwks"},
         "reachable[0].networks[0]", "cluster.jwks_uri"),
        ([HOST], {"prometheus_url": "http://10.1.2.1:9090", "prometheus_namespace": "monitoring"},
         "reachable[0].networks[0]", "prometheus_url"),
    ],
)  # fmt: skip
def test_a_network_is_one_way_out_and_nothing_else(
    tmp_path: Path, rows: list[dict[str, Any]], over: dict[str, Any], path: str, other: str
) -> None:
    (error,) = said_of(tmp_path, *rows, **over)
    assert (error.code, error.path) == ("E371", path)
    assert other in error.message, "both places are said"


def test_a_store_within_the_cluster_has_addresses_of_the_cluster(tmp_path: Path) -> None:
    within = {
        "registry__endpoint": "http://store.objects.svc:80",
        "registry__pod_port": 8080,
        "registry__addresses": ["10.0.8.0/24"],
        "cluster__networks": ["10.0.0.0/16"],
    }
    assert said_of(tmp_path, like="seoul-dc1", **within) == []


def test_another_port_of_the_same_network_is_another_way_out(tmp_path: Path) -> None:
    db = {"host": "db.example.com", "port": 5432, "networks": HOST["networks"]}
    assert said_of(tmp_path, HOST, db, registry__addresses=HOST["networks"]) == []


def test_no_more_is_listed_than_the_admission_guard_holds(tmp_path: Path) -> None:
    each = range(MOST_NETWORKS // 64)
    rows = [
        {"host": f"h{n}.example.com", "port": 443, "networks": [f"10.{n}.{m}.0/24" for m in each]}
        for n in range(64)
    ]
    assert said_of(tmp_path, *rows) == []
    one_more = {**HOST, "networks": ["10.99.0.0/16"]}
    (error,) = said_of(tmp_path, *rows, one_more)
    assert error.path == "reachable"
    nine = {**HOST, "networks": [f"10.99.{n}.0/24" for n in range(9)]}
    (error,) = said_of(tmp_path, *rows[:62], nine)
    assert "got 257" in error.message


def test_the_fullest_guard_is_as_long_as_the_api_server_takes() -> None:
    labels = {f"{'d' * 63}.{'d' * 63}.{'d' * 63}.{'d' * 61}/{n}{'k' * 62}": "v" * 63 for n in "abc"}
    service = {"service": f"{'s' * 63}.{'n' * 63}", "port": 65_535, "pods": labels}
    row = Reachable.model_validate_json(json.dumps(service))
    call = way(row)
    services = [replace(call, namespace=f"{n:063}") for n in range(64)]
    networks = tuple(f"2001:db8:aaaa:bbbb:cccc:dddd:aa{n:02x}:0/112" for n in range(MOST_NETWORKS))
    host = replace(call, namespace="", pods=(), networks=networks)
    plan = replace(plan_of("sandbox-aws"), reachable=(*services, host))
    texts = [
        variable["expression"]
        for policy in objects(plan)
        for variable in policy["spec"].get("variables", ())
    ]
    assert max(map(len, texts)) < 100_000, "a longer expression is refused in the middle of an `up`"


SAYS_NOTHING: Final[dict[str, Any]] = {"cluster__networks": []}
PUBLIC = ["52.216.0.0/16", "2600:1fa0:4000::/40"]


@pytest.mark.parametrize(
    ("rows", "over"),
    [
        ([HOST], {}),
        ([{**HOST, "networks": [*PUBLIC, "192.168.7.0/24"]}], {}),
        ([{**HOST, "networks": ["fd12:3456:789a::/48"]}], {}),
        ([{**HOST, "networks": ["172.20.0.1/32"], "port": 443}], {}),
        ([], {"registry__addresses": ["10.0.8.0/24"]}),
    ],
    ids=["a host", "among others", "IPv6", "EKS' Service of its API server", "the store"],
)
def test_a_private_network_is_opened_only_where_the_clusters_own_are_known(
    tmp_path: Path, rows: list[dict[str, Any]], over: dict[str, Any]
) -> None:
    (error,) = said_of(tmp_path, *rows, **over, **SAYS_NOTHING)
    assert (error.code, error.path) == ("E371", "cluster.networks")
    assert "Services and the API server" in error.message, "nothing else would hold it off them"


@pytest.mark.parametrize(
    ("rows", "over"),
    [
        ([], {}),
        ([REDIS], {}),
        ([{**HOST, "networks": PUBLIC}], {}),
        ([], {"registry__addresses": PUBLIC}),
    ],
    ids=["nothing", "a Service", "a public host", "S3"],
)
def test_whoever_opens_no_private_network_need_not_say(
    tmp_path: Path, rows: list[dict[str, Any]], over: dict[str, Any]
) -> None:
    assert said_of(tmp_path, *rows, **over, **SAYS_NOTHING) == []


@pytest.mark.parametrize("region", REGIONS)
def test_every_example_says_what_its_cluster_has_itself(tmp_path: Path, region: str) -> None:
    own = profiles()[region].cluster.networks
    assert len(own) >= 3, "pods, Services and the API server"
    for network in own:
        inside = f"{ip_network(network).network_address}/32"
        assert said_of(tmp_path, {**HOST, "networks": [inside]}, like=region), network


@pytest.mark.parametrize("region", ["sandbox-aws", "sandbox-onprem"])
def test_the_sandbox_has_the_networks_that_its_profiles_say(region: str) -> None:
    own = [ip_network(one) for one in profiles()[region].cluster.networks]
    simulated = (control_plane._SERVICE_RANGE, control_plane.SIMULATED_PODS)
    for text in (*simulated, SERVICE_RANGE, POD_RANGE):
        used = ip_network(text, strict=False)
        assert any(used.subnet_of(one) for one in own), f"{text} is not in {region}.yaml"  # type: ignore[arg-type]
