"""Which versions make room: a table of what people expect, and what holds for every disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model_cache.evict import GRACE_SECONDS, Held, going, may_go

OLD = GRACE_SECONDS + 100.0


def a_version(
    digest: str,
    content: dict[str, int],
    seconds: float = OLD,
    *,
    project: str = "search",
    listed: bool = False,
    in_use: bool = False,
) -> Held:
    return Held(
        project=project,
        digest=digest,
        listed=listed,
        in_use=in_use,
        unlisted_seconds=seconds,
        content=content,
    )


CASES = {
    "nothing is needed": ([a_version("a", {"x": 5})], 0, "", 0),
    "the oldest goes": ([a_version("a", {"x": 5}), a_version("b", {"y": 5}, OLD + 1)], 5, "b", 5),
    "as many as it takes": ([a_version("a", {"x": 5}), a_version("b", {"y": 5})], 6, "ab", 10),
    "a listed one stays": ([a_version("a", {"x": 5}, listed=True)], 5, "", 0),
    "an open one stays": ([a_version("a", {"x": 5}, in_use=True)], 5, "", 0),
    "a moment ago it was listed": ([a_version("a", {"x": 5}, GRACE_SECONDS - 1)], 5, "", 0),
    "what a listed one has too frees nothing": (
        [a_version("a", {"x": 5, "y": 1}), a_version("b", {"x": 5}, listed=True)],
        3,
        "a",
        1,
    ),
    "what two have goes with the second": (
        [a_version("a", {"x": 5}, OLD + 1), a_version("b", {"x": 5})],
        5,
        "ab",
        5,
    ),
    "projects share nothing": (
        [a_version("a", {"x": 5}), a_version("b", {"x": 5}, project="chat", listed=True)],
        5,
        "a",
        5,
    ),
}


@pytest.mark.parametrize(("held", "needed", "gone", "freed"), CASES.values(), ids=CASES.keys())
def test_who_makes_room(held: list[Held], needed: int, gone: str, freed: int) -> None:
    chosen, free = going(held, needed)
    assert "".join(row.digest for row in chosen) == gone
    assert free == freed


SIZES = {"v": 1, "w": 2, "x": 3, "y": 5, "z": 8}
versions = st.builds(
    a_version,
    st.uuids().map(str),
    st.sets(st.sampled_from(sorted(SIZES)), min_size=1).map(lambda s: {k: SIZES[k] for k in s}),
    st.floats(0.0, 3 * GRACE_SECONDS),
    project=st.sampled_from(["search", "chat"]),
    listed=st.booleans(),
    in_use=st.booleans(),
)


def total(rows: list[Held]) -> int:
    return sum({(r.project, s): size for r in rows for s, size in r.content.items()}.values())


@given(st.lists(versions, max_size=12), st.integers(0, 40))
def test_what_goes_may_go_and_is_enough_when_that_is_possible(held: list[Held], need: int) -> None:
    chosen, freed = going(held, need)
    assert all(may_go(row) for row in chosen), "never a listed, open or lately listed one"
    rest = [row for row in held if row not in chosen]
    assert total(held) - total(rest) == freed, "what it promises comes free"
    most = total(held) - total([row for row in held if not may_go(row)])
    assert freed >= min(need, most), "the budget is kept whenever it can be"
    if chosen:
        before = [row for row in held if row not in chosen[:-1]]
        assert total(held) - total(before) < need, "nobody goes without need"
    ages = [row.unlisted_seconds for row in chosen]
    assert ages == sorted(ages, reverse=True), "the longest unlisted first"
