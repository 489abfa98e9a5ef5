"""One region's traffic as a whole: what the cluster wants of it, done again after every change."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NoReturn

from regions.sandbox.layout import hosts_file
from regions.sandbox.networks import gateway_address, network, outside_address
from regions.sandbox.ports import ports
from regions.sandbox.traffic import addresses, hosts
from regions.sandbox.traffic.complaints import Complaints
from regions.sandbox.traffic.counts import Counts
from regions.sandbox.traffic.endpoints import Endpoints, endpoints
from regions.sandbox.traffic.forwarder import Address, Forwarders
from regions.sandbox.traffic.gateway import Gateway
from regions.sandbox.traffic.listeners import Attached, Listener, attach, listeners
from regions.sandbox.traffic.propagation import Later, Propagation
from regions.sandbox.traffic.routes import Table, table
from regions.sandbox.traffic.watch import Key

OUTSIDE_PORT: Final = 9000
"""Where pods reach the registry's S3-compatible store."""

_RETRY_SECONDS: Final = 5.0


class RegionTraffic:
    """The hosts file, the Services' forwarders and the gateway of one region."""

    def __init__(self, region: str, outside_name: str, later: Later) -> None:
        self.complaints, self.counts = Complaints(), Counts()
        self._changed = asyncio.Event()
        self.propagation = Propagation(later, self._must_change)
        self._region, self._outside_name = region, outside_name
        self._addresses = addresses.read(region)
        self._forwarders = Forwarders(self.complaints)
        self._gateway = Gateway(gateway_address(region), self.counts, self.complaints)
        self.is_ready = False
        """Whether all first lists are in and all that they ask for is done."""
        self.is_settled = False
        """Whether nothing that has come through waits to be done."""

    def write_first_hosts(self) -> None:
        """Have a hosts file before the first pod starts.

        One of an earlier run stays until the lists are in: pods may be using it.
        """
        path = hosts_file(self._region)
        if not path.exists() or f"{outside_address(self._region)} " not in path.read_text():
            self._write_hosts({}, ())

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

    def _must_change(self) -> None:
        self.is_settled = False
        self._changed.set()

    async def close(self) -> None:
        """Stop listening."""
        self._forwarders.close()
        await self._gateway.close()

    async def _refresh(self) -> bool:
        """Do what the cluster wants now; whether every address could be listened on."""
        held = self.propagation.objects
        behind = endpoints(held("services"), held("pods").values())
        found = listeners(held("gateways"))
        attached = attach(found, held("httproutes"), held("namespaces"))
        self._assign(behind)
        self._write_hosts(behind, attached)
        forwarding = await self._forwarders.keep(self._forwards(behind))
        answering = await self._gateway.keep(self._tables(found, attached), behind)
        return forwarding and answering

    def _assign(self, behind: Mapping[Key, Endpoints]) -> None:
        names = ("/".join(key) for key, one in behind.items() if not one.headless)
        now = addresses.given(self._addresses, names, network(self._region))
        if now != self._addresses:
            self._addresses = now
            addresses.write(self._region, now)

    def _write_hosts(self, behind: Mapping[Key, Endpoints], attached: Iterable[Attached]) -> None:
        routes = [host for one in attached for host in one.hostnames]
        outside = (outside_address(self._region), self._outside_name)
        gateway = (gateway_address(self._region), routes)
        wanted = hosts.text(outside, behind, self._addresses, gateway)
        hosts.write_in_place(hosts_file(self._region), wanted)

    def _forwards(self, behind: Mapping[Key, Endpoints]) -> dict[Address, list[Address]]:
        wanted = {
            (self._addresses["/".join(key)], port): [(one.host, one.port) for one in targets]
            for key, found in behind.items()
            if not found.headless and "/".join(key) in self._addresses
            for port, targets in found.ports.items()
        }
        wanted[outside_address(self._region), OUTSIDE_PORT] = [("127.0.0.1", ports()["moto"])]
        return wanted

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
        return {port: table(those, services) for port, those in by_port.items()}
