"""Real pods and the gateway of a region, on loopback addresses of one test."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final, NoReturn

import aiohttp
from aiohttp import web

from regions.sandbox.kube import Object
from regions.sandbox.processes import free_ports
from regions.sandbox.traffic.carrier import Carrier
from regions.sandbox.traffic.propagation import PROPAGATION_SECONDS
from regions.sandbox.traffic.watch import PATHS, Change
from tests.regions.traffic_objects import NAMESPACES, a_gateway, came

PROTECTION_SECONDS: Final = 20.0
"""No test waits for so long; one that does hangs, and this ends it."""
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
    """A loopback network (`127.N`), and the free port of its gateway."""

    network: str
    port: int

    @property
    def gateway(self) -> str:
        """The address of its gateway."""
        return f"{self.network}.0.1"


def a_home() -> Home:
    """A network in which nobody listens."""
    (port,) = free_ports(1)
    return Home(free_network(), port)


def free_network() -> str:
    """The first two numbers of loopback addresses on which nobody listens, `127.N`."""
    taken: set[int] = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        address = int(local.partition(":")[0], 16)  # little-endian: 0100007F is 127.0.0.1
        if state == "0A" and address & 0xFF == 127:
            taken.add(address >> 8 & 0xFF)
    return f"127.{random.choice([n for n in range(16, 255) if n not in taken])}"


@dataclass
class Live:
    """A gateway at work, as far as it is told of the cluster."""

    traffic: Carrier
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
    """The gateway, waiting for its first lists."""
    clock = Clock()
    traffic = Carrier(home.gateway, IPv4Network("127.0.0.0/8"), lambda port: port, clock.later)
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
