"""Peers that lie, break off, hang or rot: a node's content is right, and comes all the same."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from components.model_cache import asking, fetch
from components.model_cache.listen import AddressServer, SmallHandler, answering
from components.model_cache.neighbours import Neighbour, Neighbours
from components.model_cache.source import PEERS
from components.model_registry import keys, local_files, prefixes
from components.model_registry.ranges import RANGE_BYTES
from tests.cache_node import Node
from tests.counted_store import Counted, counted_store, sha256
from tests.peer_nodes import (
    ASKER,
    BAD,
    GIVER,
    PROTECTION_SECONDS,
    agent,
    asking_of,
    config_of,
    content,
    free_port,
    given,
    held,
    pushed,
)


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


Misbehave = Callable[[BaseHTTPRequestHandler, bytes], None]


def _head(handler: BaseHTTPRequestHandler, size: int, status: int = 206) -> None:
    handler.send_response(status)
    handler.send_header("Content-Range", f"bytes 0-{size - 1}/{size}")
    handler.send_header("Content-Length", str(size))
    handler.end_headers()


def lies(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    _head(handler, len(data))
    handler.wfile.write(bytes(len(data)))


def cuts(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    _head(handler, len(data))
    handler.wfile.write(data[: len(data) // 2])


def hangs(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    _head(handler, len(data))
    handler.wfile.write(data[: len(data) // 2])
    handler.connection.recv(1)  # till the other gives up


def trickles(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    _head(handler, len(data))
    for at in range(500):  # seconds, if nobody gives up
        handler.wfile.write(data[at : at + 1])
        threading.Event().wait(0.02)


def drips_its_head(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    for byte in b"HTTP/1.0 206 Partial Content\r\n" + b"X-Long: " + bytes(500):
        handler.wfile.write(bytes([byte]))
        threading.Event().wait(0.02)


def never_begins(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    with suppress(OSError):  # till the other gives up
        while True:
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def has_a_long_head(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.wfile.write(b"HTTP/1.0 206 Partial Content\r\n" + b"X-Long: 1\r\n" * 1000)


def comes_in_chunks(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes 0-{len(data) - 1}/{len(data)}")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"ffffffffffff\r\n" + data)


def leads_elsewhere(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://169.254.169.254/")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def whole(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    _head(handler, len(data), 200)
    handler.wfile.write(data)


def longer(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    _head(handler, len(data) + 1)
    handler.wfile.write(data + b"x")


def refuses(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.send_error(403)


def babbles(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n" * 3)


@contextmanager
def misbehaving(does: Misbehave, data: bytes) -> Iterator[int]:
    """A peer that does so with content, and has no manifests."""

    class Handler(SmallHandler):
        def do_GET(self) -> None:
            if "/manifests/" in self.path:
                self.send_error(404)
            else:
                does(self, data)

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(AddressServer):
        def handle_error(self, *_: object) -> None:
            pass

    with answering(Quiet(BAD, 0, Handler), "bad") as port:
        yield port


@pytest.mark.parametrize(
    ("does", "reason", "from_byte"),
    [
        (lies, "corrupt", 0),
        (cuts, "cut", 500_000),
        (hangs, "timeout", 500_000),
        (trickles, "slow", None),
        (whole, "strange", 0),
        (longer, "strange", 0),
        (refuses, "denied", 0),
        (babbles, "strange", 0),
        (drips_its_head, "timeout", 0),
        (never_begins, "timeout", 0),
        (has_a_long_head, "strange", 0),
        (comes_in_chunks, "strange", 0),
        (leads_elsewhere, "strange", 0),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_bad_peer_does_not_stop_a_node(
    does: Misbehave,
    reason: str,
    from_byte: int | None,
    asker: Node,
    store: Counted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "_SILENCE_SECONDS", 0.3)
    data = content(1_000_000, 5)
    project = f"bad-{does.__name__.replace('_', '-')}"
    one = pushed(store, {"w.bin": data}, f"{project}/model:v1")
    with misbehaving(does, data) as port:
        asking_of(asker, BAD, port).hold(one)
        assert asker.files(one) == {"w.bin": data}, "at the first attempt"
        assert asker.metric("peer_failures_total", reason=reason) == 1
        starts = [int(span[6:].split("-")[0]) for _, span in store.blob_reads()]
        assert len(starts) == 1
        if from_byte is not None:
            assert starts == [from_byte], "what a peer gave before is not fetched again"
        else:
            assert starts[0] > 0
        assert asker.metric("failures_total", project=project, reason="corrupt") == 0


def test_who_lied_is_not_asked_for_a_while() -> None:
    seconds = 0.0
    near = Neighbours(BAD, 9092, "", lambda: seconds)
    (one,) = near.some(3)
    assert one == Neighbour(BAD, 9092)
    near.leave_alone(one, "corrupt")
    seconds = 599.0
    assert near.some(3) == []
    seconds = 601.0
    assert near.some(3) == [one], "its disk may have been mended"


def test_a_busy_liar_is_still_a_liar() -> None:
    seconds = 0.0
    near = Neighbours(BAD, 9092, "", lambda: seconds)
    (one,) = near.some(3)
    near.leave_alone(one, "corrupt")
    near.leave_alone(one, "busy")
    seconds = 599.0
    assert near.some(3) == [], "another file's thread found it busy after it had lied"


def test_an_agent_is_not_its_own_peer() -> None:
    assert Neighbours("127.0.0.1", 9092, "", lambda: 0.0).some(3) == []
    assert Neighbours(BAD, 9092, BAD, lambda: 0.0).some(3) == []
    assert Neighbours("no-such-name.invalid", 9092, "", lambda: 0.0).some(3) == []


def test_a_node_without_that_port_is_no_trouble(asker: Node, store: Counted) -> None:
    one = pushed(store, {"w.bin": b"older"}, "older/model:v1")
    asking_of(asker, BAD, free_port()).hold(one)
    assert asker.files(one) == {"w.bin": b"older"}
    assert asker.metric("peer_failures_total", reason="refused") == 1, "and it is left alone"


def test_rot_on_a_peer_s_disk_does_not_spread(giver: Node, asker: Node, store: Counted) -> None:
    data = content(2**20, 6)
    one = pushed(store, {"w.bin": data}, "rot/model:v1")
    with given(giver, one) as port:
        blob = giver.shelf("rot").blob(sha256(data))
        os.chmod(blob, 0o600)
        blob.write_bytes(data[:-1] + b"!")
        store.reads.clear()
        asking_of(asker, GIVER, port).hold(one)
    assert asker.files(one) == {"w.bin": data}
    assert len(store.blob_reads()) == 1, "all of it from the registry, from its beginning"
    assert asker.metric("peer_failures_total", reason="corrupt") == 1


def test_a_peer_s_spoilt_manifest_is_not_believed(giver: Node, asker: Node, store: Counted) -> None:
    one = pushed(store, {"w.bin": b"manifest"}, "spoilt/model:v1")
    with given(giver, one) as port:
        giver.shelf("spoilt").manifest(one.digest).write_bytes(b"{}")
        asking_of(asker, GIVER, port).hold(one)
    assert asker.files(one) == {"w.bin": b"manifest"}
    assert asker.metric("peer_failures_total", reason="corrupt") == 1


def test_what_a_killed_peer_gave_is_gone_on_with(store: Counted, tmp_path: Path) -> None:
    data = content(64 * 2**20, 7)  # more than is under way at a time
    one = pushed(store, {"w.bin": data}, "killed/model:v1")
    config = config_of(tmp_path / "models.json", one)
    port = free_port()
    asker = Node(tmp_path / "asker", store.store)
    with agent(store, tmp_path / "giver", config, GIVER, ASKER, port) as process:
        held(store, tmp_path / "giver", one)
        fetched = asker.signs.fetched

        def kill_at_first(project: str, source: str, count: int) -> None:
            process.send_signal(signal.SIGKILL)
            process.wait(PROTECTION_SECONDS)
            fetched(project, source, count)

        asker.signs.fetched = kill_at_first  # type: ignore[method-assign]
        store.reads.clear()
        asking_of(asker, GIVER, port).hold(one)
    assert asker.files(one) == {"w.bin": data}
    came = int(asker.metric("peer_bytes_total", project="killed"))
    assert 0 < came < len(data)
    starts = sorted(int(span[6:].split("-")[0]) for _, span in store.blob_reads())
    assert starts[0] == came, "on from the very byte"
    by_ranges = range(min(starts[1:], default=len(data)), len(data), RANGE_BYTES)
    assert starts[1:] == list(by_ranges), "where one line is too slow the rest comes once"


def test_who_opens_more_connections_than_there_are_threads_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("components.model_cache.listen.MOST_CONNECTIONS", 2)
    server = AddressServer(GIVER, 0, SmallHandler)
    with answering(server, "few") as port:
        kept = [socket.create_connection((GIVER, port), timeout=10) for _ in range(2)]
        with socket.create_connection((GIVER, port), timeout=10) as third:
            assert third.recv(1) == b"", (
                "or each would cost the agent a thread for as long as it likes"
            )
        for one in kept:
            one.close()


@pytest.fixture
def short_prefixes(monkeypatch: pytest.MonkeyPatch) -> int:
    """Beginnings of a size that a test can afford."""
    size = 64 * 1024
    for module in (asking, fetch, local_files, prefixes):
        monkeypatch.setattr(module, "PREFIX_BYTES", size)
    return size


def saved(store: Counted, project: str, folder: Path, data: bytes) -> None:
    """What a push puts beside a content."""
    (folder / "content").write_bytes(data)
    found = local_files.describe("content", folder / "content", lambda count: None)
    assert found.prefixes, "or the test proves nothing"
    prefixes.save(store.store, project, found.sha256, found.prefixes)


def starts_of(store: Counted) -> list[int]:
    """From which byte of a content each question to the registry went on."""
    return [int(span[6:].split("-")[0] or 0) for _, span in store.blob_reads()]


def half_lies(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    _head(handler, len(data))
    handler.wfile.write(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))


@pytest.mark.parametrize("does", [lies, half_lies])
def test_a_liar_costs_a_piece_of_a_content_and_not_all_of_it(
    does: Misbehave, asker: Node, store: Counted, tmp_path: Path, short_prefixes: int
) -> None:
    data = content(2_000_000, 8)
    project = f"piece-{does.__name__.replace('_', '-')}"
    one = pushed(store, {"w.bin": data}, f"{project}/model:v1")
    saved(store, project, tmp_path, data)
    right = 0 if does is lies else len(data) // 2
    with misbehaving(does, data) as port:
        asking_of(asker, BAD, port).hold(one)
    assert asker.files(one) == {"w.bin": data}
    came = int(asker.metric("peer_bytes_total", project=project))
    whole = right // short_prefixes * short_prefixes
    assert whole < came <= whole + short_prefixes, "found at the end of the first wrong piece"
    assert starts_of(store) == [whole], "what was right stays; the registry gives the rest once"
    assert asker.metric("peer_failures_total", reason="corrupt") == 1


def test_liars_cost_a_piece_of_each_content_that_is_under_way_at_most(
    asker: Node, store: Counted, tmp_path: Path, short_prefixes: int
) -> None:
    files = {f"{n}.bin": content(1_000_000, 20 + n) for n in range(12)}
    one = pushed(store, files, "many/model:v1")
    for data in files.values():
        saved(store, "many", tmp_path, data)
    with misbehaving(lies, files["0.bin"]) as port:
        asking_of(asker, BAD, port).hold(one)
    assert asker.files(one) == files
    came = int(asker.metric("peer_bytes_total", project="many"))
    assert 0 < came <= len(files) * short_prefixes, "of twelve million bytes"


@pytest.mark.parametrize("wrong", [b"", b"x" * 65, b"0" * 64 + b"\n", b"\xff" * 1000])
def test_prefixes_that_make_no_sense_are_as_none(
    wrong: bytes, giver: Node, asker: Node, store: Counted, short_prefixes: int
) -> None:
    data = content(300_000, 9)
    project = f"nonsense-{len(wrong)}"
    one = pushed(store, {"w.bin": data}, f"{project}/model:v1")
    store.store.put(keys.prefixes(project, sha256(data)), wrong)
    with given(giver, one) as port:
        store.reads.clear()
        asking_of(asker, GIVER, port).hold(one)
    assert asker.files(one) == {"w.bin": data}
    assert store.blob_reads() == [], "the peer was honest"


def test_wrong_prefixes_cost_a_way_to_the_registry_and_nothing_else(
    giver: Node, asker: Node, store: Counted, short_prefixes: int
) -> None:
    data = content(300_000, 10)
    one = pushed(store, {"w.bin": data}, "libel/model:v1")
    text = f"{'0' * 64}\n" * prefixes.number(len(data))
    store.store.put(keys.prefixes("libel", sha256(data)), text.encode())
    with given(giver, one) as port:
        store.reads.clear()
        asking_of(asker, GIVER, port).hold(one)
    assert asker.files(one) == {"w.bin": data}, "the manifest's digest decides"
    assert len(store.blob_reads()) == 1


def test_what_is_under_way_from_a_liar_ends_when_another_thread_finds_it_out(
    asker: Node, store: Counted
) -> None:
    data = content(4_000_000, 11)  # of a push without prefixes
    one = pushed(store, {"w.bin": data}, "under-way/model:v1")

    def lies_slowly(handler: BaseHTTPRequestHandler, data: bytes) -> None:
        _head(handler, len(data))
        handler.wfile.write(bytes(1_000_000))
        handler.wfile.flush()
        assert found_out.wait(PROTECTION_SECONDS)
        with suppress(OSError):  # it is hung up on
            handler.wfile.write(bytes(len(data) - 1_000_000))

    found_out = threading.Event()
    with misbehaving(lies_slowly, data) as port:
        asking_of(asker, BAD, port)
        fetched, came = asker.signs.fetched, 0

        def blamed_by_another(project: str, source: str, count: int) -> None:
            nonlocal came
            came += count if source == PEERS else 0
            if came == 1_000_000:
                assert asker.peers
                asker.peers.blame([Neighbour(BAD, port)])
                found_out.set()
            fetched(project, source, count)

        asker.signs.fetched = blamed_by_another  # type: ignore[method-assign]
        asker.hold(one)
    assert asker.files(one) == {"w.bin": data}
    assert came == 1_000_000, "not a piece more of it is waited for"
    assert starts_of(store) == [0]
