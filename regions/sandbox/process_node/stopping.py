"""The end of one container: its preStop hook, SIGTERM, and SIGKILL when its grace is over."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from regions.sandbox.kube import Object
from regions.sandbox.process_node.probes import Outcome

MINIMUM_SECONDS: Final = 2.0
"""What remains for SIGTERM when the hook took all of the grace, as the kubelet has it."""


class Ending(Protocol):
    """What is stopped."""

    def signal(self, number: int) -> None:
        """Send a signal to its first process."""

    def kill(self) -> None:
        """End all that is left of it."""


class Stopping:
    """Ends a container on a thread of its own; grace counts from the begin of the hook."""

    def __init__(
        self,
        running: Ending,
        pre_stop: Object | None,
        grace_seconds: float,
        act: Callable[[Object, float], Outcome],
        tell: Callable[[str], None],
    ) -> None:
        """`act` does a hook's action, `tell` hears of a hook that failed."""
        self._running, self._pre_stop, self._act, self._tell = running, pre_stop, act, tell
        self._deadline = time.monotonic() + grace_seconds
        self._over, self._hurried = threading.Event(), False
        threading.Thread(target=self._stop, name="stopping", daemon=True).start()

    def hurry(self, grace_seconds: float) -> None:
        """Take no longer than this from now on."""
        self._deadline = min(self._deadline, time.monotonic() + grace_seconds)
        self._hurried = True

    def over(self) -> None:
        """The container has ended: there is nothing more to wait for."""
        self._over.set()

    def _stop(self) -> None:
        if self._pre_stop:
            self._run_hook(self._pre_stop)
            if not self._hurried:
                self._deadline = max(self._deadline, time.monotonic() + MINIMUM_SECONDS)
        if not self._over.is_set():
            self._running.signal(signal.SIGTERM)
        while not self._over.wait(0.05):
            if time.monotonic() >= self._deadline:
                self._running.kill()
                return

    def _run_hook(self, hook: Object) -> None:
        now = time.monotonic()
        if "sleep" in hook:
            until = now + float(hook["sleep"]["seconds"])
            while not self._over.wait(0.05) and time.monotonic() < min(until, self._deadline):
                pass
            return
        outcome = self._act(hook, max(0.1, self._deadline - now))
        if not outcome.passed:
            self._tell(f"PreStopHook failed: {outcome.message}")
