"""The agent holds what its node's pods need; what only fits makes room for it, and never them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.model_cache import notices
from components.model_cache.config import Wanted
from components.model_registry import ranges
from tests.cache_node import Node
from tests.counted_store import Counted, counted_store

MIB = 1024**2
PROJECT = "sets"


@pytest.fixture(scope="module")
def store() -> Iterator[Counted]:
    with counted_store() as found:
        yield found


@pytest.fixture(scope="module")
def models(store: Counted) -> list[Wanted]:
    """Twelve of a MiB each."""
    return [
        store.push({"w.bin": random.Random(f"sets {n}").randbytes(MIB)}, f"{PROJECT}/m{n}:v1")
        for n in range(12)
    ]


@pytest.fixture
def node(tmp_path: Path, store: Counted) -> Node:
    """With room for four, and no pods yet."""
    return Node(tmp_path, store.store, budget_bytes=4 * MIB, needs={PROJECT: frozenset()})


def need(node: Node, *models: Wanted) -> None:
    """Let the scheduler put pods of these models on the node, and no others."""
    node.needs = {PROJECT: frozenset((one.model, one.digest) for one in models)}


def held(node: Node) -> set[str]:
    return set(node.shelf(PROJECT).versions())


def test_as_many_are_held_as_fit_and_the_others_are_no_failure(
    node: Node, models: list[Wanted]
) -> None:
    node.hold(*models)
    assert len(held(node)) == 4
    assert node.signs.ready, "a node need not hold what nobody needs here"
    assert node.metric("models", state="held") == 4
    assert node.metric("models", state="elsewhere") == 8
    assert node.metric("failures_total", project=PROJECT, reason="disk_full") == 0
    assert node.metric("unknown_projects") == 0


def test_what_a_pod_needs_comes_and_what_only_fits_makes_room(
    node: Node, models: list[Wanted]
) -> None:
    node.hold(*models)
    before = held(node)
    absent = [one for one in models if one.digest not in before]
    need(node, *absent[:3])
    for _ in range(3):
        node.turn(*models)
    assert {one.digest for one in absent[:3]} < held(node), "without waiting for a chance"
    assert len(held(node) & before) == 1
    assert node.metric("evicted_total", project=PROJECT) == 3


def test_what_pods_need_never_makes_room_for_anything(node: Node, models: list[Wanted]) -> None:
    need(node, *models[:4])
    node.hold(*models)
    assert held(node) == {one.digest for one in models[:4]}
    need(node, *models[:5])
    node.hold(*models)
    assert held(node) == {one.digest for one in models[:4]}
    notice = notices.read(node.shelf(PROJECT), models[4].digest)
    assert notice, "the fifth pod is told"
    assert notice.refused
    assert "cache fewer models" in notice.trouble
    need(node, *models[1:5])
    node.hold(*models)
    assert held(node) == {one.digest for one in models[1:5]}, "the first one's pod has gone"


def test_a_version_that_is_no_longer_listed_is_held_for_the_pods_that_it_still_has(
    node: Node, models: list[Wanted]
) -> None:
    need(node, models[0])
    node.hold(*models[1:])
    assert models[0].digest in held(node), "an old pod of a rollout has moved here"
    need(node)
    for _ in range(3):
        node.hold(*models[1:])
    assert models[0].digest in held(node), "it is in nobody's way within the hour"
    need(node, *models[1:5])
    node.hold(*models[1:])
    assert held(node) == {one.digest for one in models[1:5]}, "and now it is"


def test_a_pinned_version_is_on_every_node(tmp_path: Path, store: Counted) -> None:
    pushed = store.push({"w.bin": random.Random("pin").randbytes(MIB)}, f"{PROJECT}/pin:v1")
    others = [
        store.push({"w.bin": random.Random(f"o{n}").randbytes(MIB)}, f"{PROJECT}/o{n}:v1")
        for n in range(6)
    ]
    pinned = Wanted(
        project=pushed.project,
        model=pushed.model,
        address=pushed.address,
        digest=pushed.digest,
        bytes=pushed.bytes,
        pinned=True,
    )
    for name in ("a", "b", "c"):
        node = Node(tmp_path / name, store.store, budget_bytes=2 * MIB)
        need(node, others[0])
        node.hold(*others, pinned)
        assert held(node) == {pinned.digest, others[0].digest}


def test_what_nobody_waits_for_gives_way_half_fetched(
    node: Node, models: list[Wanted], store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "RANGE_BYTES", MIB // 8)
    node.turn(*models)
    node.turn(*models)
    absent = [one for one in models if one.digest not in held(node)]
    told, seen = node.signs.fetched, list[str]()

    def fetched(*args: Any) -> None:
        told(*args)
        if not seen:  # a pod comes while another model is fetched
            need(node, absent[-1])
            seen.append("a pod")

    monkeypatch.setattr(node.signs, "fetched", fetched)
    before = held(node)
    node.turn(*models)
    assert held(node) == before, "nothing was finished"
    node.turn(*models)
    assert held(node) - before == {absent[-1].digest}, "the pod's model came first"
    node.hold(*models)
    assert len(held(node)) == 4, "the other is gone on with"
    assert node.metric("failures_total", project=PROJECT, reason="registry") == 0
