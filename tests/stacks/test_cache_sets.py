"""What the commands say of 300 models on nodes that hold 25 of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.stacks.conftest import Isoserve

GIB = 1024**3
PROFILE = "regions/us-east-1.yaml"
POOL = {
    "instance_types": ["g6.12xlarge"],
    "replicas_per_node": 4,
    "on_demand": {"min": 0, "max": 100},
    "cache_disk_gib": 400,
}


@pytest.fixture
def many(here: Path) -> Path:
    """A tree of 300 models of 16 GiB in one region, four on each node."""
    profile = yaml.safe_load((here / PROFILE).read_text())
    profile["machines"]["gpu.l4.1"].update(POOL)
    (here / PROFILE).write_text(yaml.safe_dump(profile))
    team = here / "model_specs" / "many"
    team.mkdir()
    room = {"gpu_quota": {"gpu.l4.1": 400}, "cpu_quota": 4000, "memory_quota_gib": 16000}
    members = {"admins": ["leads"], "developers": ["ml"], "viewers": ["oncall"]}
    (team / "project.yaml").write_text(yaml.safe_dump({"members": members, **room}))
    facts = {}
    for number in range(300):
        address = f"many/m{number}:v1@sha256:{number:064x}"
        facts[address] = {"bytes": 16 * GIB, "files": 3}
        spec = {
            "machine_type": "gpu.l4.1",
            "image": f"registry.example.com/many/server@sha256:{1:064x}",
            "model": address,
            "regions": ["us-east-1"],
            "scaling": {"min": 1, "max": 1},
        }
        (team / f"m{number}.yaml").write_text(yaml.safe_dump(spec))
    (team / "models.lock.yaml").write_text(yaml.safe_dump({"models": facts}))
    return here


def edit_spec(root: Path, model: str, **fields: object) -> None:
    path = root / "model_specs" / f"{model}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **fields}))


def test_check_has_nothing_to_say_and_plan_says_what_a_node_holds(
    isoserve: Isoserve, many: Path
) -> None:
    answer = isoserve("check")
    assert answer.code == 0, answer.out[-2000:]
    assert "E381" not in answer.out
    assert isoserve("policy", "-r", "us-east-1").code == 0, "the judge counts as `check` does"
    told = isoserve("plan", "-r", "us-east-1").out
    assert "gpu.l4.1  a node holds 0.0 GB of pinned versions, those of its own pods, and " in told
    assert "others up to 429.5 GB, of " in told


def test_one_that_no_node_has_room_for_is_refused_by_name(isoserve: Isoserve, many: Path) -> None:
    for number in range(30):
        edit_spec(many, f"many/m{number}", cache="always")
    answer = isoserve("check")
    assert answer.code != 0
    assert "machines.gpu.l4.1.cache_disk_gib  E381" in answer.out
    assert "30 pinned, 4 of its replicas, and one that comes" in answer.out
