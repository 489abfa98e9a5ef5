"""Leads connections to an address on to another: no retry and no time limit."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from functools import partial
from typing import Final

Address = tuple[str, int]

_PIECE_BYTES: Final = 256 * 1024
_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)


async def forward(
    address: Address, target: Address, tls: ssl.SSLContext | None = None
) -> asyncio.Server:
    """Listen at an address, with TLS where it is given; raises OSError when that can't be."""
    return await asyncio.start_server(partial(_serve, target), *address, ssl=tls)


async def _serve(
    target: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        onward_reader, onward = await asyncio.open_connection(*target)
    except OSError:
        _reset(writer.transport)
        return
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(reader, onward))
            both.create_task(_copy(onward_reader, writer))
    except* OSError:
        # Whoever broke off, the other end must not take it for a proper end.
        _reset(onward.transport)
        _reset(writer.transport)
    finally:
        onward.close()
        writer.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on all bytes, then the end: the other direction goes on."""
    while piece := await source.read(_PIECE_BYTES):
        sink.write(piece)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
    else:  # TLS ends both directions at once
        sink.close()


def _reset(transport: asyncio.BaseTransport) -> None:
    """Break a connection off so that its other end cannot take what it has for the whole."""
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
