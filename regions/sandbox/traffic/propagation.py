"""What the cluster holds as its proxies know it: a moment after it happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from regions.sandbox.kube import Object
from regions.sandbox.traffic.watch import PATHS, Change, Key

PROPAGATION_SECONDS: Final = 1.0
"""From a change in the API server until traffic follows it.

An assumption of ours, not a measurement: in a cluster a change goes through the EndpointSlice
controller, xDS or iptables before a proxy acts on it. A pod whose drain is shorter must lose
requests here too.
"""

Later = Callable[[float, Callable[[], None]], Any]
"""Does something after so many seconds, as an event loop's `call_later`."""


class Propagation:
    """Takes in changes, and holds what of them has come through.

    The first list of each kind is what the proxies know already: it counts at once.
    """

    def __init__(self, later: Later, changed: Callable[[], None]) -> None:
        self._later = later
        self._changed = changed
        self._underway: deque[Change] = deque()
        self._objects: dict[str, dict[Key, Object]] = {}
        self._heard: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether the first list of every kind is in."""
        return self._heard == set(PATHS)

    def objects(self, kind: str) -> Mapping[Key, Object]:
        """The objects of a kind that have come through."""
        return self._objects.get(kind, {})

    def hear(self, change: Change) -> None:
        """Take in a change; it counts `PROPAGATION_SECONDS` later."""
        if change.kind in self._heard:
            self._underway.append(change)
            self._later(PROPAGATION_SECONDS, self._arrive)
        else:
            self._heard.add(change.kind)
            self._apply(change)

    def _arrive(self) -> None:
        # All wait equally long, so the oldest is due; timers of one instant have no order.
        self._apply(self._underway.popleft())

    def _apply(self, change: Change) -> None:
        known = {} if change.whole else self._objects.setdefault(change.kind, {})
        for key, found in change.objects.items():
            if found is None:
                known.pop(key, None)
            else:
                known[key] = found
        self._objects[change.kind] = known
        self._changed()
