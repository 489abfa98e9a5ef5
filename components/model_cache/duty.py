"""An agent's duty on its node: what it listens on, its threads, and one turn after the other."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from components.model_cache import config
from components.model_cache.api_server import api_server
from components.model_cache.events import Events
from components.model_cache.health import serving
from components.model_cache.hold import Holder
from components.model_cache.lock import alone
from components.model_cache.neighbours import Neighbours
from components.model_cache.peers import Peers
from components.model_cache.recheck import Recheck
from components.model_cache.retry import Retries
from components.model_cache.scheduled import Scheduled
from components.model_cache.serve import giving
from components.model_cache.signs import Signs
from components.model_cache.source import Origin
from components.model_cache.tokens import ROUND_SECONDS, Tokens
from components.model_registry.store import Store

TURN_SECONDS: Final = 1.0
API_FOLDER: Final = Path("/var/run/isoserve/api")  # as objects.py renders it
_log = logging.getLogger("cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What an agent is told on its command line."""

    root: Path
    config: Path
    node: str
    host: str
    """Where to listen; empty is every address."""
    port: int
    peers: str
    """The name of all nodes' agents; empty where each stands alone."""
    peer_port: int
    spread_seconds: float
    api_folder: Path
    """The token for the API server, and by what that is known."""


def hold(duty: Duty, store: Store) -> NoReturn:
    """Hold what the config lists, from `store`, until the process is ended."""
    # Another process that opens a file while its lease is asked for (room.py) must not end us.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    where = api_server(os.environ, duty.api_folder)
    if where:
        _log.addHandler(Events(where))
    pods = Scheduled(where, _chance, time.sleep)
    signs = Signs(duty.node)
    retries = Retries(time.monotonic, _chance, duty.spread_seconds)

    def stand_by() -> None:
        signs.beat()
        time.sleep(TURN_SECONDS)

    with (
        serving(duty.host, duty.port, signs) as port,
        alone(duty.root, stand_by),
        _among_peers(duty, store, signs) as peers,
    ):
        holder = Holder(duty.root, Origin(store, peers), signs, retries, pods.needs)
        recheck = Recheck(duty.root, holder.condemned.add, time.time, time.sleep)
        threading.Thread(target=recheck.run, name="recheck", daemon=True).start()
        _log.info("holding %s, metrics on port %d", duty.root, port)
        _turns(holder, duty.config, signs, pods)


def _turns(holder: Holder, path: Path, signs: Signs, pods: Scheduled) -> NoReturn:
    last = ""
    while True:
        try:
            found = config.load(path)
            pods.follow({one.project for one in found.models})
            holder.turn(found)
        except ValueError as error:  # what was listed before is held on
            if str(error) != last:
                _log.error("%s: %s", path, error)
            last = str(error)
            signs.beat()
        time.sleep(TURN_SECONDS)


def _chance(most: float) -> float:
    return random.uniform(0, most)


@contextmanager
def _among_peers(duty: Duty, store: Store, signs: Signs) -> Iterator[Peers | None]:
    """Answer other nodes, and know whom to ask; None where the agent stands alone."""
    if not duty.peers:
        yield None
        return
    tokens = Tokens(duty.root, store)

    def keep_learning() -> None:
        time.sleep(_chance(duty.spread_seconds))
        while True:
            tokens.learn_all()
            time.sleep(ROUND_SECONDS / 2 + _chance(ROUND_SECONDS))

    threading.Thread(target=keep_learning, name="tokens", daemon=True).start()
    with giving(duty.host, duty.peer_port, duty.root, tokens) as port:
        _log.info("giving to peers on port %d", port)
        near = Neighbours(duty.peers, duty.peer_port, duty.host, time.monotonic)
        yield Peers(near, tokens, signs.peer_failed)
