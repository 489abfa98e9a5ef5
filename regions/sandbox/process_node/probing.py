"""The probes of one run of a container: asked in time, judged by what came in a row."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from regions.sandbox.kube import Object
from regions.sandbox.process_node.probes import Outcome

STARTUP, LIVENESS, READINESS = "startupProbe", "livenessProbe", "readinessProbe"
_KINDS: Final = (STARTUP, LIVENESS, READINESS)
_TITLES: Final = {STARTUP: "Startup", LIVENESS: "Liveness", READINESS: "Readiness"}


class Judge:
    """Turns single outcomes into a verdict when enough of one kind came in a row."""

    def __init__(self, probe: Object) -> None:
        """With the thresholds of the probe, Kubernetes' own where it has none."""
        self._needed = {
            True: int(probe.get("successThreshold") or 1),
            False: int(probe.get("failureThreshold") or 3),
        }
        self._last, self._in_a_row = False, 0

    def take(self, passed: bool) -> bool | None:
        """The verdict now; None while it is too early for one."""
        self._in_a_row = self._in_a_row + 1 if passed == self._last else 1
        self._last = passed
        return passed if self._in_a_row >= self._needed[passed] else None


class Probing:
    """Asks on threads of its own, so that a container that hangs delays nobody else.

    `started` and `ready` are the flags of the container's status. `failed` is empty until startup
    or liveness has failed, then it is the message with which the container is to be ended.
    """

    def __init__(
        self,
        container: Object,
        attempt: Callable[[Object], Outcome],
        tell: Callable[[str], None],
    ) -> None:
        """`tell` hears of every attempt that did not pass."""
        self._container, self._attempt, self._tell = container, attempt, tell
        self._started, self._ended = threading.Event(), threading.Event()
        self._spared = threading.Event()
        self._is_ready = READINESS not in container
        self.failed = ""
        if STARTUP not in container:
            self._started.set()

    @property
    def started(self) -> bool:
        """Whether the startup probe has passed, or there is none."""
        return self._started.is_set()

    @property
    def ready(self) -> bool:
        """Whether the container may get requests."""
        return self.started and self._is_ready

    def begin(self) -> None:
        """Ask from now on."""
        for kind in _KINDS:
            if kind in self._container:
                name = f"{self._container['name']}-{kind}"
                threading.Thread(target=self._ask, args=(kind,), name=name, daemon=True).start()

    def spare(self) -> None:
        """The container is being ended: only its readiness is of interest."""
        self._spared.set()

    def end(self) -> None:
        """Ask no more; the container has ended."""
        self._spared.set()
        self._ended.set()

    def _ask(self, kind: str) -> None:
        probe, ended = self._container[kind], self._ended if kind == READINESS else self._spared
        judge, period = Judge(probe), float(probe.get("periodSeconds") or 10)
        if ended.wait(float(probe.get("initialDelaySeconds") or 0)):
            return
        while kind != STARTUP and not self._started.wait(0.1):
            if ended.is_set():
                return
        while not ended.is_set() and not self.failed:
            begun = time.monotonic()
            outcome = self._attempt(probe)
            if ended.is_set():
                return
            if not outcome.passed:
                self._tell(f"{_TITLES[kind]} probe failed: {outcome.message}")
            self._settle(kind, judge.take(outcome.passed), outcome)
            if kind == STARTUP and self.started:
                return
            ended.wait(max(0.0, begun + period - time.monotonic()))

    def _settle(self, kind: str, verdict: bool | None, outcome: Outcome) -> None:
        if verdict is None:
            return
        if kind == READINESS:
            self._is_ready = verdict
        elif not verdict:
            self.failed = f"failed {_TITLES[kind].lower()} probe: {outcome.message}"
        elif kind == STARTUP:
            self._started.set()
