"""Which versions a node holds: what its pods need, what is pinned, and as many others as fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from components.model_cache.choice import Choice, Claim, Key, choose
from components.model_cache.config import Config, Wanted
from components.model_cache.scheduled import Needs
from tests.cache_node import GIB, a_version

SIZE = 16 * GIB
BUDGET = 400 * GIB
MANY = [
    a_version(sha256(str(index).encode()).hexdigest(), SIZE, f"m{index}") for index in range(300)
]
NODES = [f"node-{index}" for index in range(40)]
NO_PODS: Needs = {"search": frozenset()}


def chosen(
    node: str,
    models: Iterable[Wanted],
    needs: Needs = NO_PODS,
    budget_bytes: int = BUDGET,
) -> Choice:
    config = Config(budget_bytes=budget_bytes, disk_free_percent=0, models=tuple(models))
    return choose(config, needs, node, budget_bytes)


def held(choice: Choice) -> set[Key]:
    return {key for key, row in choice.items() if row.is_held}


def needing(*models: Wanted) -> Needs:
    return {"search": frozenset((one.model, one.digest) for one in models)}


def key(one: Wanted) -> Key:
    return one.project, one.digest


def test_a_node_of_400_gib_holds_25_of_300_models_of_16() -> None:
    assert {len(held(chosen(node, MANY))) for node in NODES} == {25}, "400 / 16, and no byte more"


def test_everything_is_held_where_everything_fits() -> None:
    assert held(chosen("node-1", MANY[:25])) == {key(one) for one in MANY[:25]}


def test_what_pods_of_the_node_need_and_what_is_pinned_is_held_first() -> None:
    pinned = a_version("f" * 64, SIZE, "guard", pinned=True)
    choice = chosen("node-1", [*MANY, pinned], needing(*MANY[:4]))
    assert held(choice) >= {key(one) for one in (*MANY[:4], pinned)}
    first = [row.claim for row in choice.values()][:6]
    assert first == [Claim.NEEDED] * 4 + [Claim.PINNED, Claim.SPARE]
    assert len(held(choice)) == 25, "the others fit beside them"


def test_what_is_needed_or_pinned_is_told_even_where_it_does_not_fit() -> None:
    choice = chosen("node-1", MANY, needing(*MANY[:3]), budget_bytes=2 * SIZE)
    assert held(choice) == {key(one) for one in MANY[:3]}, "its pods hear why it is not there"


def test_the_next_version_of_what_runs_here_comes_before_all_that_only_fits() -> None:
    old, new = (a_version(letter * 64, SIZE, "sentiment") for letter in "ab")
    for node in NODES:
        assert key(new) in held(chosen(node, [*MANY, old, new], needing(old)))
        beside = chosen(node, [*MANY, new], needing(old))
        assert key(new) in held(beside), "the old one is listed no more, and its pods are there"
        tight = chosen(node, [*MANY, new], needing(old), SIZE)
        assert key(new) in held(tight), "that it has no room is a failure, which is told"
        assert beside[key(old)].claim is Claim.NEEDED, "a rollout's old pods may start again"


def test_nothing_is_left_out_while_it_is_not_known_what_pods_need() -> None:
    other = a_version("e" * 64, SIZE, "x", project="chat")
    choice = chosen("node-1", [*MANY, other])
    assert choice["chat", other.digest].claim is Claim.UNTOLD
    assert key(other) in held(choice), "its pods may be here"
    assert len(held(chosen("node-1", MANY, {}))) == 300, "as if all were needed, till all is full"


def test_a_pod_of_a_project_without_models_here_moves_nothing() -> None:
    needs = {**NO_PODS, "stranger": frozenset({("m", "d" * 64)})}
    assert chosen("node-1", MANY, needs) == chosen("node-1", MANY)


def test_one_of_300_that_comes_or_goes_moves_at_most_one_on_each_node() -> None:
    moved = Counter[int]()
    for node in NODES:
        all_of_them, without = held(chosen(node, MANY)), held(chosen(node, MANY[1:]))
        assert len(all_of_them - without) == len(without - all_of_them) <= 1
        moved[len(all_of_them - without)] += 1
        assert (all_of_them - without) <= {key(MANY[0])}, "only the one that goes makes way"
    assert moved[1] < len(NODES) // 2, f"a twelfth of the nodes held it, moved: {moved}"


def test_a_pod_that_comes_moves_at_most_one() -> None:
    for one in MANY[:50]:
        before, after = held(chosen("node-1", MANY)), held(chosen("node-1", MANY, needing(one)))
        assert after - before <= {key(one)}
        assert len(before - after) <= 1


def test_nodes_hold_different_ones_and_every_one_is_on_some() -> None:
    copies = Counter(one for node in NODES for one in held(chosen(node, MANY)))
    assert len(copies) > 280, "40 nodes hold 1000 copies of 300 versions"
    assert max(copies.values()) <= 12, "and no one is everywhere"


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@given(sizes, st.integers(0, 200), st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29)))
def test_what_only_fits_never_takes_more_than_the_budget(
    gib: list[int], budget: int, needed: set[int], pinned: set[int]
) -> None:
    models = [
        a_version(sha256(str(i).encode()).hexdigest(), size, f"m{i}", pinned=i in pinned)
        for i, size in enumerate(gib)
    ]
    needs = needing(*(models[i] for i in needed if i < len(models)))
    choice = chosen("node", models, needs, budget)
    assert choice.keys() == {key(one) for one in models}
    rows = [row for row in choice.values() if row.is_held]
    fixed = sum(row.one.bytes for row in rows if not row.may_yield)
    assert sum(row.one.bytes for row in rows) <= max(budget, fixed)
    left = budget - sum(row.one.bytes for row in rows)
    assert all(row.is_held or row.one.bytes > left for row in choice.values()), "no room is idle"
