"""Stands in for the data plane of Envoy Gateway: HTTP requests go to models by their routes.

It honours of an HTTPRoute: host names, matches in the Gateway API's order, weights, the request
timeout and copies (RequestMirror). One connection to a pod per request, no retries.

It does NOT honour: rate limits (BackendTrafficPolicy), sign-in and permissions (SecurityPolicy),
other filters (a rule with one answers 500), WebSockets and other upgrades. HTTPS listeners, so the
gateway for public models, aren't served at all: the stand-in has no certificate, and without
sign-in it would let in those whom the real one refuses. Their connections are refused.

Of several backends one without a ready pod costs its share of the requests a 503, as the Gateway
API and newer Envoy Gateways have it; older ones answer 500.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from functools import partial
from typing import Final

import aiohttp
from aiohttp import web

from regions.sandbox.traffic.complaints import Complaints
from regions.sandbox.traffic.counts import Counts
from regions.sandbox.traffic.endpoints import Endpoints, Target
from regions.sandbox.traffic.exchange import (
    Hooks,
    address_of,
    onward_headers,
    open_session,
    plain,
    relay,
)
from regions.sandbox.traffic.routes import Backend, Mirror, Question, Rule, Table, choose, draw
from regions.sandbox.traffic.sockets import explain
from regions.sandbox.traffic.watch import Key

_SHUTDOWN_SECONDS: Final = 1.0
_COPY_SECONDS: Final = 300


class Gateway:
    """All HTTP listeners of a region, on one address."""

    def __init__(self, address: str, counts: Counts, complaints: Complaints) -> None:
        self._address = address
        self._counts = counts
        self._complaints = complaints
        self._chance = random.Random()
        self._session = open_session()
        self._open: dict[int, web.ServerRunner] = {}
        self._tables: Mapping[int, Table] = {}
        self._endpoints: Mapping[Key, Endpoints] = {}
        self._copies: set[asyncio.Task[None]] = set()

    async def keep(self, tables: Mapping[int, Table], endpoints: Mapping[Key, Endpoints]) -> bool:
        """Answer exactly so, by port, from now on; whether every port could be listened on."""
        self._tables, self._endpoints = tables, endpoints
        matches = [one for found in tables.values() for rows in found.values() for one in rows]
        self._counts.know(one.rule.cluster for one in matches)
        for port in [one for one in self._open if one not in tables]:
            await self._open.pop(port).cleanup()
        return all([await self._listen(port) for port in tables])

    async def _listen(self, port: int) -> bool:
        if port in self._open:
            return True
        subject = f"{self._address}:{port}"
        server = web.Server(partial(self._answer, port), handler_cancellation=True)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._address, port).start()
        except OSError as reason:
            await runner.cleanup()
            self._complaints.say(subject, explain(reason))
            return False
        self._complaints.settled(subject)
        self._open[port] = runner
        return True

    async def close(self) -> None:
        """Stop answering, and break off what is underway."""
        for runner in self._open.values():
            await runner.cleanup()
        for copy in self._copies:
            copy.cancel()
        await self._session.close()

    async def _answer(self, port: int, request: web.BaseRequest) -> web.StreamResponse:
        if not request.raw_path.startswith("/"):
            return plain(400, "the stand-in takes requests for a path only")
        host = request.headers.get("Host", "").partition(":")[0].lower()
        headers = {name.lower(): ",".join(request.headers.getall(name)) for name in request.headers}
        question = Question(request.method, request.raw_path, headers)
        rule = choose(self._tables.get(port, {}), host, question)
        return plain(404, "no route") if rule is None else await self._by_rule(rule, request)

    async def _by_rule(self, rule: Rule, request: web.BaseRequest) -> web.StreamResponse:
        backend = draw(rule, self._chance)
        wrong = rule.refusal or (backend.wrong if backend else "all backends have weight 0")
        if backend is None or wrong:
            self._complaints.say(rule.cluster, wrong)
            self._counts.add(rule.cluster, "", "", 500)
            return plain(500, wrong)
        service = "/".join(backend.service)
        target = self._target(backend)
        if target is None:
            self._counts.add_none_ready(rule.cluster)
            self._counts.add(rule.cluster, service, "", 503)
            return plain(503, "no healthy upstream")
        pod = target.pod
        hooks = Hooks(
            sent=partial(self._start_copies, rule, request),
            answered=lambda status: self._counts.add(rule.cluster, service, pod, status),
        )
        return await relay(self._session, request, target, rule.timeout_seconds, hooks)

    def _target(self, backend: Backend) -> Target | None:
        behind = self._endpoints.get(backend.service)
        targets = behind.ports.get(backend.port, ()) if behind else ()
        return self._chance.choice(targets) if targets else None

    def _start_copies(self, rule: Rule, request: web.BaseRequest, body: bytes) -> None:
        for mirror in rule.mirrors:
            if self._chance.random() * 100 < mirror.percent:
                copy = asyncio.create_task(self._copy(mirror, request, body))
                self._copies.add(copy)  # a task that nobody holds may vanish
                copy.add_done_callback(self._copies.discard)

    async def _copy(self, mirror: Mirror, request: web.BaseRequest, body: bytes) -> None:
        """Send a copy, as Envoy does with `-shadow` at its host, and drop the answer."""
        service, target = "/".join(mirror.backend.service), self._target(mirror.backend)
        if mirror.backend.wrong or target is None:
            self._counts.add_none_ready(mirror.cluster)
            return
        headers = onward_headers(request)
        name, colon, port = headers["Host"].partition(":")
        headers["Host"] = f"{name}-shadow{colon}{port}"
        try:
            async with (
                asyncio.timeout(_COPY_SECONDS),
                self._session.request(
                    request.method,
                    address_of(target, request.raw_path),
                    headers=headers,
                    data=body or None,
                    allow_redirects=False,
                ) as answer,
            ):
                status = answer.status
                await answer.read()
        except (aiohttp.ClientError, OSError):
            status = 503
        self._counts.add(mirror.cluster, service, target.pod, status)
