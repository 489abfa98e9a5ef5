"""Which versions make room: a table of what people expect, and what holds for every disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model_cache.choice import Claim, Row
from components.model_cache.evict import GRACE_SECONDS, Held, going, in_bytes, may_go
from tests.cache_node import a_version as wanted

OLD = GRACE_SECONDS + 100.0


def a_version(
    digest: str,
    content: dict[str, int],
    seconds: float = OLD,
    *,
    project: str = "search",
    claim: Claim | None = None,
    place: int = 0,
    is_held: bool = True,
    is_there: bool = True,
    is_told: bool = False,
    in_use: bool = False,
) -> Held:
    row = None
    if claim is not None:
        row = Row(one=wanted(digest), claim=claim, place=place, is_held=is_held)
    return Held(
        project=project,
        digest=digest,
        row=row,
        is_there=is_there,
        is_told=is_told,
        in_use=in_use,
        unlisted_seconds=0.0 if row else seconds,
        content=content,
    )


CASES = {
    "nothing is needed": ([a_version("a", {"x": 5})], 0, "", 0),
    "the oldest goes": ([a_version("a", {"x": 5}), a_version("b", {"y": 5}, OLD + 1)], 5, "b", 5),
    "as many as it takes": ([a_version("a", {"x": 5}), a_version("b", {"y": 5})], 6, "ab", 10),
    "what pods need stays": ([a_version("a", {"x": 5}, claim=Claim.NEEDED)], 5, "", 0),
    "a pinned one stays": ([a_version("a", {"x": 5}, claim=Claim.PINNED)], 5, "", 0),
    "what unknown pods may need stays": ([a_version("a", {"x": 5}, claim=Claim.UNTOLD)], 5, "", 0),
    "of those that only fit the last goes first": (
        [a_version(d, {d: 5}, claim=Claim.SPARE, place=p) for d, p in (("a", 3), ("b", 4))],
        5,
        "b",
        5,
    ),
    "one that is held no more goes before one that is": (
        [
            a_version("a", {"x": 5}, claim=Claim.SPARE, place=4),
            a_version("b", {"y": 5}, claim=Claim.SPARE, place=3, is_held=False),
        ],
        5,
        "b",
        5,
    ),
    "an unlisted one goes before them": (
        [a_version("a", {"x": 5}, claim=Claim.SPARE, place=9), a_version("b", {"y": 5})],
        5,
        "b",
        5,
    ),
    "one that was listed a moment ago goes last where all pods are known": (
        [
            a_version("a", {"x": 5}, claim=Claim.SPARE, place=9),
            a_version("b", {"y": 5}, 1.0, is_told=True),
        ],
        6,
        "ab",
        10,
    ),
    "an open one stays": ([a_version("a", {"x": 5}, in_use=True)], 5, "", 0),
    "a moment ago it was listed": ([a_version("a", {"x": 5}, GRACE_SECONDS - 1)], 5, "", 0),
    "what a listed one has too frees nothing": (
        [a_version("a", {"x": 5, "y": 1}), a_version("b", {"x": 5}, claim=Claim.NEEDED)],
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
        [a_version("a", {"x": 5}), a_version("b", {"x": 5}, project="chat", claim=Claim.NEEDED)],
        5,
        "a",
        5,
    ),
}


@pytest.mark.parametrize(("held", "needed", "gone", "freed"), CASES.values(), ids=CASES.keys())
def test_who_makes_room(held: list[Held], needed: int, gone: str, freed: int) -> None:
    chosen, free = going(held, needed, None, in_bytes)
    assert "".join(row.digest for row in chosen) == gone
    assert free == freed


SIZES = {"v": 1, "w": 2, "x": 3, "y": 5, "z": 8}
rows = st.builds(
    Row,
    one=st.just(wanted("x")),
    claim=st.sampled_from(Claim),
    place=st.integers(0, 9),
    is_held=st.booleans(),
)
versions = st.builds(
    a_version,
    st.uuids().map(str),
    st.sets(st.sampled_from(sorted(SIZES)), min_size=1).map(lambda s: {k: SIZES[k] for k in s}),
    st.floats(0.0, 3 * GRACE_SECONDS),
    project=st.sampled_from(["search", "chat"]),
    claim=st.sampled_from([None, *Claim]),
    place=st.integers(0, 9),
    is_held=st.booleans(),
    is_there=st.booleans(),
    is_told=st.booleans(),
    in_use=st.booleans(),
)


def total(rows: list[Held]) -> int:
    return sum({(r.project, s): size for r in rows for s, size in r.content.items()}.values())


@given(st.lists(versions, max_size=12), st.integers(0, 40), st.none() | rows)
def test_what_goes_may_go_and_is_enough_when_that_is_possible(
    held: list[Held], need: int, coming: Row | None
) -> None:
    chosen, freed = going(held, need, coming, in_bytes)
    assert all(may_go(row, coming) for row in chosen), "never what is needed, open or pinned"
    stronger = [r.row for r in chosen if r.row and r.row.is_held]
    assert coming is None or all(row.place > coming.place for row in stronger), "by their places"
    rest = [row for row in held if row not in chosen]
    assert total(held) - total(rest) == freed, "what it promises comes free"
    most = total(held) - total([row for row in held if not may_go(row, coming)])
    assert freed >= min(need, most), "the budget is kept whenever it can be"
    if chosen:
        before = [row for row in held if row not in chosen[:-1]]
        assert total(held) - total(before) < need, "nobody goes without need"
