"""Keeps the notices of all versions that a node's pods may wait for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from threading import Lock

from components.model_cache import notices
from components.model_cache.config import Wanted
from components.model_cache.fetch import missing_bytes
from components.model_cache.keep import content
from components.model_cache.notices import Notice
from components.model_cache.retry import Retries
from components.model_cache.room import Place


class Board:
    """Posts what there is to say of missing versions, from any thread."""

    def __init__(self, now: Callable[[], float], retries: Retries) -> None:
        """By the clock `now`."""
        self._now = now
        self._retries = retries
        self._lock = Lock()
        self._beat = 0
        self._next = now()

    def post(
        self, places: Mapping[str, Place], missing: Collection[Wanted], *, at_once: bool
    ) -> None:
        """Say it when the next beat is due, or when it is new."""
        with self._lock:
            if self._now() < self._next and not at_once:
                return
            self._next = self._now() + notices.BEAT_SECONDS
            self._beat += 1
            for one in missing:
                with suppress(OSError):  # a full disk is told by whoever needs it
                    self._post(places[one.project], one)

    def _post(self, place: Place, one: Wanted) -> None:
        manifest = place.library.known(one.digest)
        key = (one.project, one.digest)
        notice = Notice(
            beat=self._beat,
            missing_bytes=missing_bytes(place.shelf, content(manifest)) if manifest else one.bytes,
            trouble=self._retries.trouble(key),
            refused=self._retries.is_refused(key),
        )
        notices.post(place.shelf, one.digest, notice)
