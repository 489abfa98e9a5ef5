"""What all listening parts share: how a connection is broken off, and what a failed bind means."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from typing import Final

_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)


def reset(transport: asyncio.BaseTransport) -> None:
    """Break a connection off so that its other end can't take what it has for the whole."""
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


def explain(reason: OSError) -> str:
    """Why an address can't be listened on, and what to do."""
    if reason.errno == errno.EADDRINUSE:
        return "somebody else listens there; end what holds it"
    return f"can't listen there: {reason.strerror or reason}"
