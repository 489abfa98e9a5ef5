"""Large ranges over connections that are kept, into memory that is used again.

obstore gives every range in new memory, and to prepare and copy that is half of a download's CPU;
here little is left but the SHA-256. Nothing here is an error: for what does not come as it was
asked for, the caller asks obstore, which tries again and says what is wrong.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Generator, Sequence
from itertools import cycle
from typing import Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

_SILENCE_SECONDS: Final = 20.0
_REFUSALS: Final = (400, 401, 403, 405, 501)


class Lines:
    """Connections to one store. For any number of threads."""

    def __init__(self, sign: Callable[[str], str]) -> None:
        """`sign` gives a URL by which a key may be read, or nothing."""
        self._sign = sign
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._tls: ssl.SSLContext | None = None
        # A store behind a proxy is obstore's, and so is one that takes no signed URL.
        self._refused = bool(getproxies().keys() & {"all", "http", "https"})

    def fill(self, buffer: memoryview, key: str, start: int, size: int) -> bool:
        """Whether `buffer` now holds the bytes from `start` of an object of just `size`."""
        return any(True for _ in self.pieces([buffer], key, start, start + len(buffer), size))

    def pieces(
        self, buffers: Sequence[memoryview], key: str, start: int, end: int, size: int
    ) -> Generator[memoryview, None, None]:
        """The bytes from `start` to `end` of an object of just `size`, in each buffer in turn.

        They end early where something is wrong.
        """
        url = urlsplit("" if self._refused else self._sign(key))
        if not url.hostname:
            return
        line, is_whole, turns = self._line(url), False, cycle(buffers)
        try:
            answer = self._ask(line, url, start, end, size)
            while answer and not is_whole:
                piece = next(turns)[: end - start]
                if not _read(answer, piece):
                    return
                start += len(piece)
                if is_whole := start == end:
                    answer.close()
                yield piece
        except (OSError, http.client.HTTPException) as error:
            # Who is silent once is not waited for again, since obstore waits too.
            self._refused |= isinstance(error, TimeoutError)
        finally:
            if is_whole:
                with self._lock:
                    self._idle.append(line)
            else:  # what it may still send would be taken for the next answer
                line.close()

    def close(self) -> None:
        """Let go of all connections, when nobody reads any more."""
        for line in self._idle:
            line.close()
        self._idle.clear()

    def _line(self, url: SplitResult) -> http.client.HTTPConnection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            if url.scheme == "https" and self._tls is None:
                self._tls = ssl.create_default_context()
        host = url.hostname or ""
        if url.scheme == "https":
            return http.client.HTTPSConnection(
                host, url.port, timeout=_SILENCE_SECONDS, context=self._tls
            )
        return http.client.HTTPConnection(host, url.port, timeout=_SILENCE_SECONDS)

    def _ask(
        self, line: http.client.HTTPConnection, url: SplitResult, start: int, end: int, size: int
    ) -> http.client.HTTPResponse | None:
        # Many a store copies ranges, and sends whole objects from its files right away.
        is_all = start == 0 and end == size
        ranged = {} if is_all else {"Range": f"bytes={start}-{end - 1}"}
        line.request("GET", f"{url.path}?{url.query}", headers=ranged)
        answer = line.getresponse()
        if answer.status in _REFUSALS:
            self._refused = True
        span = answer.headers.get("Content-Range", "")
        found = (answer.status, span, answer.length)
        asked = (200, "") if is_all else (206, f"bytes {start}-{end - 1}/{size}")
        return answer if found == (*asked, end - start) else None


def _read(answer: http.client.HTTPResponse, into: memoryview) -> bool:
    while into:
        if not (count := answer.readinto(into)):
            return False
        into = into[count:]
    return True
