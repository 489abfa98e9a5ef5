"""A profile's change that renews or replaces nodes says which, in what order, and what moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regions.pools import demand
from stacks.reviewing.node_changes import RENEWED, REPLACED
from tests.examples import plan_of
from tests.stacks.conftest import Isoserve, edit

USE1, SEOUL = "regions/us-east-1.yaml", "regions/seoul-dc1.yaml"
L4_MODELS = ("chat/helper", "search/embedder", "search/nightly-index", "search/sentiment",
             "vision/tagger")  # fmt: skip
WIDER = ("[g6.2xlarge]", "[g6.2xlarge, gr6.4xlarge]")
LARGER = ("cache_disk_gib: 3000", "cache_disk_gib: 3500")
WALLED = ("node_security_group_ids: []", "node_security_group_ids: [sg-0123456789abcdef0]")
SUBNET = ("[subnet-01a, subnet-01b, subnet-01c]", "[subnet-01a, subnet-01b, subnet-01d]")
FREER = ("  jwks_uri: https://oidc.eks", "  disk_free_percent: 25\n  jwks_uri: https://oidc.eks")


@pytest.fixture(autouse=True)
def _no_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stacks.policy.RULES", ())
    monkeypatch.setattr("stacks.policy.resources", lambda plan, root, rendered: [])


def review(isoserve: Isoserve, repo: Path, *edits: tuple[str, str]) -> dict[str, Any]:
    for old, new in edits:
        edit(repo / USE1, old, new)
    data: dict[str, Any] = isoserve("review", "--json", "-r", "us-east-1").data
    return data


def nodes(data: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["machine_type"], row["capacity"]): row for row in data["nodes"]}


def moves(data: dict[str, Any], model: str) -> str:
    (row,) = (one for one in data["models"] if one["id"] == model)
    return "; ".join(e["text"] for found in row["effects"] for e in found["effects"])


def test_another_instance_type_replaces_both_groups_of_the_pool(
    isoserve: Isoserve, repo: Path
) -> None:
    found = nodes(review(isoserve, repo, WIDER))
    assert found.keys() == {("gpu.l4.1", "on_demand"), ("gpu.l4.1", "spot")}
    row = found["gpu.l4.1", "on_demand"]
    assert row["how"] == REPLACED
    assert row["because"] == ["spec.instance_types[1]"]
    assert row["models"] == list(L4_MODELS)
    assert row["order"].startswith("a new group is made first, then all old nodes are drained")


def test_every_pod_node_and_byte_of_the_pool_is_counted(isoserve: Isoserve, repo: Path) -> None:
    row = nodes(review(isoserve, repo, WIDER))["gpu.l4.1", "on_demand"]
    plan = plan_of("us-east-1")
    _, most, _ = demand(plan.servers, plan.jobs)["gpu.l4.1", "on_demand"]
    assert row["pods"][1] == most, "all models and the job's pods"
    (pool,) = (one for one in plan.pools if one.machine_type == "gpu.l4.1")
    (group,) = (one for one in pool.groups if one.capacity == "on_demand")
    assert row["nodes"] == [group.desired, group.max]
    (cache,) = (one for one in plan.caches if one.machine_type == "gpu.l4.1")
    kept = sum(one.bytes for one in cache.models)
    own = sum(
        track.weights.bytes * track.scaler.max
        for server in plan.servers
        for track in server.tracks
        if track.weights.mode == "download" and track.placement.machine_type == "gpu.l4.1"
    )
    assert row["fetched_bytes"][1] == kept * group.max + own


def test_the_comment_counts_what_moves(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / USE1, *WIDER)
    out = isoserve("review", "-r", "us-east-1").out
    assert "Reaches 5 of 8 models; up to 12 pods of models restart; up to 100 nodes" in out, (
        "10 pods of servers, 2 of the job; 60 nodes on demand and 40 spot"
    )
    assert "are made anew and fetch 2819.1 GB." in out


@pytest.mark.parametrize(
    ("change", "machines", "because"),
    [
        (LARGER, {"gpu.l40s.4"}, "spec.volume_gib"),
        (FREER, {"cpu.4", "gpu.l4.1", "gpu.l40s.4"}, "spec.volume_gib"),
        (WALLED, {"cpu.4", "gpu.l4.1", "gpu.l40s.4"}, "spec.security_groups[0]"),
    ],
)
def test_another_template_renews_the_nodes(
    isoserve: Isoserve, repo: Path, change: tuple[str, str], machines: set[str], because: str
) -> None:
    found = nodes(review(isoserve, repo, change))
    assert {machine for machine, _ in found} == machines
    for row in found.values():
        assert (row["how"], row["because"]) == (RENEWED, [because])
        assert "one old node after the other is drained" in row["order"]


def test_other_subnets_replace_every_group(isoserve: Isoserve, repo: Path) -> None:
    found = nodes(review(isoserve, repo, SUBNET))
    assert {machine for machine, _ in found} == {"cpu.4", "gpu.l4.1", "gpu.l40s.4"}
    assert {row["how"] for row in found.values()} == {REPLACED}


def test_a_group_that_is_replaced_is_not_renewed_too(isoserve: Isoserve, repo: Path) -> None:
    found = nodes(review(isoserve, repo, WIDER, WALLED))
    assert {row["how"] for (machine, _), row in found.items() if machine == "gpu.l4.1"} == {
        REPLACED
    }
    assert found["cpu.4", "on_demand"]["how"] == RENEWED


def test_a_model_whose_own_objects_stay_says_what_happens_to_it(
    isoserve: Isoserve, repo: Path
) -> None:
    data = review(isoserve, repo, LARGER)
    said = moves(data, "chat/assistant")
    assert (
        "1 to 2 pods of assistant move, up to 16 min each: its nodes are renewed (1 to 12" in said
    )
    assert "141.1 GB fetched again by each of 1 to 12 new nodes" in said
    assert "no pod restarts" not in said


def test_a_download_is_fetched_again_by_each_pod(isoserve: Isoserve, repo: Path) -> None:
    said = moves(review(isoserve, repo, WIDER), "search/embedder")
    assert "0.6 GB fetched again by each pod that moves" in said, "it is below what is cached"


def test_a_run_of_a_job_that_is_under_way_is_lost(isoserve: Isoserve, repo: Path) -> None:
    said = moves(review(isoserve, repo, WIDER), "search/nightly-index")
    assert "a run that is under way loses" in said


def test_a_pod_that_restarts_and_moves_is_counted_once(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / "model_specs/chat/assistant.yaml", "16384", "32768")
    edit(repo / USE1, *LARGER)
    out = isoserve("review", "-r", "us-east-1").out
    assert "up to 2 pods of models restart; up to 12 nodes" in out


def test_bounds_and_prices_move_no_node(isoserve: Isoserve, repo: Path) -> None:
    edits = (("{min: 2, max: 60}", "{min: 3, max: 70}"), ("on_demand: 0.9776", "on_demand: 0.9"))
    data = review(isoserve, repo, *edits)
    assert data["nodes"] == [], "an autoscaler's bounds are set in place"
    assert "are made anew" not in isoserve("review", "-r", "us-east-1").out


def test_a_new_pool_renews_nothing(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / "model_specs/search/ranker.yaml", "machine_type: cpu.4", "machine_type: gpu.l4.1")
    assert review(isoserve, repo)["nodes"] == [], "the model says itself that it moves"


def test_listed_nodes_are_never_made_anew(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / SEOUL, "cache_disk_gib: 8000", "cache_disk_gib: 9000")
    assert isoserve("review", "--json", "-r", "seoul-dc1").data["nodes"] == []
