"""Real pods and a real region of the traffic stand-in, on loopback addresses of one test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

import aiohttp
import pytest
from aiohttp import web

from regions.sandbox import layout, networks
from regions.sandbox.kube import Object
from regions.sandbox.processes import free_ports
from regions.sandbox.traffic import region
from regions.sandbox.traffic.propagation import PROPAGATION_SECONDS
from regions.sandbox.traffic.region import RegionTraffic
from regions.sandbox.traffic.watch import PATHS, Change
from tests.regions.traffic_objects import NAMESPACES, a_gateway, came

PROTECTION_SECONDS: Final = 20.0
"""No test waits for so long; one that does hangs, and this ends it."""
REGION: Final = "sandbox-aws"
Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Asked:
    """What a pod was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Served:
    """A pod's server at work: where it is and what it was asked."""

    host: str
    port: int = 0
    asked: list[Asked] = field(default_factory=list)


@asynccontextmanager
async def serving(host: str, answer: Answer) -> AsyncIterator[Served]:
    """An HTTP server that gives `answer` to everything, on a free port of `host`."""
    served = Served(host)

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        served.asked.append(Asked(request.method, request.raw_path, headers, body))
        return await answer(request)

    server = web.Server(take, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    served.port = runner.addresses[0][1]
    try:
        yield served
    finally:
        await runner.cleanup()


def says(text: str) -> Answer:
    """An answer that is always the same."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=text, headers={"X-Pod": text})

    return answer


async def until(what: str, look: Callable[[], bool]) -> None:
    """Wait for something that must come about."""
    async with asyncio.timeout(PROTECTION_SECONDS):
        while not look():
            await asyncio.sleep(0.005)
    assert look(), what


class Clock:
    """An event loop's `call_later`, whose time passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Keep it until its time has come."""
        self._due.append((self.now + seconds, do))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        ripe = [one for one in self._due if one[0] <= self.now]
        self._due = [one for one in self._due if one[0] > self.now]
        for _, do in ripe:
            do()


@dataclass
class Home:
    """A region's folder, its network, and the free port of its gateway."""

    network: str
    port: int
    hosts: Path

    @property
    def gateway(self) -> str:
        """The address of its gateway."""
        return f"{self.network}.0.1"


def a_home(folder: Path, patch: pytest.MonkeyPatch) -> Home:
    """A sandbox in `folder`, with a network in which nobody listens and an absent object store."""
    taken = networks.listening()
    octet = random.choice([n for n in range(16, 255) if n not in taken])
    gateway_port, store_port = free_ports(2)
    (folder / "networks.json").write_text(json.dumps({REGION: octet}))
    patch.setattr(layout, "HOME", folder)
    patch.setattr(networks, "NETWORKS_FILE", folder / "networks.json")
    patch.setattr(region, "ports", lambda: {"moto": store_port})
    return Home(f"127.{octet}", gateway_port, layout.hosts_file(REGION))


@dataclass
class Live:
    """A region whose traffic is carried, as far as the cluster is told."""

    traffic: RegionTraffic
    clock: Clock
    home: Home
    client: aiohttp.ClientSession
    work: asyncio.Task[NoReturn]

    async def ask(
        self, path: str = "/", host: str = "ranker--search.internal.test", **how: object
    ) -> tuple[int, str]:
        """Status and text of a request at the gateway."""
        url = f"http://{self.home.gateway}:{self.home.port}{path}"
        headers = {"Host": host, **dict(how.pop("headers", {}))}  # type: ignore[call-overload]
        async with self.client.post(url, headers=headers, **how) as answer:  # type: ignore[arg-type]
            return answer.status, await answer.text()

    def tell(self, *changes: Change) -> None:
        """What the API server says of these; nothing of it counts yet."""
        for one in changes:
            self.traffic.propagation.hear(one)

    async def know(self, *objects: Object) -> None:
        """The first lists: a gateway, and the pods, Services and routes of `objects`."""
        gateway = a_gateway(self.home.port)
        by_kind: dict[str, list[Object]] = {kind: [] for kind in PATHS}
        by_kind |= {"gateways": [gateway], "namespaces": list(NAMESPACES.values())}
        for one in objects:
            kind = {"rules": "httproutes", "containers": "pods"}
            found = [kind[field] for field in kind if field in one["spec"]]
            by_kind[found[0] if found else "services"].append(one)
        self.tell(*(came(kind, *found, whole=True) for kind, found in by_kind.items()))
        await self.settled()

    async def settle(self) -> None:
        """Let everything that was told come through, and be done."""
        self.clock.advance(PROPAGATION_SECONDS)
        await self.settled()

    async def settled(self) -> None:
        """Wait until all that has come through is done, or its doing has failed."""
        await until("all is done", lambda: self.traffic.is_settled or self.work.done())
        if self.work.done():
            self.work.result()


@asynccontextmanager
async def carrying(home: Home) -> AsyncIterator[Live]:
    """The traffic of the region, waiting for its first lists."""
    clock = Clock()
    traffic = RegionTraffic(REGION, "registry.isoserve-system.svc", clock.later)
    traffic.write_first_hosts()
    work = asyncio.create_task(traffic.run())
    limit = aiohttp.ClientTimeout(total=PROTECTION_SECONDS)
    connector = aiohttp.TCPConnector(force_close=True)
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as client:
            yield Live(traffic, clock, home, client, work)
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await traffic.close()
