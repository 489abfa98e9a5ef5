"""Connections that are led on, as to the object store of a region."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from regions.sandbox.forwarder import forward
from regions.sandbox.processes import free_ports

HERE = "127.0.0.1"


@asynccontextmanager
async def talker(says: bytes) -> AsyncIterator[int]:
    """A server that hears all that is sent, to its end, and then says it after its own words."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        writer.write(await reader.read())
        writer.close()

    async with await asyncio.start_server(answer, HERE, 0) as server:
        yield server.sockets[0].getsockname()[1]


async def talk(port: int, sent: bytes = b"") -> bytes:
    """All that a client hears who says `sent` and nothing more, of who is led on to `port`."""
    async with await forward((HERE, 0), (HERE, port)) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        writer.write_eof()
        heard = await reader.read()
        writer.close()
        return heard


def test_both_ends_are_heard_out() -> None:
    large = bytes(range(256)) * 8192  # more than all buffers on the way

    async def body() -> bytes:
        async with talker(b"1") as port:
            return await talk(port, large)

    assert asyncio.run(body()) == b"1" + large, "an end in one direction leaves the other open"


def test_where_nobody_listens_the_connection_is_reset() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ConnectionResetError):
        asyncio.run(talk(port))


def test_a_connection_that_the_other_end_breaks_off_is_no_proper_end() -> None:
    async def body() -> None:
        async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.transport.abort()  # what it hasn't read makes this a reset

        async with await asyncio.start_server(breaks, HERE, 0, limit=2) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(ConnectionResetError):
                await talk(port, b"x" * 4_000_000)

    asyncio.run(body())
