"""Agents as each other's source: what they give, and to whom."""

from __future__ import annotations

import http.client
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.model_cache import agent_pod, serve
from components.model_cache.tokens import Tokens
from components.model_registry import keys, peer_token
from tests.cache_node import Node
from tests.counted_store import Counted, client_of, counted_store, sha256
from tests.peer_nodes import (
    ASKER,
    GIVER,
    agent,
    asking_of,
    config_of,
    content,
    free_port,
    given,
    held,
    know_token,
    pushed,
)

TOKEN = "7" * 64


@pytest.fixture(scope="module")
def server() -> Iterator[Counted]:
    with counted_store() as found:
        yield found


@pytest.fixture
def store(server: Counted) -> Counted:
    server.reads.clear()
    return server


@pytest.fixture
def giver(store: Counted, tmp_path: Path) -> Node:
    return Node(tmp_path / "giver", store.store)


@pytest.fixture
def asker(store: Counted, tmp_path: Path) -> Node:
    return Node(tmp_path / "asker", store.store)


# -- what is given ---------------------------------------------------------------------------


def test_the_second_node_reads_nothing_of_the_registry(
    giver: Node, asker: Node, store: Counted
) -> None:
    files = {"w.bin": content(3 * 2**20, 1), "sub/c.json": b"{}", "empty": b""}
    one = pushed(store, files, "second/model:v1")
    with given(giver, one) as port:
        store.reads.clear()
        asking_of(asker, GIVER, port).hold(one)
    assert asker.files(one) == files
    assert store.reads == [("/isoserve-models-test/second/peers/token", "")], (
        "one request, for the right to ask; weights cross the registry's line once"
    )
    assert asker.metric("peer_bytes_total", project="second") == 3 * 2**20 + 2
    assert asker.metric("fetched_bytes_total", project="second") == 0


def test_a_node_fills_from_a_peer_while_the_registry_is_away(
    giver: Node, store: Counted, tmp_path: Path
) -> None:
    files = {"w.bin": content(2**20, 2)}
    one = pushed(store, files, "away/model:v1")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        away = client_of(f"http://127.0.0.1:{nobody.getsockname()[1]}")
        asker = Node(tmp_path / "asker", away)
        with given(giver, one) as port:
            know_token(asker, "away", peer_token.read(store.store, "away"))
            store.reads.clear()
            asking_of(asker, GIVER, port).hold(one)
    assert asker.files(one) == files, "manifest and content came from the peer"
    assert store.reads == []


def test_two_agents_as_they_run_on_two_nodes(store: Counted, tmp_path: Path) -> None:
    files = {"w.bin": content(8 * 2**20, 3), "c.json": b"{}"}
    one = pushed(store, files, "nodes/model:v1")
    config = config_of(tmp_path / "models.json", one)
    port = free_port()
    with agent(store, tmp_path / "one", config, GIVER, ASKER, port):
        held(store, tmp_path / "one", one)
        store.reads.clear()
        with agent(store, tmp_path / "two", config, ASKER, GIVER, port):
            held(store, tmp_path / "two", one)
    assert not store.blob_reads(), "the second node's weights came from the first"
    assert not [key for key, _ in store.reads if "/manifests/" in key]
    token = tmp_path / "two" / ".isoserve" / "nodes" / "token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600, "who has it may read the project's models"


def test_what_is_rendered_is_what_the_agent_serves() -> None:
    assert agent_pod.PEER_PORT == serve.PEER_PORT


# -- who is told -----------------------------------------------------------------------------


def opened(port: int, path: str, token: str, span: str = "") -> http.client.HTTPResponse:
    line = http.client.HTTPConnection(GIVER, port, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    line.request("GET", path, headers=headers | ({"Range": span} if span else {}))
    return line.getresponse()


def answer(port: int, path: str, token: str, span: str = "") -> tuple[int, bytes, str]:
    with opened(port, path, token, span) as found:
        return found.status, found.read(), found.headers.get("Retry-After", "")


def test_without_the_project_s_token_nothing_is_told(giver: Node, store: Counted) -> None:
    one = pushed(store, {"w.bin": b"weights"}, "owner/model:v1")
    other = pushed(store, {"w.bin": b"others"}, "stranger/model:v1")
    blob = f"/owner/blobs/{sha256(b'weights')}"
    with given(giver, one, other) as port:
        mine, theirs = (peer_token.read(store.store, name) for name in ("owner", "stranger"))
        assert mine != theirs
        assert answer(port, blob, mine)[:2] == (206, b"weights")
        told = {
            answer(port, path, token)
            for path in (blob, f"/owner/blobs/{'0' * 64}", f"/nobody/blobs/{'0' * 64}")
            for token in ("", theirs, mine[:-1], mine.upper() if mine.upper() != mine else "")
        }
        assert told == {(403, b"", "")}, "what there is and what there is not look the same"
        for path in ("/", "/metrics", "/owner/token", "/owner/blobs/../token", "/../../etc/passwd"):
            assert answer(port, path, mine)[0] == 403
        other_s = f"/stranger/blobs/{sha256(b'weights')}"
        assert answer(port, other_s, theirs)[0] == 404, "each project has its own content"


def test_a_project_without_a_token_is_not_given(giver: Node, store: Counted) -> None:
    one = store.push({"w.bin": b"before"}, "before/model:v1")
    with given(giver, one) as port:
        assert answer(port, f"/before/blobs/{sha256(b'before')}", "")[0] == 403


def test_only_what_is_verified_is_given(giver: Node, store: Counted) -> None:
    one = pushed(store, {"w.bin": b"right"}, "verified/model:v1")
    with given(giver, one) as port:
        token = peer_token.read(store.store, "verified")
        shelf = giver.shelf("verified")
        for folder, name in (("partials", "1" * 64), ("quarantine", "2" * 64)):
            (shelf.hidden / folder / name).write_bytes(b"half")
            assert answer(port, f"/verified/blobs/{name}", token)[0] == 404
        blob = f"/verified/blobs/{sha256(b'right')}"
        assert answer(port, blob, token, "bytes=1-3")[:2] == (206, b"igh")
        for span in ("bytes=1-9", "bytes=5-5", "bytes=-1", "bytes=3-1", "lines=1-2"):
            assert answer(port, blob, token, span)[0] == 416


def test_a_node_gives_to_a_few_at_a_time(giver: Node, asker: Node, store: Counted) -> None:
    data = content(64 * 2**20, 4)  # more than the kernel takes from one who does not read
    one = pushed(store, {"w.bin": data}, "busy/model:v1")
    with given(giver, one) as port:
        token = peer_token.read(store.store, "busy")
        path = f"/busy/blobs/{sha256(data)}"
        unread = [opened(port, path, token) for _ in range(serve.TRANSFERS)]
        assert {one.status for one in unread} == {206}
        assert answer(port, path, token) == (503, b"", "5"), "its line is its pods' first"
        assert answer(port, path, "")[0] == 403, "nor does a stranger hear that"
        asking_of(asker, GIVER, port).hold(one)
        for found in unread:
            found.close()
    assert asker.files(one) == {"w.bin": data}, "the registry has it"
    assert asker.metric("peer_failures_total", reason="busy") == 1


# -- tokens ----------------------------------------------------------------------------------


def test_a_token_is_made_once_and_read_by_who_may_read(store: Counted, tmp_path: Path) -> None:
    peer_token.ensure(store.store, "made")
    first = peer_token.read(store.store, "made")
    peer_token.ensure(store.store, "made")
    assert peer_token.read(store.store, "made") == first, "two pushes agree"
    assert peer_token.is_token(first)


def test_a_changed_token_is_learnt(store: Counted, tmp_path: Path) -> None:
    store.store.put(keys.peer_token("changed"), TOKEN.encode())
    node = Node(tmp_path, store.store)
    node.shelf("changed").prepare()
    tokens = Tokens(tmp_path, store.store)
    assert tokens.of("changed") == ""
    tokens.learn_all()
    assert tokens.of("changed") == TOKEN
    store.store.put(keys.peer_token("changed"), b"8" * 64)
    tokens.learn_unknown("changed")
    assert tokens.of("changed") == TOKEN, "what is known is not asked for"
    tokens.learn_all()
    assert tokens.of("changed") == "8" * 64
    store.store.put(keys.peer_token("changed"), b"no token")
    tokens.learn_all()
    assert tokens.of("changed") == "8" * 64, "what is none changes nothing"
