"""No project is named like a namespace that a platform's part or an add-on lives in."""

from __future__ import annotations

from typing import Any

import pytest

from model_specs.errors import SpecError, SpecErrors
from model_specs.names import CACHE_NAMESPACE, GATEWAY_NAMESPACE, RESERVED, SYSTEM_NAMESPACE
from regions.namespaces import PREFIXES, TAKEN
from regions.profile import RegionProfile
from regions.resolve import resolve
from tests.examples import a_model, a_profile, a_tree, profiles


def refusals(name: str, profile: RegionProfile) -> list[SpecError]:
    """What a region says of a project of that name."""
    tree = a_tree(a_model(project=name, name="model"))
    try:
        resolve(tree, profile, "here")
    except SpecErrors as refused:
        return list(refused.errors)
    return []


@pytest.mark.parametrize("name", [*TAKEN, *(f"{prefix}monitoring" for prefix in PREFIXES)])
def test_a_project_named_like_an_add_ons_namespace_is_refused_by_name(name: str) -> None:
    (error,) = refusals(name, a_profile())
    assert (error.code, error.file) == ("E314", f"model_specs/{name}/project.yaml")
    owners = [owner for word, owner in {**TAKEN, **PREFIXES}.items() if name.startswith(word)]
    says = [owner.name for owner in owners] + ["proxies", "scrapes metrics"]
    assert any(word in error.message for word in says), "a person wants to know whose it is"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"prometheus_url": "http://kps.observability.svc:9090"}, "observability"),
        (
            {"prometheus_url": "http://kps.observe.svc:9090", "prometheus_namespace": "scrapers"},
            "observe",
        ),
        ({"prometheus_namespace": "scrapers"}, "scrapers"),
        ({"proxy_namespaces": ("edge", "edge-two")}, "edge-two"),
        ({"grafana_url": "http://grafana.charts.svc:3000"}, "charts"),
    ],
)
def test_the_namespaces_of_a_profile_are_taken_in_that_region_alone(
    fields: dict[str, Any], name: str
) -> None:
    (error,) = refusals(name, a_profile(**fields))
    assert error.code == "E314"
    assert refusals(name, a_profile()) == [], "elsewhere the name is free"


def test_the_namespace_of_a_store_in_the_cluster_is_taken() -> None:
    registry = profiles()["seoul-dc1"].registry.model_copy(
        update={"endpoint": "http://store.ceph-objects.svc:80", "pod_port": 8080}
    )
    (error,) = refusals("ceph-objects", a_profile(registry=registry))
    assert "registry.endpoint" in error.message


def test_the_platforms_own_namespaces_are_no_projects_names() -> None:
    for name in (CACHE_NAMESPACE, GATEWAY_NAMESPACE, SYSTEM_NAMESPACE, "kube-node-lease"):
        assert name.split("-")[0] in RESERVED, "they are refused when the tree is read"


@pytest.mark.parametrize("name", ["search", "chat", "keda-models", "prom", "metrics", "istio"])
def test_other_names_are_free(name: str) -> None:
    assert refusals(name, a_profile()) == []
