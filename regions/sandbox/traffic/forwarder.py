"""Stands in for kube-proxy: connections to a Service's address go on to its ready pods in turn.

No retry, no health check and no time limit: as with iptables, a connection is what its pod makes of
it, and one that is open stays with a pod that ends.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from regions.sandbox.traffic.complaints import Complaints
from regions.sandbox.traffic.sockets import explain, reset

Address = tuple[str, int]

_PIECE_BYTES: Final = 256 * 1024


class Forwarder:
    """One address, and where its connections go on to."""

    def __init__(self, targets: Sequence[Address]) -> None:
        self.targets = targets
        self._turn = itertools.count()
        self._server: asyncio.Server | None = None

    async def open(self, address: Address) -> None:
        """Listen; raises OSError when that can't be."""
        self._server = await asyncio.start_server(self._serve, *address)

    def close(self) -> None:
        """Refuse new connections; those that are open stay."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self.targets[next(self._turn) % len(self.targets)]
        try:
            onward_reader, onward = await asyncio.open_connection(host, port)
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
    sink.write_eof()


class Forwarders:
    """All forwarders of a region."""

    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints
        self._open: dict[Address, Forwarder] = {}

    async def keep(self, wanted: Mapping[Address, Sequence[Address]]) -> bool:
        """Forward exactly so from now on; whether every address could be listened on.

        An address without targets is closed: a client is refused, as by kube-proxy.
        """
        for address in [one for one in self._open if not wanted.get(one)]:
            self._open.pop(address).close()
        return all([await self._keep(to, targets) for to, targets in wanted.items() if targets])

    async def _keep(self, address: Address, targets: Sequence[Address]) -> bool:
        if address in self._open:
            self._open[address].targets = targets
            return True
        subject = f"{address[0]}:{address[1]}"
        made = Forwarder(targets)
        try:
            await made.open(address)
        except OSError as reason:
            self._complaints.say(subject, explain(reason, address[1]))
            return False
        self._complaints.settled(subject)
        self._open[address] = made
        return True

    def close(self) -> None:
        """Stop listening everywhere."""
        for one in self._open.values():
            one.close()
        self._open.clear()
