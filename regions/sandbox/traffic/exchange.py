"""One request handed to one pod, and its answer handed back, piece by piece as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from regions.sandbox.traffic.endpoints import Target
from regions.sandbox.traffic.sockets import reset

CONNECT_SECONDS: Final = 10
"""Envoy Gateway's default."""

_OF_ONE_CONNECTION: Final = frozenset(
    ("connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization",
     "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)  # fmt: skip
_NO_ANSWER: Final = "upstream connect error or disconnect before headers"
# The first that fits: a connection that isn't made in time is a ClientError and a TimeoutError.
_FAILURES: Final = (
    (aiohttp.ClientResponseError, 502, "the pod's answer is no HTTP"),
    (aiohttp.ClientError, 503, _NO_ANSWER),
    (TimeoutError, 504, "upstream request timeout"),
    (OSError, 503, _NO_ANSWER),
)


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who is told: of the whole request's body when it has gone, of the status when it is known."""

    sent: Callable[[bytes], None]
    answered: Callable[[int], None]


def open_session() -> aiohttp.ClientSession:
    """A session that changes nothing of what it carries.

    Each request has a connection of its own: none can be left over to a pod that ends.
    """
    return aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(force_close=True, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_field_size=65536,
        max_line_size=65536,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
    )


def passed_on(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers that are meant for more than the next hop."""
    named = ",".join(headers.getall("Connection", ())).lower().split(",")
    dropped = _OF_ONE_CONNECTION | {name.strip() for name in named}
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in dropped)


def onward_headers(request: web.BaseRequest) -> CIMultiDict[str]:
    """The request's headers as the pod gets them."""
    headers = passed_on(request.headers)
    chain = [*headers.popall("X-Forwarded-For", ()), request.remote or ""]
    headers["X-Forwarded-For"] = ", ".join(chain)
    return headers


def address_of(target: Target, path: str) -> URL:
    """Where the pod answers, with the path as the client wrote it."""
    return URL(f"http://{target.host}:{target.port}{path}", encoded=True)


def plain(status: int, words: str) -> web.Response:
    """An answer of the gateway's own."""
    return web.Response(status=status, text=f"{words}\n")


async def relay(
    session: aiohttp.ClientSession,
    request: web.BaseRequest,
    target: Target,
    timeout_seconds: float | None,
    hooks: Hooks,
) -> web.StreamResponse:
    """Ask the pod and pass on what it answers; what goes wrong has Envoy's status.

    The time limit runs from the end of the request to the end of the answer.
    """
    begun: list[web.StreamResponse] = []
    try:
        async with asyncio.timeout(None) as limit:
            body = _body(request, limit, timeout_seconds, hooks)
            if request.can_read_body:
                return await _pass_on(session, request, target, body, begun, hooks)
            async for _ in body:
                pass  # there is none, and at its end the clock starts
            return await _pass_on(session, request, target, None, begun, hooks)
    except (aiohttp.ClientError, OSError) as reason:
        status, words = next(
            (status, words) for kind, status, words in _FAILURES if isinstance(reason, kind)
        )
    if begun:  # too late for another status: only a broken connection says that this isn't all
        if request.transport is not None:
            reset(request.transport)
        return begun[0]
    hooks.answered(status)
    return plain(status, words)


async def _pass_on(
    session: aiohttp.ClientSession,
    request: web.BaseRequest,
    target: Target,
    body: AsyncIterator[bytes] | None,
    begun: list[web.StreamResponse],
    hooks: Hooks,
) -> web.StreamResponse:
    async with session.request(
        request.method,
        address_of(target, request.raw_path),
        headers=onward_headers(request),
        data=body,
        allow_redirects=False,
    ) as upstream:
        hooks.answered(upstream.status)
        answer = web.StreamResponse(
            status=upstream.status, reason=upstream.reason, headers=passed_on(upstream.headers)
        )
        begun.append(answer)
        await answer.prepare(request)
        async for piece in upstream.content.iter_any():
            await answer.write(piece)
    await answer.write_eof()
    return answer


async def _body(
    request: web.BaseRequest,
    limit: asyncio.Timeout,
    timeout_seconds: float | None,
    hooks: Hooks,
) -> AsyncIterator[bytes]:
    """The request's body as it comes; at its end the clock starts and the hook gets all of it."""
    whole = bytearray()
    if request.can_read_body:
        async for piece in request.content.iter_any():
            whole += piece
            yield piece
    if timeout_seconds is not None:
        # A pod may have answered before it had read everything: nothing is left to limit then.
        with contextlib.suppress(RuntimeError):
            limit.reschedule(asyncio.get_running_loop().time() + timeout_seconds)
    hooks.sent(bytes(whole))
