"""Where the agents of other nodes are, and which of them to leave alone for a while."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

REASONS: Final = ("busy", "corrupt", "cut", "denied", "refused", "slow", "strange", "timeout")
"""Why a peer did not give what it was asked for. That it has not got it is no failure."""
LIED: Final = "corrupt"
_ALONE_SECONDS: Final[dict[str, float]] = {"busy": 5.0, LIED: 600.0}
_ALONE_OTHERWISE_SECONDS: Final = 60.0
_LOOK_UP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One agent's address, by which it is also called."""

    host: str
    port: int


class Neighbours:
    """The agents behind one name of the cluster's DNS. For any number of threads."""

    def __init__(self, name: str, port: int, own: str, now: Callable[[], float]) -> None:
        """Those behind `name` (empty: none) that listen on `port`, but not at our `own` address."""
        self._name = name
        self._port = port
        self._own = own
        self._now = now
        self._lock = Lock()
        self._found: list[Neighbour] = []
        self._next_look = now()
        self._alone_until: dict[Neighbour, float] = {}
        self._liar_until: dict[Neighbour, float] = {}

    def some(self, most: int) -> list[Neighbour]:
        """At most so many of those that may be asked, by chance: a new model comes everywhere."""
        with self._lock:
            now = self._now()
            if now >= self._next_look:
                self._next_look = now + _LOOK_UP_SECONDS
                self._found = self._looked_up()
                self._alone_until = {n: t for n, t in self._alone_until.items() if t > now}
            free = [one for one in self._found if self._alone_until.get(one, now) <= now]
        return random.sample(free, min(most, len(free)))

    def leave_alone(self, one: Neighbour, reason: str) -> None:
        """Ask it nothing for a while, for one of REASONS; what another thread says later shortens
        no wait."""
        until = self._now() + _ALONE_SECONDS.get(reason, _ALONE_OTHERWISE_SECONDS)
        with self._lock:
            self._alone_until[one] = max(until, self._alone_until.get(one, until))
            if reason == LIED:
                self._liar_until[one] = until

    def has_lied(self, one: Neighbour) -> bool:
        """Whether it gave wrong bytes a while ago, perhaps to another thread: what it gives now is
        not worth waiting for."""
        with self._lock:
            until = self._liar_until.get(one)
        return until is not None and self._now() < until

    def _looked_up(self) -> list[Neighbour]:
        if not self._name:
            return []
        try:
            rows = socket.getaddrinfo(self._name, self._port, type=socket.SOCK_STREAM)
        except OSError:
            return []
        hosts = sorted({str(row[4][0]) for row in rows})
        return [Neighbour(host, self._port) for host in hosts if not self._is_own(host)]

    def _is_own(self, host: str) -> bool:
        if host == self._own:
            return True
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:  # nothing is sent
            try:
                probe.connect((host, self._port))
                return bool(probe.getsockname()[0] == host)
            except OSError:
                return False
