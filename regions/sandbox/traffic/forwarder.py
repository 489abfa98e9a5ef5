"""Leads connections to an address on to another, as kube-proxy does: no retry and no time limit."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import Final

from regions.sandbox.traffic.sockets import reset

Address = tuple[str, int]

_PIECE_BYTES: Final = 256 * 1024


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
        reset(writer.transport)
        return
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(reader, onward))
            both.create_task(_copy(onward_reader, writer))
    except* OSError:
        # Whoever broke off, the other end must not take it for a proper end.
        reset(onward.transport)
        reset(writer.transport)
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
