"""Sends one probe the way a user's request goes, and judges what comes back before its deadline."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
from yarl import URL

from components.synthetic_probe.blame import blame
from components.synthetic_probe.event_stream import EventStream
from components.synthetic_probe.judge import check_length, check_pattern, has_path, parse_json
from components.synthetic_probe.settings import Row
from components.synthetic_probe.verdict import Pace, Reason, Result, WrongError

PROBE_HEADER: Final = "x-isoserve-probe"
"""As model_specs/names.py has it, which would bring pydantic into the image; a test compares."""
MAX_BYTES: Final = 1024 * 1024


def open_session() -> aiohttp.ClientSession:
    """A session that keeps nothing from one probe to the next.

    A new connection each time asks the resolver, the certificate and any replica, as a new user
    does; one kept open would stay with one replica while the others are wedged.
    """
    connector = aiohttp.TCPConnector(
        force_close=True, limit=0, ssl=ssl.create_default_context(), use_dns_cache=False
    )
    return aiohttp.ClientSession(
        auto_decompress=False,  # a small answer could unpack to more than there is memory
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "isoserve-prober"},
        timeout=aiohttp.ClientTimeout(total=None),  # `_until` has the only one
    )


@asynccontextmanager
async def _until(deadline: float, reason: Reason, detail: str) -> AsyncIterator[None]:
    """What takes longer than to `deadline`, on the loop's clock, is wrong for `reason`."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise WrongError(reason, detail) from None


def _headers(row: Row) -> dict[str, str]:
    headers = {PROBE_HEADER: "true"}
    if row.token_path:
        try:  # at every request: the kubelet writes a new token before the old one expires
            token = Path(row.token_path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeError):
            raise WrongError(Reason.TOKEN, f"cannot read {row.token_path}") from None
        headers["Authorization"] = f"Bearer {token}"
    return headers


async def _read(response: aiohttp.ClientResponse, stream: EventStream | None, sent: float) -> str:
    """The whole body as text, given to `stream` piece by piece on its way."""
    clock = asyncio.get_running_loop().time
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            raise WrongError(Reason.TOO_LARGE, f"the answer exceeds {MAX_BYTES} bytes")
        if stream:
            stream.feed(chunk, clock() - sent)
            if stream.done:
                break  # as a user's client does, whether or not the connection stays open
    return body.decode(errors="replace")


def _judge(row: Row, text: str, stream: EventStream | None) -> Pace | None:
    pace = stream.end() if stream else None
    if row.json_path:
        document = None if stream else parse_json(text)
        if not (stream.found if stream else has_path(document, row.json_path)):
            raise WrongError(Reason.PATH, f"the answer has no {row.json_path}")
        if row.length:
            check_length(document, row.json_path, row.length)
    if row.matches:
        said = stream.text if stream else ""
        check_pattern(said or text, row.matches)
    return pace


async def _exchange(
    session: aiohttp.ClientSession, judges: Executor, row: Row, sent: float
) -> Pace | None:
    deadline, limit = sent + row.latency_seconds, f"within {row.latency_seconds:.6g} s"
    headers, url = _headers(row), URL(row.url, encoded=True)
    async with _until(deadline, Reason.TIMEOUT, f"no answer {limit}"):
        # A redirect could carry the token to a stranger.
        response = await session.request(
            row.method, url, json=row.body or None, headers=headers, allow_redirects=False
        )
    async with response:
        if response.status != row.status:
            raise WrongError(Reason.STATUS, f"status {response.status}, not {row.status}")
        if row.streams and response.content_type != "text/event-stream":
            raise WrongError(Reason.STREAM, "a stream was asked for, this is none")
        stream = EventStream(row.json_path) if row.streams else None
        async with _until(deadline, Reason.TOO_SLOW, f"no whole answer {limit}"):
            text = await _read(response, stream, sent)
            # In a thread, so that a slow pattern holds up nobody else.
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(judges, _judge, row, text, stream)


async def ask(session: aiohttp.ClientSession, judges: Executor, row: Row) -> Result:
    """Send the row's request once; whatever goes wrong is a result, never an exception.

    `judges` bounds how many answers are looked into at a time.
    """
    clock = asyncio.get_running_loop().time
    sent = clock()
    pace, reason, detail = None, None, ""
    try:
        pace = await _exchange(session, judges, row, sent)
    except WrongError as error:
        reason, detail = error.reason, error.detail
    except Exception as error:
        reason, detail = blame(error)
    return Result(seconds=clock() - sent, reason=reason, detail=detail, pace=pace)
