"""Holds what the node chooses (choice.py): one version after the other, what pods need first.

One at a time, with several files and ranges of it in parallel: that fills the node's line, and no
content is fetched twice, however many versions and pods want it. What is held because it fits gives
way, half fetched, to what a pod waits for, and is gone on with later.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from components.model_cache import notices
from components.model_cache.board import Board
from components.model_cache.budget import budget_of, make_room
from components.model_cache.choice import Choice, Claim, Row, choose
from components.model_cache.config import Config
from components.model_cache.failure import Failure, failure_of
from components.model_cache.fetch import missing_bytes
from components.model_cache.keep import Library, bring, content
from components.model_cache.places import held_bytes, is_there, places_of
from components.model_cache.retry import Key, Retries
from components.model_cache.room import Place
from components.model_cache.rot import Condemned, clear
from components.model_cache.scheduled import Needs
from components.model_cache.signs import Signs
from components.model_cache.source import Origin
from components.model_registry.errors import RegistryError

_log = logging.getLogger("cache")
_LOOK_SECONDS: Final = 60.0  # images may fill the disk meanwhile
_NOTHING: Final = Config(budget_bytes=0, disk_free_percent=0, models=())


class Outranked(Exception):
    """A pod waits for a version while another is fetched that nobody waits for."""


class Holder:
    """Brings a node's disk to what the config says."""

    def __init__(
        self,
        root: Path,
        origin: Origin,
        signs: Signs,
        retries: Retries,
        needs: Callable[[], Needs],
    ) -> None:
        """Below `root`, from `origin`; `needs` says what the node's pods need at any time.

        Only one process may do so at a time (lock.py).
        """
        self._root = root
        self._origin = origin
        self._signs = signs
        self._retries = retries
        self._needs = needs
        self._board = Board(retries.now, retries)
        self._libraries: dict[str, Library] = {}
        self._places: dict[str, Place] = {}
        self._config = _NOTHING
        self._seen: Needs = {}
        self._choice: Choice = {}
        self._next_look = retries.now()
        self._missing: dict[Key, Row] = {}
        self.condemned = Condemned()
        """Content that is no longer right, to which any thread may add."""

    def turn(self, config: Config) -> None:
        """Do what is due; at most one version is fetched."""
        self._signs.beat()
        aside = self.condemned.set_aside(self._root)
        for project in aside:
            self._signs.rotten(project)
        needs, is_late = self._needs(), self._retries.now() >= self._next_look
        if aside or config != self._config or needs != self._seen or is_late:
            self._begin(config, needs)
        due = [row for row in self._missing.items() if self._retries.is_due(row[0])]
        if due:  # one only: the config may list another by then
            self._try(*min(due, key=self._turn_of))
        self._post(at_once=False)

    def _begin(self, config: Config, needs: Needs) -> None:
        """Take in another config or pods, or look whether the disk is still as it was left."""
        self._config, self._seen = config, needs
        self._next_look = self._retries.now() + _LOOK_SECONDS
        self._root.mkdir(parents=True, exist_ok=True)
        room = budget_of(self._root, config).bytes
        before, self._choice = self._choice, choose(config, needs, self._signs.node, room)
        self._places = places_of(self._root, self._choice, needs.keys(), self._libraries)
        for place in self._places.values():
            self._signs.begin(place.project)
            place.tidy()
        self._signs.rotten_served(sum(map(clear, self._places.values())))
        self._missing = {
            key: row
            for key, row in self._choice.items()
            if row.is_held and not is_there(self._places[key[0]], row.one)
        }
        urgent = {
            key
            for key, row in self._missing.items()
            if row.claim is Claim.NEEDED
            and (key not in before or before[key].claim is not Claim.NEEDED)
        }
        self._retries.only(self._missing.keys(), urgent)
        self._make_room(0, 0, None)
        self._show()

    def _turn_of(self, item: tuple[Key, Row]) -> tuple[int, int, int]:
        """What pods need first, then the smallest; what fails again and again keeps nobody waiting.

        What fits beside them comes in the order of the choice.
        """
        key, row = item
        failures = self._retries.failures(key)
        if row.may_yield:
            return row.claim, failures, row.place
        return min(row.claim, Claim.PINNED), failures, row.one.bytes

    def _try(self, key: Key, row: Row) -> None:
        one = row.one
        try:
            failure = self._attempt(row)
        except Outranked:
            return
        if failure and failure.reason == "disk_full" and row.claim is Claim.SPARE:
            del self._missing[key]  # till the next look: nobody waits for it
        elif failure:
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

    def _attempt(self, row: Row) -> Failure | None:
        one = row.one
        place = self._places[one.project]
        try:
            manifest = place.library.fetched(self._origin, one)
            missing = partial(missing_bytes, place.shelf, content(manifest))
            lack = self._make_room(missing(), manifest.inodes, row)
            if lack:
                # Partial files help nobody while there is no room, and others' least of all.
                self._drop_partials(set(content(manifest)))
                lack = self._make_room(missing(), manifest.inodes, row)
            if lack:
                return Failure("disk_full", lack)
            told = partial(self._fetched, row)
            bring(self._origin, place.shelf, one, manifest, told)
        except (RegistryError, OSError) as error:
            failure = failure_of(error)
            if failure.reason == "disk_full":
                self._drop_partials(set())
            return failure
        return None

    def _drop_partials(self, but: set[str]) -> None:
        for place in self._places.values():
            for row in place.shelf.partials():
                if row.name not in but:
                    Path(row.path).unlink()

    def _fetched(self, row: Row, source: str, count: int) -> None:
        self._signs.fetched(row.one.project, source, count)
        self._post(at_once=False)
        if row.claim is not Claim.NEEDED and self._is_waited_for():
            raise Outranked

    def _is_waited_for(self) -> bool:
        """Whether pods have come that need what is not there."""
        needs = self._needs()
        return needs != self._seen and any(
            not self._places[project].shelf.version(digest).is_dir()
            for project, found in needs.items()
            if project in self._places
            for _, digest in found - self._seen.get(project, frozenset())
        )

    def _make_room(self, needed_bytes: int, inodes: int, coming: Row | None) -> str:
        """Evict for so many bytes and inodes more; why that is not enough, or nothing."""
        gone, lack = make_room(self._root, self._places, self._config, needed_bytes, inodes, coming)
        for row in gone:
            self._signs.evicted(row.project)
            why = "others need it more" if row.row else "nobody asks for it"
            _log.info("%s/%s made room: %s", row.project, row.digest, why)
        return lack

    def _post(self, *, at_once: bool) -> None:
        self._board.post(self._places, [r.one for r in self._missing.values()], at_once=at_once)

    def _show(self) -> None:
        """Let pods and Prometheus see how things stand."""
        self._post(at_once=True)
        held = (row for place in self._places.values() for row in held_bytes(place))
        budget = budget_of(self._root, self._config)
        self._signs.disk(budget.bytes, budget.used_bytes, held)
        refused = sum(map(self._retries.is_refused, self._missing))
        wanted = sum(row.is_held for row in self._choice.values())
        self._signs.states(
            Counter(
                elsewhere=len(self._choice) - wanted,
                fetching=len(self._missing) - refused,
                held=wanted - len(self._missing),
                refused=refused,
            )
        )
        self._signs.unknown_projects(sum(not place.is_told for place in self._places.values()))
