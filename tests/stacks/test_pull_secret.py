"""`pull_secret`: which pods name it, and what the rules say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.stacks.conftest import Isoserve, edit

REGION: Final = "us-east-1"
OWN: Final = "search"
"""The project that has a pull secret of its own."""


@pytest.fixture
def tree(tree: Path) -> Path:
    """The example tree with pull secrets in one region and in one project."""
    edit(tree / "regions" / f"{REGION}.yaml", "\nregistry: ", "\npull_secret: mirror\nregistry: ")
    with (tree / "model_specs" / OWN / "project.yaml").open("a") as file:
        file.write("pull_secret: team-registry\n")
    return tree


def pods(isoserve: Isoserve, region: str) -> dict[str, Any]:
    """The specs of all pods that a region would have, by kind, namespace and name."""
    done = isoserve("render", "--region", region)
    assert done.code == 0, done.err
    found = {}
    for one in yaml.safe_load_all(done.out):
        spec = (one or {}).get("spec") or {}
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec and "containers" in spec["template"].get("spec", {}):
            name = f"{one['kind']}/{one['metadata']['namespace']}/{one['metadata']['name']}"
            found[name] = spec["template"]["spec"]
    return found


def test_every_pod_names_the_regions_secret_and_its_projects_own(
    here: Path, isoserve: Isoserve
) -> None:
    found = pods(isoserve, REGION)
    kinds = {name.split("/")[0] for name in found}
    assert kinds == {"CronJob", "DaemonSet", "Deployment", "Job"}, "each kind of pod of ours"
    for name, spec in found.items():
        own = ["team-registry"] if name.split("/")[1] == OWN else []
        named = [one["name"] for one in spec["imagePullSecrets"]]
        assert named == ["mirror", *own], f"{name}: its node pulls by these"


def test_elsewhere_pods_name_the_projects_own_alone(here: Path, isoserve: Isoserve) -> None:
    for name, spec in pods(isoserve, "seoul-dc1").items():
        own = [{"name": "team-registry"}] if name.split("/")[1] == OWN else None
        assert spec.get("imagePullSecrets") == own, f"{name}: an empty list is not kept"


def test_a_secret_of_both_is_named_once(here: Path, isoserve: Isoserve) -> None:
    edit(here / "model_specs" / OWN / "project.yaml", "team-registry", "mirror")
    assert all(
        spec["imagePullSecrets"] == [{"name": "mirror"}] for spec in pods(isoserve, REGION).values()
    ), "the API server merges this list by name"


@pytest.mark.parametrize("judge", ["check", "policy", "parity"])
def test_the_judges_find_nothing(here: Path, isoserve: Isoserve, judge: str) -> None:
    done = isoserve(judge)
    assert done.code == 0, done.out + done.err


def test_no_container_has_the_regions_secret_as_files(here: Path, isoserve: Isoserve) -> None:
    spec = here / "model_specs" / OWN / "sentiment.yaml"
    with spec.open("a") as file:
        file.write("secrets: [{name: mirror, mount: /secrets/mirror}]\n")
    done = isoserve("policy", "--region", REGION)
    assert done.code == 1
    assert "shows the pull secret mirror to model-server" in done.out
    edit(spec, "name: mirror", "name: team-registry")
    assert isoserve("policy", "--region", REGION).code == 0, "its own it may read anyway"


@pytest.mark.parametrize("name", ["Mirror", "-a", "a_b", "a..b", "x" * 254])
def test_what_no_secret_is_called_is_refused(here: Path, isoserve: Isoserve, name: str) -> None:
    edit(here / "regions" / f"{REGION}.yaml", "pull_secret: mirror", f"pull_secret: {name}")
    edit(here / "model_specs" / OWN / "project.yaml", "team-registry", name)
    done = isoserve("check")
    assert done.code == 1
    assert done.out.count("  pull_secret  ") == 2, done.out
