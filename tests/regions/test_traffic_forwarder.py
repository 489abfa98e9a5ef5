"""Connections to a Service's address, as kube-proxy would carry them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from regions.sandbox.traffic.propagation import PROPAGATION_SECONDS
from tests.regions.traffic_objects import a_pod, a_service, came, went
from tests.regions.traffic_servers import REGION, Home, a_home, carrying, until

NAME = "ranker.search.svc.cluster.local"
PORT = 8080
SERVICE = a_service("ranker", ports=[{"port": PORT, "targetPort": "http"}])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return a_home(tmp_path, monkeypatch)


def resolved(home: Home, name: str = NAME) -> list[str]:
    """The addresses that a container finds for a name."""
    lines = [line.split() for line in home.hosts.read_text().splitlines()]
    return [address for address, *names in lines if name in names]


@asynccontextmanager
async def talker(host: str, says: bytes) -> AsyncIterator[int]:
    """A pod that hears all that is sent, to its end, and then says it after its own words."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        writer.write(await reader.read())
        writer.close()

    server = await asyncio.start_server(answer, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def talk(home: Home, sent: bytes = b"") -> bytes:
    """All that a client hears who says `sent` and nothing more."""
    reader, writer = await asyncio.open_connection(resolved(home)[0], PORT)
    writer.write(sent)
    writer.write_eof()
    heard = await reader.read()
    writer.close()
    return heard


def test_connections_go_to_ready_pods_in_turn_and_both_ends_are_heard_out(home: Home) -> None:
    large = bytes(range(256)) * 8192  # more than all buffers on the way

    async def body() -> tuple[Counter[bytes], bytes]:
        one, two = f"{home.network}.16.1", f"{home.network}.17.1"
        async with talker(one, b"1") as a, talker(two, b"2") as b, carrying(home) as live:
            await live.know(SERVICE, a_pod("one", one, a), a_pod("two", two, b))
            heard = Counter([await talk(home) for _ in range(10)])
            return heard, await talk(home, large)

    heard, echoed = asyncio.run(body())
    assert heard == {b"1": 5, b"2": 5}, "each new connection goes to the next pod"
    assert echoed[1:] == large, "an end in one direction leaves the other open"


def test_a_service_without_ready_pod_refuses_at_once(home: Home) -> None:
    async def body() -> None:
        ip = f"{home.network}.16.1"
        async with talker(ip, b"x") as port, carrying(home) as live:
            await live.know(SERVICE, a_pod("late", ip, port, ready="False"))
            with pytest.raises(ConnectionRefusedError):
                await talk(home)
            live.tell(came("pods", a_pod("late", ip, port)))
            await live.settle()
            assert await talk(home) == b"x", "the pod is ready now"

    asyncio.run(body())


def test_a_pod_that_died_unnoticed_resets_the_connection(home: Home) -> None:
    async def body() -> None:
        ip = f"{home.network}.16.1"
        async with talker(ip, b"x") as port:
            pass  # nobody listens there any more
        async with carrying(home) as live:
            await live.know(SERVICE, a_pod("dead", ip, port))
            with pytest.raises(ConnectionResetError):
                await talk(home)

    asyncio.run(body())


def test_a_connection_that_the_pod_breaks_off_is_no_proper_end(home: Home) -> None:
    async def body() -> None:
        async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.transport.abort()  # what it hasn't read makes this a reset

        ip = f"{home.network}.16.1"
        server = await asyncio.start_server(breaks, ip, 0, limit=2)
        port = server.sockets[0].getsockname()[1]
        async with server, carrying(home) as live:
            await live.know(SERVICE, a_pod("breaking", ip, port))
            with pytest.raises(ConnectionResetError):
                await talk(home, b"x" * 4_000_000)

    asyncio.run(body())


@pytest.mark.parametrize("how", ["deleted", "ending", "not ready"])
def test_a_removed_pod_is_left_alone_only_after_propagation(home: Home, how: str) -> None:
    async def body() -> None:
        one, two = f"{home.network}.16.1", f"{home.network}.17.1"
        async with talker(one, b"1") as a, talker(two, b"2") as b, carrying(home) as live:
            pods = a_pod("one", one, a), a_pod("two", two, b)
            await live.know(SERVICE, *pods)
            live.tell(
                {
                    "deleted": went("pods", pods[0]),
                    "ending": came("pods", a_pod("one", one, a, ending=True)),
                    "not ready": came("pods", a_pod("one", one, a, ready="False")),
                }[how]
            )
            live.clock.advance(PROPAGATION_SECONDS * 0.99)
            assert {await talk(home) for _ in range(4)} == {b"1", b"2"}, "proxies don't know yet"
            reader, writer = await asyncio.open_connection(resolved(home)[0], PORT)
            await reader.readexactly(1)
            await live.settle()
            assert {await talk(home) for _ in range(4)} == {b"2"}, "now they do"
            writer.write_eof()
            assert await reader.read() == b"", "a connection that is open ends as its pod wants"
            writer.close()

    asyncio.run(body())


def test_a_restart_keeps_addresses_and_the_hosts_file_that_pods_use(home: Home) -> None:
    async def before() -> None:
        async with carrying(home) as live:
            assert resolved(home, "localhost"), "it is there before the first list"
            await live.know(SERVICE)

    async def after() -> None:
        async with carrying(home) as live:
            assert home.hosts.read_text() == text, "nothing is forgotten before the lists are in"
            await live.know(SERVICE, a_service("another"))

    asyncio.run(before())
    text, inode, found = home.hosts.read_text(), home.hosts.stat().st_ino, resolved(home)
    asyncio.run(after())
    assert resolved(home) == found, "the same Service, the same address"
    assert home.hosts.stat().st_ino == inode, "containers hold this very file"
    record = home.hosts.with_name("service-addresses.json")
    assert json.loads(record.read_text())["search/ranker"] == found[0]
    assert home.hosts.parent.name == REGION


def test_pods_reach_the_registrys_store(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> bytes:
        async with talker("127.0.0.1", b"store") as port, carrying(home) as live:
            monkeypatch.setattr("regions.sandbox.traffic.region.ports", lambda: {"moto": port})
            await live.know()
            (address,) = resolved(home, "registry.isoserve-system.svc")
            reader, writer = await asyncio.open_connection(address, 9000)
            writer.write_eof()
            heard = await reader.read()
            writer.close()
            return heard

    assert asyncio.run(body()) == b"store", "127.N.0.2:9000 is the object store"


def test_a_taken_address_is_said_once_and_the_rest_goes_on(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    async def body() -> None:
        ip = f"{home.network}.16.1"
        async with talker(ip, b"x") as port, carrying(home) as live:
            await live.know(SERVICE)
            taken = await asyncio.start_server(lambda *_: None, resolved(home)[0], PORT)
            live.tell(came("pods", a_pod("one", ip, port)), came("services", a_service("other")))
            await live.settle()
            assert resolved(home, "other.search"), "what else there is goes on"
            live.tell(came("services", a_service("third")))
            await live.settle()
            taken.close()
            live.tell(came("services", a_service("fourth")))
            await live.settle()
            await until("it is tried again", lambda: "well again" in "".join(said()))
            assert await talk(home) == b"x"

    printed: list[str] = []

    def said() -> list[str]:
        printed.append(capsys.readouterr().out)
        return printed

    asyncio.run(body())
    text = "".join(said())
    assert text.count("somebody else listens there") == 1, text
