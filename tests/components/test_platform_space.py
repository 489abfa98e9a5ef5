"""The platform's own namespaces and priorities, where the region lets us make them."""

from __future__ import annotations

import pytest

from components.platform_space import objects
from tests.builders import a_region_plan
from tests.examples import REGIONS, identity, objects_of, of_kind, plan_of

every_region = pytest.mark.parametrize("region", REGIONS)
LEVEL = "pod-security.kubernetes.io/enforce"


@every_region
def test_only_the_cache_agents_namespace_is_privileged(region: str) -> None:
    found = {
        identity(made).name: made["metadata"]["labels"][LEVEL]
        for made in of_kind("Namespace", objects_of(region))
    }
    loose = {name for name, level in found.items() if level != "restricted"}
    assert loose <= {"isoserve-cache"}, "the agent alone writes to the nodes' disks"


@every_region
def test_every_namespace_says_how_strict_it_is(region: str) -> None:
    for made in of_kind("Namespace", objects_of(region)):
        labels = made["metadata"]["labels"]
        for mode in ("audit", "enforce", "warn"):
            assert f"pod-security.kubernetes.io/{mode}" in labels, identity(made).name
        assert labels["pod-security.kubernetes.io/enforce-version"], "a level is of a version"


@every_region
def test_a_guest_makes_nothing_of_the_clusters(region: str) -> None:
    if "cluster_scope" in plan_of(region).capabilities:
        assert objects(plan_of(region)), "who may, does"
    else:
        assert objects(plan_of(region)) == []


def test_serving_goes_before_what_may_wait() -> None:
    values = {
        identity(made).name: made["value"]
        for made in of_kind("PriorityClass", objects(plan_of("sandbox-aws")))
    }
    assert values["isoserve-standard"] > values["isoserve-preemptible"], (
        "a batch job gives way to a server"
    )
    assert len(values) == 2, "each is some pod's"
    assert all(value < 1_000_000_000 for value in values.values()), (
        "above a billion is the system's own"
    )


def test_no_priority_is_anybodys_default() -> None:
    for made in of_kind("PriorityClass", objects(a_region_plan())):
        assert "globalDefault" not in made, "strangers' pods in the cluster are not ours to rank"
