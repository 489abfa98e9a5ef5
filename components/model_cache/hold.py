"""Holds what the config lists: one version after the other, the smallest first.

One at a time, with several files and ranges of it in parallel: that fills the node's line, and no
content is fetched twice, however many versions and pods want it.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

from components.model_cache import notices
from components.model_cache.board import Board
from components.model_cache.budget import budget_of, make_room
from components.model_cache.config import Config, Wanted
from components.model_cache.failure import Failure, failure_of
from components.model_cache.fetch import missing_bytes
from components.model_cache.keep import Library, bring, content
from components.model_cache.places import held_bytes, is_there, places_of
from components.model_cache.retry import Key, Retries
from components.model_cache.room import Place
from components.model_cache.rot import Condemned, clear
from components.model_cache.signs import Signs
from components.model_cache.source import Origin
from components.model_registry.errors import RegistryError

_log = logging.getLogger("cache")
_LOOK_SECONDS: Final = 60.0  # images may fill the disk meanwhile
_NOTHING: Final = Config(budget_bytes=0, disk_free_percent=0, models=())


class Holder:
    """Brings a node's disk to what the config says."""

    def __init__(self, root: Path, origin: Origin, signs: Signs, retries: Retries) -> None:
        """Below `root`, from `origin`. Only one process may do so at a time (lock.py)."""
        self._root = root
        self._origin = origin
        self._signs = signs
        self._retries = retries
        self._board = Board(retries.now, retries)
        self._libraries: dict[str, Library] = {}
        self._places: dict[str, Place] = {}
        self._config = _NOTHING
        self._next_look = retries.now()
        self._missing: dict[Key, Wanted] = {}
        self.condemned = Condemned()
        """Content that is no longer right, to which any thread may add."""

    def turn(self, config: Config) -> None:
        """Do what is due; at most one version is fetched."""
        self._signs.beat()
        aside = self.condemned.set_aside(self._root)
        for project in aside:
            self._signs.rotten(project)
        if aside or config != self._config or self._retries.now() >= self._next_look:
            self._begin(config)
        due = [row for row in self._missing.items() if self._retries.is_due(row[0])]
        if due:  # one only: the config may list another by then
            self._try(*min(due, key=self._turn_of))
        self._post(at_once=False)

    def _begin(self, config: Config) -> None:
        """Take in another config, or look whether the disk is still as it was left."""
        self._config = config
        self._next_look = self._retries.now() + _LOOK_SECONDS
        self._places = places_of(self._root, config, self._libraries)
        for place in self._places.values():
            self._signs.begin(place.project)
            place.tidy()
        self._signs.rotten_served(sum(map(clear, self._places.values())))
        self._missing = {
            (one.project, one.digest): one
            for one in config.models
            if not is_there(self._places[one.project], one)
        }
        self._retries.only(self._missing.keys())
        self._make_room(0)
        self._show()

    def _turn_of(self, row: tuple[Key, Wanted]) -> tuple[int, int]:
        """The smallest first; what fails again and again keeps nobody waiting."""
        return self._retries.failures(row[0]), row[1].bytes

    def _try(self, key: Key, one: Wanted) -> None:
        failure = self._attempt(one)
        if failure:
            self._signs.failed(one.project, failure.reason)
            self._retries.failed(key, failure.reason, failure.sentence)
            is_lasting = failure.reason == "corrupt" or self._retries.is_refused(key)
            event = {"event": "ModelNotHeld"} if is_lasting else {}
            words = "%s is not held, %s: %s"
            _log.error(words, one.address, failure.reason, failure.sentence, extra=event)
        else:
            del self._missing[key]
            self._signs.published(one.project)
            notices.take_down(self._places[one.project].shelf, one.digest)
            _log.info("%s is there", one.address)
        self._show()

    def _attempt(self, one: Wanted) -> Failure | None:
        place = self._places[one.project]
        try:
            manifest = place.library.fetched(self._origin, one)
            lack = self._make_room(missing_bytes(place.shelf, content(manifest)))
            if lack:
                return Failure("disk_full", lack)
            told = partial(self._fetched, one.project)
            bring(self._origin, place.shelf, one, manifest, told)
        except (RegistryError, OSError) as error:
            failure = failure_of(error)
            if failure.reason == "disk_full":  # partial files help nobody while there is no room
                for row in place.shelf.partials():
                    Path(row.path).unlink()
            return failure
        return None

    def _fetched(self, project: str, source: str, count: int) -> None:
        self._signs.fetched(project, source, count)
        self._post(at_once=False)

    def _make_room(self, needed_bytes: int) -> str:
        """Evict for `needed_bytes` more; why that is not enough, or nothing."""
        gone, lack = make_room(self._root, self._places, self._config, needed_bytes)
        for row in gone:
            self._signs.evicted(row.project)
            _log.info("%s/%s made room: nobody asks for it", row.project, row.digest)
        return lack

    def _post(self, *, at_once: bool) -> None:
        self._board.post(self._places, self._missing.values(), at_once=at_once)

    def _show(self) -> None:
        """Let pods and Prometheus see how things stand."""
        self._post(at_once=True)
        held = (row for place in self._places.values() for row in held_bytes(place))
        budget = budget_of(self._root, self._places, self._config)
        self._signs.disk(budget.bytes, budget.used_bytes, held)
        refused = sum(map(self._retries.is_refused, self._missing))
        self._signs.states(
            Counter(
                fetching=len(self._missing) - refused,
                held=len(self._config.models) - len(self._missing),
                refused=refused,
            )
        )
