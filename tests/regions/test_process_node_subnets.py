"""Every node has a pod network that no other has, and an address rests before it is used again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regions.sandbox import layout
from regions.sandbox.errors import SandboxError
from regions.sandbox.networks import FIRST_POD_SUBNET, LAST_SUBNET
from regions.sandbox.process_node.subnets import PAUSE_SECONDS, Addresses, claim, give_back


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "HOME", tmp_path)


def test_nodes_that_come_at_once_get_networks_of_their_own_and_keep_them() -> None:
    nodes = [f"node-{number}" for number in range(40)]
    with ThreadPoolExecutor(16) as pool:
        first = dict(zip(nodes, pool.map(lambda node: claim("r", node), nodes), strict=True))
    assert sorted(first.values()) == list(range(FIRST_POD_SUBNET, FIRST_POD_SUBNET + 40))
    assert {node: claim("r", node) for node in nodes} == first, "a node keeps its network"
    assert claim("other", "node-0") == FIRST_POD_SUBNET, "another region has networks of its own"


def test_a_network_that_is_given_back_is_the_next_ones() -> None:
    for node in ("a", "b", "c"):
        claim("r", node)
    give_back("r", "b")
    assert claim("r", "d") == FIRST_POD_SUBNET + 1
    assert claim("r", "a") == FIRST_POD_SUBNET, "others keep theirs"


def test_a_region_without_a_free_network_says_so(tmp_path: Path) -> None:
    for number in range(FIRST_POD_SUBNET, LAST_SUBNET + 1):
        claim("r", f"node-{number}")
    with pytest.raises(SandboxError, match="node late"):
        claim("r", "late")
    assert len(list((tmp_path / "r" / "subnets").iterdir())) == 240, "nothing else is left there"


def test_the_lowest_address_is_taken_and_a_freed_one_rests() -> None:
    addresses = Addresses("127.9.16")
    assert [addresses.take(0) for _ in range(3)] == ["127.9.16.1", "127.9.16.2", "127.9.16.3"]
    addresses.free("127.9.16.2", 10)
    assert addresses.take(11) == "127.9.16.4", "somebody may still send to the one just freed"
    assert addresses.take(10 + PAUSE_SECONDS) == "127.9.16.2"


def test_when_all_others_are_taken_the_one_that_rested_longest_is_used() -> None:
    addresses = Addresses("127.9.16")
    every = [addresses.take(0) for _ in range(254)]
    assert len(set(every)) == 254
    assert addresses.node not in every, "the node's own address is no pod's"
    with pytest.raises(SandboxError, match="254"):
        addresses.take(1)
    addresses.free("127.9.16.9", 5)
    addresses.free("127.9.16.3", 6)
    assert [addresses.take(7), addresses.take(7)] == ["127.9.16.9", "127.9.16.3"]
