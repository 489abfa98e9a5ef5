"""What the API server holds, heard at once: a list and then a watch for every kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, NoReturn

import aiohttp

from regions.sandbox.kube import Object
from regions.sandbox.traffic.complaints import Complaints

Key = tuple[str, str]
"""Namespace and name."""

PATHS: Final = {
    "gateways": "/apis/gateway.networking.k8s.io/v1/gateways",
    "httproutes": "/apis/gateway.networking.k8s.io/v1/httproutes",
    "namespaces": "/api/v1/namespaces",
    "pods": "/api/v1/pods",
    "services": "/api/v1/services",
}
RETRY_SECONDS: Final = 0.5
# A region may get the Gateway API's definitions later, or never.
_ABSENT_RETRY_SECONDS: Final = 2.0
_WATCH_SECONDS: Final = 240
# Bookmarks come about once a minute: a longer silence is a dead connection.
_SILENCE_SECONDS: Final = 300
_LIST_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Change:
    """Objects of one kind that came, changed, or went (None); `whole` when they are all."""

    kind: str
    objects: dict[Key, Object | None]
    whole: bool


class _RefusedError(Exception):
    """The API server answered, but not with what was asked."""


def key_of(found: Object) -> Key:
    """The object's namespace (empty when it has none) and name."""
    metadata = found["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


async def follow(
    session: aiohttp.ClientSession,
    kind: str,
    tell: Callable[[Change], None],
    complaints: Complaints,
) -> NoReturn:
    """Tell of all objects of a kind, then of every change, until cancelled.

    An API server that is away is waited for; one that has forgotten where we were is asked for
    the whole list again.
    """
    version = ""
    while True:
        pause_seconds = RETRY_SECONDS
        try:
            if not version:
                version = await _list(session, kind, tell)
            if version:
                complaints.settled(kind)
                async for reached, change in _watch(session, kind, version):
                    version = reached
                    if change:
                        tell(change)
                continue  # the time of this watch is over: the next begins where it ended
            pause_seconds = _ABSENT_RETRY_SECONDS
        except _RefusedError as reason:
            version = ""
            complaints.say(kind, str(reason))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as reason:
            complaints.say(
                kind, f"the API server doesn't answer ({type(reason).__name__}); trying again"
            )
        await asyncio.sleep(pause_seconds)


async def _list(session: aiohttp.ClientSession, kind: str, tell: Callable[[Change], None]) -> str:
    """Tell of the whole list; its version, empty when the cluster doesn't know the kind."""
    limit = aiohttp.ClientTimeout(total=_LIST_SECONDS)
    async with session.get(PATHS[kind], timeout=limit) as answer:
        if answer.status == 404:
            tell(Change(kind, {}, whole=True))
            return ""
        if answer.status != 200:
            raise _RefusedError(f"the list was refused with {answer.status}")
        body = await answer.json()
    tell(Change(kind, {key_of(one): one for one in body["items"]}, whole=True))
    return str(body["metadata"]["resourceVersion"])


async def _watch(
    session: aiohttp.ClientSession, kind: str, version: str
) -> AsyncIterator[tuple[str, Change | None]]:
    """Each new version with what changed; a bookmark changes nothing."""
    query = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(_WATCH_SECONDS),
    }
    limit = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_SECONDS)
    async with session.get(PATHS[kind], params=query, timeout=limit) as answer:
        if answer.status != 200:
            raise _RefusedError(f"the watch was refused with {answer.status}")
        rest = b""
        async for chunk in answer.content.iter_any():
            # Not readline(): a large object's line exceeds its limit.
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield _read(kind, json.loads(line))


def _read(kind: str, event: Object) -> tuple[str, Change | None]:
    found = event["object"]
    if event["type"] == "ERROR":  # 410: what we knew is too old to go on from
        raise _RefusedError(f"the watch ended with {found.get('code')}: {found.get('message')}")
    version = str(found["metadata"]["resourceVersion"])
    if event["type"] == "BOOKMARK":
        return version, None
    now = None if event["type"] == "DELETED" else found
    return version, Change(kind, {key_of(found): now}, whole=False)
