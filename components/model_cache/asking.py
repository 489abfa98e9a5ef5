"""One question to one peer over HTTP, and its answer as far as it comes, in bounded time."""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from components.model_cache.neighbours import Neighbour
from components.model_registry.prefixes import PREFIX_BYTES

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CONNECT_SECONDS: Final = 2.0
_SILENCE_SECONDS: Final = 10.0
_PIECE_BYTES: Final = 256 * 1024
_LEAST_BYTES_PER_SECOND: Final = 32 * 1024 * 1024
"""What a peer gives while we wait for it; from a slower one the registry is the better source. An
eighth of what plans count with (MachineType.fetch_mib_per_second), so that one that is slow costs
at most eight times the planned time, and one that lies two seconds a file."""
_REFUSALS: Final = {403: "denied", 503: "busy"}
_SPAN: Final = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")


class _Timed(io.RawIOBase):
    """What comes by a socket until its time is over, however many bytes that is."""

    def __init__(self, raw: io.RawIOBase, line: socket.socket) -> None:
        self._raw = raw
        self._line = line
        self.allow()

    def allow(self) -> None:
        """From now on there is time for a head, or a piece, again."""
        self._until = time.monotonic() + _SILENCE_SECONDS

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """As of any file. Raises TimeoutError."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._line.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Give the socket back."""
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer whose head comes in time: a byte at a time, or one `100 Continue` after another,
    it would come for ever."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._timed = _Timed(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._timed)

    def next(self, most: int) -> bytes:
        """What comes next, of `most` bytes; empty at the end. Raises TimeoutError."""
        self._timed.allow()
        return self.read1(most)


class PeerError(Exception):
    """A peer failed; the text is one of neighbours.REASONS."""


def ask(one: Neighbour, token: str, path: str, start: int, size: int) -> Iterator[memoryview]:
    """What a peer has at `path` of `size` bytes from `start` on; nothing if it has not got it.

    No piece goes beyond a multiple of PREFIX_BYTES, where it may be known what has to be there.
    Raises PeerError, and what was given before stays good to go on from.
    """
    span = {"Range": f"bytes={start}-{size - 1}"}
    with _failing(), _asked(one, token, path, span) as answer:
        if answer.status == 404:
            return
        _check(answer, start, size)
        yield from _pieces(answer, start, size)


def ask_whole(one: Neighbour, token: str, path: str, most: int) -> bytes:
    """A small thing whose size is not known, of `most` bytes; empty if the peer has not got it."""
    with _failing(), _asked(one, token, path, {}) as answer:
        if answer.status == 404:
            return b""
        size = answer.length or 0
        if size > most:
            raise PeerError("strange")
        _check(answer, 0, size)
        return b"".join(_pieces(answer, 0, size))


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise PeerError("timeout") from None
    except OSError as error:
        # Also an agent of a version that has no such port.
        gone = isinstance(error, ConnectionResetError | BrokenPipeError)
        raise PeerError("cut" if gone else "refused") from None
    except (http.client.HTTPException, ValueError):
        raise PeerError("strange") from None


@contextmanager
def _asked(one: Neighbour, token: str, path: str, more: dict[str, str]) -> Iterator[_Answer]:
    line = http.client.HTTPConnection(one.host, one.port, timeout=_CONNECT_SECONDS)
    line.response_class = _Answer
    try:
        line.request("GET", path, headers={"Authorization": f"Bearer {token}", **more})
        with line.getresponse() as answer:
            assert isinstance(answer, _Answer)
            yield answer
    finally:
        line.close()


def _check(answer: http.client.HTTPResponse, start: int, size: int) -> None:
    """Raise PeerError unless the answer is just the bytes that were asked for."""
    if answer.status in _REFUSALS:
        raise PeerError(_REFUSALS[answer.status])
    span = _SPAN.fullmatch(answer.headers.get("Content-Range", ""))
    right = span and tuple(map(int, span.groups())) == (start, size - 1, size)
    if answer.status != 206 or not right or answer.length != size - start:
        raise PeerError("strange")


def _pieces(answer: _Answer, at: int, end: int) -> Iterator[memoryview]:
    waited, got = 0.0, 0
    while at < end:
        before = time.monotonic()
        piece = answer.next(min(_PIECE_BYTES, end - at, PREFIX_BYTES - at % PREFIX_BYTES))
        waited += time.monotonic() - before
        got += len(piece)
        at += len(piece)
        if not piece:
            raise PeerError("cut")
        yield memoryview(piece)
        if waited > _SILENCE_SECONDS:  # it is alive, byte by byte
            if got < waited * _LEAST_BYTES_PER_SECOND:
                raise PeerError("slow")
            waited, got = 0.0, 0
