"""A region's gateway: what it does is done again after every change."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Final, NoReturn

import aiohttp

from regions.sandbox.errors import SandboxError
from regions.sandbox.traffic import admin, watch
from regions.sandbox.traffic.complaints import Complaints
from regions.sandbox.traffic.counts import Counts
from regions.sandbox.traffic.endpoints import endpoints
from regions.sandbox.traffic.gateway import Gateway
from regions.sandbox.traffic.listeners import Attached, Listener, attach, listeners
from regions.sandbox.traffic.propagation import Later, Propagation
from regions.sandbox.traffic.routes import Table, table

_RETRY_SECONDS: Final = 5.0


class Carrier:
    """The gateway of one region at `address`, for pods that have addresses of `pods`.

    `port_of` says where it takes what a listener takes at a port.
    """

    def __init__(
        self, address: str, pods: IPv4Network, port_of: Callable[[int], int], later: Later
    ) -> None:
        self.complaints, self.counts = Complaints(), Counts()
        self._changed = asyncio.Event()
        self.propagation = Propagation(later, self._must_change)
        self._pods, self._port_of = pods, port_of
        self._gateway = Gateway(address, self.counts, self.complaints)
        self.is_ready = False
        """Whether all first lists are in and all that they ask for is done."""
        self.is_settled = False
        """Whether nothing that has come through waits to be done."""

    async def run(self) -> NoReturn:
        """Follow every change that has come through, until cancelled."""
        while True:
            self._changed.clear()
            complete = self.propagation.complete
            well = await self._refresh() if complete else True
            self.is_settled = complete and not self._changed.is_set()
            self.is_ready |= self.is_settled
            try:
                async with asyncio.timeout(None if well else _RETRY_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass  # what somebody else held may be free now

    async def close(self) -> None:
        """Stop listening."""
        await self._gateway.close()

    def _must_change(self) -> None:
        self.is_settled = False
        self._changed.set()

    async def _refresh(self) -> bool:
        """Do what the cluster wants now; whether every port could be listened on."""
        held = self.propagation.objects
        behind = endpoints(held("services"), held("pods").values(), self._pods)
        found = listeners(held("gateways"))
        attached = attach(found, held("httproutes"), held("namespaces"))
        return await self._gateway.keep(self._tables(found, attached), behind)

    def _tables(self, found: list[Listener], attached: list[Attached]) -> dict[int, Table]:
        by_port: dict[int, list[Attached]] = defaultdict(list)
        for listener in found:
            if listener.protocol == "HTTP":
                by_port[listener.port] = []
            else:
                self.complaints.say(
                    f"gateway {'/'.join(listener.gateway)}",
                    f"its {listener.protocol} listener on port {listener.port} isn't served: the "
                    "stand-in has no certificate and can't check who signs in",
                )
        for one in attached:
            if one.listener.port in by_port:
                by_port[one.listener.port].append(one)
        services = self.propagation.objects("services")
        return {self._port_of(port): table(those, services) for port, those in by_port.items()}


async def carry(carrier: Carrier, cluster: aiohttp.ClientSession, address: str) -> None:
    """Follow what the cluster holds until SIGTERM or SIGINT; tell at `address` what is counted.

    Closes the carrier and the session. Raises SandboxError where the port to tell at is taken.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with cluster:
        try:
            said = await admin.serve(address, carrier.counts, lambda: carrier.is_ready)
        except OSError as reason:
            await carrier.close()
            raise SandboxError(
                f"{address}:{admin.PORT} can't be listened on ({reason.strerror}): is the traffic "
                "carried already?"
            ) from reason
        heard = [
            watch.follow(cluster, kind, carrier.propagation.hear, carrier.complaints)
            for kind in watch.PATHS
        ]
        work = [asyncio.create_task(one) for one in (*heard, carrier.run())]
        end = asyncio.create_task(ended.wait())
        await asyncio.wait([*work, end], return_when=asyncio.FIRST_COMPLETED)
        defects = [fault for task in work if task.done() and (fault := task.exception())]
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    await said.cleanup()
    await carrier.close()
    if defects:
        raise defects[0]
